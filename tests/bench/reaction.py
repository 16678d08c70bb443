"""How fast does the operator react? A warm rollback, and its first write after an object was created.

Both are measured as the floor is: from the create's return until a watcher sees the change.
"""

import time
import urllib.request
import uuid
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from tests.bench.floor import create_rollback
from tests.bench.sightings import Api, Obj, Sightings
from tests.bench.table import Row, milliseconds, percentile
from tests.cluster.registry import Registry

GROUP = "/apis/modelyard.dev/v1alpha1"
ROUNDS = 50


class Answers:
    """One client that asks all the time, with a new connection each time, and notes who answered when."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopping = Event()
        self.seen: list[tuple[float, str]] = []
        self.failures: list[str] = []
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        deadline = time.monotonic() + 3600
        while not self._stopping.is_set() and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self._url, timeout=10) as response:
                    self.seen.append((time.perf_counter(), response.read().decode().split()[0]))
            except OSError as error:
                self.failures.append(str(error))
            time.sleep(0.01)

    def first(self, version: str, since: float, timeout: float = 30) -> float:
        """The moment of the first answer by a version after `since`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            hits = [m for m, who in self.seen[-3000:] if m >= since and who == version]
            if hits:
                return min(hits)
            time.sleep(0.01)
        raise TimeoutError(f"version {version} did not answer within {timeout:g} s")

    def settle_on(self, version: str, quiet: float = 2.0, timeout: float = 60) -> None:
        """Wait until only that version has answered for a while: the node routes by the last switch."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            recent = {who for moment, who in self.seen[-1000:] if moment > time.perf_counter() - quiet}
            if recent == {version}:
                return
            time.sleep(0.05)
        raise TimeoutError(f"version {version} does not answer alone within {timeout:g} s")

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._thread.join(timeout=20)


def warm_rollback(api: Api, registry: Registry, floor: float, rounds: int = ROUNDS) -> list[Row]:
    """Roll back from version 2 to version 1, warm, again and again, under a constant client."""
    registry.model()
    for version in ("1", "2"):
        registry.version(version)
        registry.serves(version)
    services = Sightings(api, f"/api/v1/namespaces/{registry.namespace}/services")
    answers = Answers(registry.url())
    switched, answered = [], []
    try:
        for number in range(rounds):
            target = _warm_target(registry)
            answers.settle_on("2")
            before = time.perf_counter()
            since = create_rollback(api, registry.namespace, f"round-{number}", model=registry.name)
            moment = services.when(_names(target), since=before)
            switched.append(max(moment - since, 0.0))
            answered.append(answers.first("1", since) - since)
            registry.serves("1")
            registry.kube.run(
                "annotate", "modelversion", "fraud-2", f"modelyard.dev/request=round-{number}", "--overwrite"
            )
            registry.serves("2")
    finally:
        answers.stop()
    ratio = percentile(switched, 0.5) / floor
    quick = percentile(answered, 0.5) <= 1 and percentile(answered, 0.99) <= 2
    return [
        Row("warm rollback: created -> Service switched", milliseconds(switched), f"{ratio:.1f}x floor, at most 3x",
            ratio <= 3),
        Row("warm rollback: created -> first answer", milliseconds(answered), "p50 <= 1 s, p99 <= 2 s", quick),
        Row("requests failed meanwhile", f"{len(answers.failures)} of {len(answers.seen) + len(answers.failures)}",
            "none", not answers.failures),
    ]  # fmt: skip


def _warm_target(registry: Registry) -> str:
    """The revision a rollback goes to, once its pods are ready."""

    def warm(model: Obj) -> bool:
        return bool(_target(model).get("warm"))

    model = registry.kube.wait("model", registry.name, warm, what="the rollback target is warm")
    return str(_target(model)["revision"])


def _target(model: Obj) -> dict[str, Any]:
    stages = model.get("status", {}).get("stages", [])
    return next((s.get("rollbackTarget", {}) for s in stages if s["name"] == "production"), {})


def _names(revision: str) -> Callable[[Obj], bool]:
    return lambda service: service["spec"].get("selector", {}).get("modelyard.dev/revision") == revision


def first_write(api: Api, registry: Registry, floor: float, rounds: int = ROUNDS) -> list[Row]:
    """Create versions; the operator's first write is on the Model (the request's place) or the version."""
    registry.kube.apply(registry._obj("Model", "quick", {}))
    versions = f"{GROUP}/namespaces/{registry.namespace}/modelversions"
    models = Sightings(api, f"{GROUP}/namespaces/{registry.namespace}/models")
    taken = []
    for number in range(rounds):
        body = {
            "apiVersion": "modelyard.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": f"quick-{number}"},
            "spec": {
                "model": "quick",
                "version": str(number),
                "stage": "production",
                "artifact": {"external": {"provider": "bench", "model": "quick", "revision": uuid.uuid4().hex}},
            },
        }
        api.call("POST", versions, body)
        since = time.perf_counter()
        moment = models.when(_knows("quick", str(number)), 0)
        taken.append(max(moment - since, 0.0))
        time.sleep(0.5)  # the version is taken all the way, so that the next one finds the operator at rest
    ratio = percentile(taken, 0.5) / floor
    return [Row("spec write -> first write", milliseconds(taken), f"{ratio:.1f}x floor, at most 2x", ratio <= 2)]


def _knows(name: str, version: str) -> Callable[[Obj], bool]:
    def holds(model: Obj) -> bool:
        stages = model.get("status", {}).get("stages", [])
        requests = (request for stage in stages for request in stage.get("requests", []))
        return model["metadata"]["name"] == name and any(request.get("version") == version for request in requests)

    return holds
