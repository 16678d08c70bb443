"""How fast does the operator react? A warm rollback, and its first write after an object was created.

Both are measured from the create's return until a watcher sees the change, each round beside one of the floor's, on
Models with a full history that have come to rest.
"""

import time
import urllib.request
import uuid
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from modelyard.decide.state import TRANSITIONS_BESIDE_LEDGER
from tests.bench.floor import Floor, create_rollback
from tests.bench.sightings import Sightings
from tests.bench.table import Row, milliseconds, percentile
from tests.cluster.registry import Registry
from tests.connections import Api, Obj

API_PATH = "/apis/modelyard.dev/v1alpha1"
ROUNDS = 50
MODELS = 10
"""As many take turns, so that each has come to rest when it is its turn again."""
REST = 10.0
"""Seconds that a Model has for that: what it replaced is kept for five more after a switch."""
HISTORY = TRANSITIONS_BESIDE_LEDGER
"""As long as a history becomes where a ledger is kept, as the operator that is measured does."""


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
                self.failures.append(f"{type(error).__name__}: {error}")
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


def warm_rollback(api: Api, registry: Registry, floor: Floor, rounds: int = ROUNDS) -> list[Row]:
    """Roll back from version 2 to version 1, warm, again and again, under a constant client."""
    registry.model()
    for version in ("1", "2"):
        registry.version(version)
        registry.serves(version)
    services = Sightings(api, f"/api/v1/namespaces/{registry.namespace}/services")
    answers = Answers(registry.url())
    switched, answered, floors = [], [], []
    try:
        for number in range(rounds):
            target = _warm_target(registry)
            answers.settle_on("2")
            floors.append(floor.round())
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
    ratio = percentile(switched, 0.5) / percentile(floors, 0.5)
    quick = percentile(answered, 0.5) <= 1 and percentile(answered, 0.99) <= 2
    failed = f"{len(answers.failures)} of {len(answers.seen) + len(answers.failures)}"
    return [
        Row("warm rollback: created -> Service switched", milliseconds(switched), f"{ratio:.1f}x floor, at most 3x",
            ratio <= 3),
        Row("warm rollback: created -> first answer", milliseconds(answered), "p50 <= 1 s, p99 <= 2 s", quick),
        Row("requests failed meanwhile", "; ".join([failed, *answers.failures[:3]]), "none", not answers.failures),
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


def first_write(api: Api, registry: Registry, floor: Floor, rounds: int = ROUNDS) -> list[Row]:
    """Create versions; the operator's first write is the request's place, on the Model."""
    models = Sightings(api, f"{API_PATH}/namespaces/{registry.namespace}/models")
    for number in range(MODELS):
        _with_history(api, registry, models, f"quick-{number}")
    taken, floors = [], []
    for number in range(rounds):
        floors.append(floor.round())
        model, version = f"quick-{number % MODELS}", str(number // MODELS)
        since = _create_version(api, registry.namespace, model, version)
        taken.append(max(models.when(_knows(model, version), 0) - since, 0.0))
        time.sleep(REST / MODELS)
    ratio = percentile(taken, 0.5) / percentile(floors, 0.5)
    return [Row("spec write -> first write", milliseconds(taken), f"{ratio:.1f}x floor, at most 2x", ratio <= 2)]


def _with_history(api: Api, registry: Registry, models: Sightings, name: str) -> None:
    """A Model whose production was paused and resumed until its history is full."""
    registry.kube.apply(registry._obj("Model", name, {"stages": [{"name": "production"}]}))
    path = f"{API_PATH}/namespaces/{registry.namespace}/models/{name}"
    for number in range(1, HISTORY + 1):
        body = {"spec": {"stages": [{"name": "production", "paused": bool(number % 2)}]}}
        api.call("PATCH", path, body, "application/merge-patch+json")
        models.when(_has_history(name, number), 0)


def _has_history(name: str, length: int) -> Callable[[Obj], bool]:
    return lambda model: (
        model["metadata"]["name"] == name and length == len(model.get("status", {}).get("transitions", []))
    )


def _create_version(api: Api, namespace: str, model: str, version: str) -> float:
    """Create a version that asks for production; the moment the create returned."""
    body = {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{model}-{version}"},
        "spec": {
            "model": model,
            "version": version,
            "stage": "production",
            "artifact": {"external": {"provider": "bench", "model": "quick", "revision": uuid.uuid4().hex}},
        },
    }
    api.call("POST", f"{API_PATH}/namespaces/{namespace}/modelversions", body)
    return time.perf_counter()


def _knows(name: str, version: str) -> Callable[[Obj], bool]:
    def holds(model: Obj) -> bool:
        stages = model.get("status", {}).get("stages", [])
        requests = (request for stage in stages for request in stage.get("requests", []))
        return model["metadata"]["name"] == name and any(request.get("version") == version for request in requests)

    return holds
