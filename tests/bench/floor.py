"""The floor: the least a controller on this machine could take from a created object to a written one.

A process of its own watches Rollbacks and, at each, replaces its status by PUT, as the operator writes: no queue, no
decision, no library. What is measured is the whole path: the create, the event, and the write, until a watcher sees
it. Its rounds alternate with the operator's, so that both meet the same machine; its Rollbacks are of an API group of
its own, or the operator would answer them too, in the very moment in which its own round is measured.
"""

import http.client
import json
import multiprocessing
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from modelyard.api.names import GROUP
from tests.bench.sightings import Sightings
from tests.connections import Api, Obj
from tests.definitions import define, new_group, undefine
from tests.kube import Kube

WARM_UP = 5


def _controller(group: str, namespace: str, ready: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    api = Api()
    address = urlsplit(api.server)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=api.context)
    rollbacks = path(group, namespace)
    version = api.call("GET", rollbacks)["metadata"]["resourceVersion"]
    response = api.request("GET", f"{rollbacks}?watch=1&resourceVersion={version}")
    ready.set()
    for line in response:
        event = json.loads(line)
        if event["type"] != "ADDED":
            continue
        made = event["object"]["metadata"]
        body = {
            "apiVersion": f"{group}/v1alpha1",
            "kind": "Rollback",
            "metadata": {"name": made["name"], "resourceVersion": made["resourceVersion"]},
            "status": {"outcome": "Refused"},
        }
        headers = {"Content-Type": "application/json", **dict(api.headers)}
        connection.request("PUT", f"{rollbacks}/{made['name']}/status?fieldManager=floor", json.dumps(body), headers)
        connection.getresponse().read()


class Floor:
    """The controller, and how long it took each time it was asked."""

    def __init__(self, api: Api, group: str, namespace: str) -> None:
        self._api = api
        self._group = group
        self._namespace = namespace
        self._seen = Sightings(api, path(group, namespace))
        self._rounds = 0
        self.taken: list[float] = []

    def round(self) -> float:
        """Seconds from the create's beginning to the sight of the write, this once."""
        name = f"round-{self._rounds}"
        self._rounds += 1
        since = time.perf_counter()
        create_rollback(self._api, self._namespace, name, model="nobody", group=self._group)
        taken = max(self._seen.when(_is_written(name), 0) - since, 0.0)
        self.taken.append(taken)
        return taken


@contextmanager
def a_floor(api: Api) -> Iterator[Floor]:
    """A controller, warmed up, in a group and a namespace of its own."""
    kube, group, namespace = Kube.connect(), new_group(), f"floor-{uuid.uuid4().hex[:6]}"
    define(kube, group)
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_controller, args=(group, namespace, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(30)
        floor = Floor(api, group, namespace)
        for _ in range(WARM_UP):
            floor.round()
        floor.taken.clear()
        yield floor
    finally:
        process.kill()
        api.call("DELETE", f"/api/v1/namespaces/{namespace}")
        undefine(kube, group)


def _is_written(name: str) -> Callable[[Obj], bool]:
    return lambda rollback: rollback["metadata"]["name"] == name and "status" in rollback


def path(group: str, namespace: str) -> str:
    """Where the API server has a namespace's Rollbacks."""
    return f"/apis/{group}/v1alpha1/namespaces/{namespace}/rollbacks"


def create_rollback(api: Api, namespace: str, name: str, model: str, group: str = GROUP) -> float:
    """Create a Rollback; the moment the create returned."""
    body = {
        "apiVersion": f"{group}/v1alpha1",
        "kind": "Rollback",
        "metadata": {"name": name},
        "spec": {"model": model, "stage": "production", "reason": "benchmark"},
    }
    api.call("POST", path(group, namespace), body)
    return time.perf_counter()
