"""The floor: the least a controller on this machine could take from a created object to a written one.

A process of its own watches Rollbacks and, at each, writes its status by server-side apply, as the operator writes:
no queue, no decision, no library. What is measured is the whole path: the create, the event, and the write, until a
watcher sees it.
"""

import http.client
import json
import multiprocessing
import time
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.bench.sightings import Api, Obj, Sightings
from tests.cluster.conftest import UNPROTECTED

ROUNDS = 50


def _controller(namespace: str, ready: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    api = Api()
    address = urlsplit(api.server)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=api.context)
    rollbacks = f"/apis/modelyard.dev/v1alpha1/namespaces/{namespace}/rollbacks"
    version = api.call("GET", rollbacks)["metadata"]["resourceVersion"]
    response = api.request("GET", f"{rollbacks}?watch=1&resourceVersion={version}")
    ready.set()
    for line in response:
        event = json.loads(line)
        if event["type"] != "ADDED":
            continue
        name = event["object"]["metadata"]["name"]
        body = {
            "apiVersion": "modelyard.dev/v1alpha1",
            "kind": "Rollback",
            "metadata": {"name": name},
            "status": {"outcome": "Refused"},
        }
        headers = {"Content-Type": "application/apply-patch+yaml"}
        if api.token:
            headers["Authorization"] = f"Bearer {api.token}"
        connection.request(
            "PATCH", f"{rollbacks}/{name}/status?fieldManager=floor&force=true", json.dumps(body), headers
        )
        connection.getresponse().read()


def measure(api: Api, rounds: int = ROUNDS) -> list[float]:
    """Seconds from the create's beginning to the sight of the write, one a round."""
    namespace = f"floor-{uuid.uuid4().hex[:6]}"
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": UNPROTECTED}})
    try:
        return _measure(api, namespace, rounds)
    finally:
        api.call("DELETE", f"/api/v1/namespaces/{namespace}")


def _measure(api: Api, namespace: str, rounds: int) -> list[float]:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_controller, args=(namespace, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(30)
        seen = Sightings(api, f"/apis/modelyard.dev/v1alpha1/namespaces/{namespace}/rollbacks")
        taken = []
        for number in range(rounds + 5):
            name = f"round-{number}"
            since = time.perf_counter()
            create_rollback(api, namespace, name, model="nobody")
            moment = seen.when(_is_written(name), 0)
            taken.append(max(moment - since, 0.0))
        return taken[5:]
    finally:
        process.kill()


def _is_written(name: str) -> Callable[[Obj], bool]:
    return lambda rollback: rollback["metadata"]["name"] == name and "status" in rollback


def create_rollback(api: Api, namespace: str, name: str, model: str) -> float:
    """Create a Rollback; the moment the create returned."""
    body = {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "Rollback",
        "metadata": {"name": name},
        "spec": {"model": model, "stage": "production", "reason": "benchmark"},
    }
    api.call("POST", f"/apis/modelyard.dev/v1alpha1/namespaces/{namespace}/rollbacks", body)
    return time.perf_counter()
