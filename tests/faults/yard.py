"""One lane of the tests: a namespace, a played kubelet, a proxy, and one operator process behind it at a time."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.api_runtime.group import VARIABLE
from tests.bench.sightings import Api, Obj, Sightings
from tests.faults.kubelet import NODE_SELECTOR, Kubelet
from tests.faults.proxy import Proxy
from tests.kube import ROOT

CORE = "/api/v1"
PATHS = {
    "Service": f"{CORE}/{{}}/services",
    "ConfigMap": f"{CORE}/{{}}/configmaps",
    "Deployment": "/apis/apps/v1/{}/deployments",
    "Job": "/apis/batch/v1/{}/jobs",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/{}/endpointslices",
}
ENDED_WITHIN = 10


class Yard:
    """Use as a context manager: what it started ends with it."""

    def __init__(self, api: Api, group: str, kubelet: Kubelet, namespace: str, folder: Path, proxy: Proxy) -> None:
        self.api = api
        self.group = group
        self.namespace = namespace
        self.proxy = proxy
        self.log = folder / "operator.log"
        self._folder = folder
        self._operator = 0
        self.kubelet = kubelet
        self.slices = Sightings(api, self.path("EndpointSlice"))
        settings = {"watchNamespaces": [namespace], "leaseNamespace": namespace, "listenPort": 0}
        config = folder / "config.json"
        config.write_text(json.dumps({**settings, "helperPods": {"nodeSelector": NODE_SELECTOR}}))
        self._order = {
            "config": str(config),
            "log": str(self.log),
            "kubeconfig": str(proxy.write_kubeconfig(folder / "kubeconfig")),
            "identity": "operator",  # the next process is the same candidate, and need not wait for the Lease
        }
        self._forks = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.operator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {VARIABLE: group},
        )

    def close(self) -> None:
        """End every process."""
        self.kill()
        self.kubelet.stop()
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.close()
        self._forks.wait(ENDED_WITHIN)
        self._forks.stdout.close()

    # The operator's process

    def start(self) -> None:
        """Start an operator process."""
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(json.dumps(self._order) + "\n")
        self._forks.stdin.flush()
        self._operator = int(self._forks.stdout.readline())

    def signal_end(self) -> None:
        """Kill the process, as the kernel does when memory runs out. It may take a moment to be gone."""
        if self._operator:
            os.kill(self._operator, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and wait until it is gone."""
        if not self._operator:
            return
        try:
            handle = os.pidfd_open(self._operator)
        except ProcessLookupError:
            self._operator = 0
            return
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        gone, _, _ = select.select([handle], [], [], ENDED_WITHIN)
        os.close(handle)
        assert gone, f"process {self._operator} does not end"
        self._operator = 0

    # The API server, not through the proxy

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are."""
        pattern = PATHS.get(kind, f"/apis/{self.group}/v1alpha1/{{}}/{kind.lower()}s")
        return pattern.format(f"namespaces/{self.namespace}") + (f"/{name}" if name else "")

    def create(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Create an object of ours."""
        api_version = f"{self.group}/v1alpha1"
        body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
        self.api.call("POST", self.path(kind), body)

    def patch(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Merge a patch into an object."""
        self.api.call("PATCH", self.path(kind, name), dict(body), "application/merge-patch+json")

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it exists; its dependents go in the background."""
        try:
            self.api.call("DELETE", self.path(kind, name))
        except HTTPError as error:
            if error.code != 404:
                raise

    def find(self, kind: str, name: str) -> Obj | None:
        """An object, or None when there is none."""
        try:
            return self.api.call("GET", self.path(kind, name))
        except HTTPError as error:
            if error.code != 404:
                raise
            return None

    def of_model(self, kind: str, model: str) -> list[Obj]:
        """The objects of a kind that belong to a Model: by label, or by spec.model."""
        if kind in PATHS:
            label = f"{self.group}%2Fmodel%3D{model}"
            return list(self.api.call("GET", f"{self.path(kind)}?labelSelector={label}")["items"])
        return [item for item in self.api.call("GET", self.path(kind))["items"] if item["spec"]["model"] == model]


def wait_until(holds: Any, within: float, what: str, every: float = 0.2) -> None:
    """Look again and again; `what` is called in the error."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(every)
