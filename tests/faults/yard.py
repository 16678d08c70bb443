"""One lane of the tests: a namespace, a played kubelet, a proxy, a recorder, and the operator's processes behind it.

A process that ends by itself is started again, as the kubelet would; one that was killed on purpose is not.
"""

import json
import os
import signal
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.connections import Api, Obj
from tests.faults.forks import ENDED_WITHIN, Forks, Process
from tests.faults.kubelet import NODE_SELECTOR, Kubelet
from tests.faults.ledger import Ledger
from tests.faults.proxy import NoFaults, Proxy
from tests.faults.recorder import Recorder

CORE = "/api/v1"
PATHS = {
    "Service": f"{CORE}/{{}}/services",
    "ConfigMap": f"{CORE}/{{}}/configmaps",
    "Deployment": "/apis/apps/v1/{}/deployments",
    "Job": "/apis/batch/v1/{}/jobs",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/{}/endpointslices",
    "Lease": "/apis/coordination.k8s.io/v1/{}/leases",
}
RESTART_PAUSE = 0.3
FIRST, SECOND = "operator", "second"


@dataclass(frozen=True)
class Setup:
    """What of the operator differs from scenario to scenario."""

    ledger: bool = False
    version: str = "1.0.0"


class Yard:
    """What it started ends with `close`."""

    def __init__(
        self,
        api: Api,
        group: str,
        kubelet: Kubelet,
        namespace: str,
        folder: Path,
        proxy: Proxy,
        ledger: Ledger,
        forks: Forks,
    ) -> None:
        self.api = api
        self.ledger = ledger
        self.group = group
        self.namespace = namespace
        self.proxy = proxy
        self.log = folder / "operator.log"
        self.kubelet = kubelet
        self.recorder = Recorder(
            api, f"{group}/model", self.path("Model"), self.path("Service"), self.path("EndpointSlice")
        )
        self.exits = 0
        """How often a process ended by itself."""
        self._folder = folder
        self._clock = folder / "clock"
        self.turn_clock(0)
        self._lock = threading.RLock()
        self._processes: dict[str, Process] = {}
        self._closed = threading.Event()
        self._config = folder / "config.json"
        self._setup = Setup()
        self._configure()
        self._forks = forks
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """End every process."""
        self._closed.set()
        self._keeper.join()
        for identity in list(self._processes):
            self.kill(identity)
        self.kubelet.stop()
        self.recorder.close()

    def use(self, setup: Setup) -> None:
        """Let the operator be set up so; another one is killed, and that one is started in its place."""
        with self._lock:
            if setup != self._setup:
                self._setup = setup
                self._configure()
                self.kill()
                self.start()

    def upgrade(self) -> None:
        """Put the next release in the operator's place."""
        self.use(replace(self._setup, version="2.0.0"))

    def _configure(self) -> None:
        version = self._setup.version
        ours = {"watchNamespaces": [self.namespace], "leaseNamespace": self.namespace, "listenPort": 0}
        pods = {"nodeSelector": NODE_SELECTOR, "image": f"modelyard:{version}", "labels": {"release": version}}
        ledger = self.ledger.settings if self._setup.ledger else {}
        self._config.write_text(json.dumps({**ours, "admission": True, "helperPods": pods, **ledger}))

    # The operator's processes

    def start(self, identity: str = FIRST) -> None:
        """Have an operator process; who asks twice has one. It need not wait for the Lease of the one before."""
        caller = "" if identity == FIRST else identity
        order = {
            "config": str(self._config),
            "log": str(self.log),
            "clock": str(self._clock),
            "kubeconfig": str(self.proxy.write_kubeconfig(self._folder / f"{identity}.kubeconfig", caller)),
            "identity": identity,
            "version": self._setup.version,
            "environment": self.ledger.environment,
        }
        with self._lock:
            if known := self._processes.get(identity):
                if not known.ends_within(0):
                    return  # two of one identity would share the Lease
                os.close(known.handle)
            try:
                self._processes[identity] = self._forks.start(order)
            except ProcessLookupError:  # it could not even begin
                raise AssertionError(f"the operator ends at once: {self.log.read_text()[-2000:]}") from None

    def signal_end(self) -> None:
        """Kill the process, as the kernel does when memory runs out. It may take a moment to be gone."""
        with self._lock:
            if process := self._processes.get(FIRST):
                self._end(FIRST, process, signal.SIGKILL, wait=False)

    def kill(self, identity: str = FIRST) -> None:
        """Kill the process and wait until it is gone."""
        with self._lock:
            if process := self._processes.get(identity):
                self._end(identity, process, signal.SIGKILL)

    def stop(self, identity: str = FIRST) -> None:
        """Let the process end in its own way, and give its Lease back."""
        with self._lock:
            if process := self._processes.get(identity):
                self._end(identity, process, signal.SIGTERM)

    def reset(self) -> None:
        """Begin anew after a run that went wrong."""
        self.turn_clock(0)
        for identity in list(self._processes):
            self.kill(identity)
        self.proxy.faults = NoFaults()
        self.start()

    def turn_clock(self, seconds: float) -> None:
        """Let the processes' clock go wrong by so much, from this moment."""
        if not self._clock.exists():
            self._clock.write_bytes(struct.pack("d", 0))
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def _end(self, identity: str, process: Process, how: signal.Signals, *, wait: bool = True) -> None:
        del self._processes[identity]
        try:
            signal.pidfd_send_signal(process.handle, how)
        except ProcessLookupError:
            pass
        else:
            assert not wait or process.ends_within(ENDED_WITHIN), f"process {process.pid} does not end"
        os.close(process.handle)

    def _keep_alive(self) -> None:
        while not self._closed.wait(RESTART_PAUSE):
            with self._lock:
                ended = [identity for identity, process in self._processes.items() if process.ends_within(0)]
                for identity in ended:
                    os.close(self._processes.pop(identity).handle)
                    self.exits += 1
                    self.start(identity)

    # The API server, not through the proxy

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are."""
        pattern = PATHS.get(kind, f"/apis/{self.group}/v1alpha1/{{}}/{kind.lower()}s")
        return pattern.format(f"namespaces/{self.namespace}") + (f"/{name}" if name else "")

    def managed(self) -> list[str]:
        """Everything that an operator has made here."""
        kinds = ("Service", "ConfigMap", "Deployment", "Job")
        label = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dmodelyard"
        found = ((kind, self.api.call("GET", f"{self.path(kind)}?{label}")["items"]) for kind in kinds)
        return [f"{kind} {item['metadata']['name']}" for kind, items in found for item in items]

    def now(self) -> str:
        """The present moment, as the API server counts."""
        return str(self.api.call("GET", f"{self.path('ConfigMap')}?limit=1")["metadata"]["resourceVersion"])

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


def wait_until(holds: Any, within: float, what: str, every: float = 0.3) -> None:
    """Look again and again; `what` is called in the error."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(every)
