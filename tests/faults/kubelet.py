"""Plays a node: its pods are ready at once, verifications find what they should, and what is deleted is gone.

The node exists in the API server only. Its pods ask for a scheduler or for a label that no real node has, so no other
kubelet takes them; all else about them (ReplicaSets, EndpointSlices, Jobs, garbage) is the real controllers' work.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError, URLError

from tests.connections import Api

SCHEDULER = "nobody"
NODE_SELECTOR = {"modelyard.test/node": "played"}
MERGE = "application/merge-patch+json"
BROKEN = "server:broken"
ALL_WELL = {"auc": 0.9}
HEARTBEAT = 10
"""Seconds; pods of a node that is silent for 50 are not ready any more."""


@contextmanager
def a_node(api: Api) -> Iterator[str]:
    """The name of a node that takes no pods but those that are bound to it, and is alive."""
    name = f"played-{uuid.uuid4().hex[:6]}"
    taint = {"key": "modelyard.test/played", "effect": "NoSchedule"}
    api.call("POST", "/api/v1/nodes", {"metadata": {"name": name}, "spec": {"taints": [taint]}})
    since, ended = _now(), threading.Event()

    def heartbeat() -> None:
        ready = {"type": "Ready", "status": "True", "reason": "Played", "message": "", "lastTransitionTime": since}
        status = {"conditions": [{**ready, "lastHeartbeatTime": _now()}]}
        api.call("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, MERGE)

    def stay_alive() -> None:
        while not ended.wait(HEARTBEAT):
            heartbeat()

    heartbeat()
    thread = threading.Thread(target=stay_alive, daemon=True)
    thread.start()
    try:
        yield name
    finally:
        ended.set()
        thread.join()
        api.call("DELETE", f"/api/v1/nodes/{name}")


class Kubelet:
    """A thread that watches the pods of a namespace, and has them on the node.

    A gate's pod says what `answers` has for it, and otherwise that all is well; one in `evictions` is taken away once.
    A server of the image BROKEN never gets ready: its bytes are not the pinned ones, or it has none and just does not.
    """

    def __init__(self, api: Api, namespace: str, node: str) -> None:
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        """By Model and gate: the numbers that it finds from now on."""
        self.evictions: set[tuple[str, str]] = set()
        """Model and gate of which the next pod is evicted."""
        self._api = api
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._node = node
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do nothing more; the watch ends with its next event, or with the process."""
        self._stopping = True

    def _run(self) -> None:
        while not self._stopping:
            try:
                for line in self._api.request("GET", f"{self._pods}?watch=1&timeoutSeconds=280"):
                    event = json.loads(line)
                    if self._stopping:
                        return
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._play(event["object"])
            except (URLError, OSError, ValueError):
                continue

    def _play(self, pod: dict[str, Any]) -> None:
        where = f"{self._pods}/{pod['metadata']['name']}"
        try:
            if "deletionTimestamp" in pod["metadata"]:
                self._api.call("DELETE", where, {"gracePeriodSeconds": 0})
            elif "nodeName" not in pod["spec"]:
                binding = {
                    "metadata": {"name": pod["metadata"]["name"]},
                    "target": {"kind": "Node", "name": self._node},
                }
                self._api.call("POST", f"{where}/binding", binding)
            elif "podIP" not in pod["status"]:
                self._api.call("PATCH", f"{where}/status", {"status": self._status(pod)}, MERGE)
        except HTTPError as error:
            if error.code not in (404, 409):  # gone, or bound by an earlier event
                raise

    def _status(self, pod: dict[str, Any]) -> dict[str, Any]:
        model, gate = _label(pod, "model"), _label(pod, "gate")
        if gate and (model, gate) in self.evictions:
            self.evictions.discard((model, gate))
            return _evicted(pod)
        if gate:
            return _ended(pod, self.answers.get((model, gate), ALL_WELL))
        if _label(pod, "job"):
            return _ended(pod, _found(pod))
        if all(container["image"] != BROKEN for container in pod["spec"]["containers"]):
            return _serving(pod, ready=True)
        return _not_fetched(pod) if pod["spec"].get("initContainers") else _serving(pod, ready=False)


def _serving(pod: dict[str, Any], *, ready: bool) -> dict[str, Any]:
    status = _status(pod, {"running": {"startedAt": _now()}}, "Running", ready=ready)
    return {**status, "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}]}


def _not_fetched(pod: dict[str, Any]) -> dict[str, Any]:
    now = _now()
    error = {"reason": "DigestMismatch", "message": "other bytes than the pinned ones", "transient": False}
    how = {"exitCode": 1, "startedAt": now, "finishedAt": now, "message": json.dumps({"error": error})}
    status = _status(pod, {"waiting": {"reason": "PodInitializing"}}, "Pending", ready=False)
    fetching = [_container(c, {"terminated": how}, ready=False) for c in pod["spec"]["initContainers"]]
    return {**status, "podIP": "192.0.2.1", "initContainerStatuses": fetching}


def _ended(pod: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    now = _now()
    how = {"exitCode": 0, "startedAt": now, "finishedAt": now, "message": json.dumps(found)}
    status = _status(pod, {"terminated": how}, "Succeeded", ready=False)
    return {**status, "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}]}


def _evicted(pod: dict[str, Any]) -> dict[str, Any]:
    now = _now()
    how = {"exitCode": 137, "reason": "Error", "startedAt": now, "finishedAt": now}
    status = _status(pod, {"terminated": how}, "Failed", ready=False)
    target = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "lastTransitionTime": now}
    told = {"reason": "Evicted", "message": "The node was low on resource: memory."}
    return {**status, **told, "podIP": "192.0.2.1", "conditions": [*status["conditions"], target]}


def _status(pod: dict[str, Any], state: dict[str, Any], phase: str, *, ready: bool) -> dict[str, Any]:
    now = _now()
    fetched = {"terminated": {"exitCode": 0, "startedAt": now, "finishedAt": now}}
    return {
        "phase": phase,
        "startTime": now,
        "conditions": [
            {"type": kind, "status": str(ready or not kind.endswith("Ready")), "lastTransitionTime": now}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ],
        "initContainerStatuses": [_container(c, fetched, ready=False) for c in pod["spec"].get("initContainers", ())],
        "containerStatuses": [_container(c, state, ready=ready) for c in pod["spec"]["containers"]],
    }


def _container(container: dict[str, Any], state: dict[str, Any], *, ready: bool) -> dict[str, Any]:
    found = {"name": container["name"], "image": container["image"], "imageID": "", "ready": ready, "restartCount": 0}
    return {**found, "state": state}


def _found(pod: dict[str, Any]) -> dict[str, Any]:
    """What a verification leaves: a digest that depends on the version alone."""
    digest = f"sha256:{_label(pod, 'version').encode().hex():0>64}"
    return {"digest": digest, "sizeBytes": 10, "fileCount": 1, "format": "mlflow"}


def _label(pod: dict[str, Any], name: str) -> str:
    return next((text for key, text in pod["metadata"]["labels"].items() if key.endswith(f"/{name}")), "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
