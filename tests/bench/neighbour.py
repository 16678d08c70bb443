"""Does a noisy namespace delay another's rollback? Both times are of the same run, so only their ratio counts.

One namespace makes 2,000 bad versions as fast as the API server takes them, half of them of one Model, half of a
hundred; another rolls back all the while. The operator is a process of its own on the cluster's API server, in an API
group of its own: no pods are waited for. Run alone: `python -m tests.bench.neighbour [VERSIONS]`.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.api_runtime.group import VARIABLE
from tests.bench.sightings import Sightings
from tests.bench.table import Row, milliseconds, percentile, show
from tests.checkout import ROOT, find_kubeconfig
from tests.connections import Api, Obj
from tests.definitions import define, new_group, undefine
from tests.kube import Kube
from tests.store.gateway import free_port

VERSIONS, MODELS, WRITERS = 2000, 100, 4
QUIET_ROUNDS = 20
LONGEST = 600.0
"""Seconds of noise, however slow the machine."""
TWICE = 2.0


def neighbour(versions: int = VERSIONS) -> list[Row]:
    """Rows on rollbacks beside a namespace that is quiet, and beside one that is not."""
    api, kube, group = Api(), Kube.connect(), new_group()
    define(kube, group)
    try:
        with (
            kube.own_namespace("a-noisy") as noisy,
            kube.own_namespace("quiet") as quiet,
            an_operator(group, [str(noisy.namespace), str(quiet.namespace)]),
        ):
            team = Team(api, group, str(quiet.namespace))
            alone = [team.round() for _ in range(QUIET_ROUNDS)]
            storm = Storm(api, group, str(noisy.namespace), versions)
            beside = []
            while storm.blows:
                beside.append(team.round())
            seen = storm.judged()
    finally:
        undefine(kube, group)
    ratio = percentile(beside, 0.5) / percentile(alone, 0.5)
    return [
        Row("rollback, the neighbour quiet", milliseconds(alone), "what the next row is compared with"),
        Row(f"rollback, the neighbour makes {versions} bad versions ({seen} judged)", milliseconds(beside),
            f"{ratio:.1f}x quiet, at most {TWICE:.0f}x", ratio <= TWICE),
    ]  # fmt: skip


@contextmanager
def an_operator(group: str, namespaces: list[str]) -> Iterator[None]:
    """The operator as it is shipped, in the group."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        settings = {"watchNamespaces": namespaces, "leaseNamespace": namespaces[-1], "listenPort": free_port()}
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(settings))
        environment = os.environ | {"KUBECONFIG": str(find_kubeconfig()), "POD_NAME": "bench", VARIABLE: group}
        command = [sys.executable, "-m", "tests.api_runtime.real_operator", "--config", str(config)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
            try:
                yield
            finally:
                process.terminate()
                process.wait(30)


class Namespace:
    """Objects of one namespace."""

    def __init__(self, api: Api, group: str, namespace: str) -> None:
        self.api = api
        self.group = group
        self.namespace = namespace
        self.path = f"/apis/{group}/v1alpha1/namespaces/{namespace}"

    def create(self, kind: str, name: str, spec: Obj) -> float:
        """Create an object; the moment the create returned."""
        body = {"apiVersion": f"{self.group}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.api.call("POST", f"{self.path}/{kind.lower()}s", body)
        return time.perf_counter()


class Team(Namespace):
    """Rolls back from version 2 to version 1, and promotes version 2 again."""

    def __init__(self, api: Api, group: str, namespace: str) -> None:
        super().__init__(api, group, namespace)
        self._models = Sightings(api, f"{self.path}/models")
        self._rounds = 0
        self.create("Model", "fraud", {"stages": [{"name": "production"}]})
        for version in ("1", "2"):
            external = {"provider": "bench", "model": "fraud", "revision": version}
            spec = {"model": "fraud", "version": version, "stage": "production", "artifact": {"external": external}}
            since = self.create("ModelVersion", f"fraud-{version}", spec)
            self._models.when(_serves(version), since=0 if version == "1" else since - 1)

    def round(self) -> float:
        """Seconds from a Rollback's creation until the pointer has moved."""
        self._rounds += 1
        before = time.perf_counter()
        spec = {"model": "fraud", "stage": "production", "toVersion": "1", "reason": "bench"}
        created = self.create("Rollback", f"round-{self._rounds}", spec)
        moved = self._models.when(_serves("1"), since=before)
        again = {"metadata": {"annotations": {f"{self.group}/request": f"round-{self._rounds}"}}}
        asked = time.perf_counter()
        self.api.call("PATCH", f"{self.path}/modelversions/fraud-2", again, "application/merge-patch+json")
        self._models.when(_serves("2"), since=asked)
        return max(moved - created, 0.0)


class Storm(Namespace):
    """Makes bad versions from several threads, and blows until the operator has judged them."""

    def __init__(self, api: Api, group: str, namespace: str, versions: int) -> None:
        super().__init__(api, group, namespace)
        self._versions = versions
        self._ends = time.monotonic() + LONGEST
        self._over = False
        threading.Thread(target=self._blow, daemon=True).start()

    @property
    def blows(self) -> bool:
        """Whether it goes on."""
        return not self._over and time.monotonic() < self._ends

    def judged(self) -> int:
        """Versions that have an answer."""
        found = self.api.call("GET", f"{self.path}/modelversions")["items"]
        return sum("conditions" in version.get("status", {}) for version in found)

    def _blow(self) -> None:
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(self._model, range(MODELS + 1)))
            list(writers.map(self._version, range(self._versions)))
        while self.blows and self.judged() < self._versions:
            time.sleep(2)
        self._over = True

    def _model(self, number: int) -> None:
        self.create("Model", f"noise-{number}", {"artifactPolicy": {"requireDeclaredFiles": True}})

    def _version(self, number: int) -> None:
        model = f"noise-{number % MODELS + 1 if number % 2 else 0}"
        artifact = {"uri": "s3://nowhere/at/all/"}
        spec = {"model": model, "version": str(number), "stage": "production", "artifact": artifact}
        self.create("ModelVersion", f"{model}-{number}", spec)


def _serves(version: str) -> Callable[[Obj], Any]:
    def holds(model: Obj) -> bool:
        stages = model.get("status", {}).get("stages", [])
        return any(stage.get("current", {}).get("version") == version for stage in stages)

    return holds


if __name__ == "__main__":
    print(show(neighbour(*map(int, sys.argv[1:]))))
