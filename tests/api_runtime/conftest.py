"""A namespace of one's own on a real API server, a client, and operator processes with a decision of the tests'."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import aiohttp
import pytest

from modelyard.kube.client import Client
from tests.api_runtime.group import VARIABLE
from tests.checkout import ROOT, find_kubeconfig
from tests.definitions import define, new_group, undefine
from tests.kube import Kube
from tests.sharing import UNPROTECTED
from tests.sockets import Sockets

STARTED_WITHIN = 30.0
STOPPED_WITHIN = 15.0


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The cluster."""
    return Kube.connect()


@pytest.fixture(scope="session")
def group(kube: Kube) -> Iterator[str]:
    """An API group of this session's own, with the CRDs in it."""
    group = new_group()
    define(kube, group)
    yield group
    undefine(kube, group)


@pytest.fixture
def here(kube: Kube) -> Iterator[Kube]:
    """kubectl in a namespace of the test's own, where the tests may do what an operator installed beside them does."""
    with kube.own_namespace("runtime", UNPROTECTED) as here:
        yield here


@pytest.fixture
def namespace(here: Kube) -> str:
    """That namespace."""
    assert here.namespace
    return here.namespace


@pytest.fixture
async def client(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """The operator's client, with the cluster's admin credentials."""
    monkeypatch.setenv("KUBECONFIG", str(find_kubeconfig()))
    sockets = Sockets()
    monkeypatch.setattr(aiohttp, "TCPConnector", partial(aiohttp.TCPConnector, socket_factory=sockets))
    async with await Client.open() as client:
        yield client
    await sockets.hang_up()


@dataclass
class Process:
    """An operator process."""

    popen: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 when nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except (URLError, OSError) as error:
            return 0, str(error)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples whose name and labels begin so."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def until(self, holds: Callable[[], Any], what: str, within: float = STARTED_WITHIN) -> None:
        """Look again and again; a process that has ended is not waited for."""
        deadline = time.monotonic() + within
        while not holds():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{what}: not seen within {within:g} s\n{self.log.read_text()}")
            time.sleep(0.05)

    def until_ready(self) -> None:
        """Wait for /readyz."""
        self.until(lambda: self.get("/readyz")[0] == 200, "ready")

    def until_leading(self) -> None:
        """Wait until it holds the lease."""
        self.until(lambda: self.metric("modelyard_leading") == 1, "leading")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; its exit code, and after how many seconds it ended."""
        started = time.monotonic()
        self.popen.send_signal(number)
        return self.popen.wait(STOPPED_WITHIN), time.monotonic() - started


@pytest.fixture
def operator(namespace: str, group: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts operator processes for the namespace and the group."""
    processes: list[Process] = []

    def start(
        identity: str = "one", within: str = group, program: str = "trivial_operator", **settings: Any
    ) -> Process:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = tmp_path / f"{identity}.json"
        given = {"watchNamespaces": [namespace], "leaseNamespace": namespace, "listenPort": port} | settings
        config.write_text(json.dumps(given))
        log = tmp_path / f"{identity}.log"
        environment = os.environ | {"KUBECONFIG": str(find_kubeconfig()), "POD_NAME": identity, VARIABLE: within}
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", f"tests.api_runtime.{program}", "--config", str(config)],
                stdout=output,
                stderr=output,
                env=environment,
                cwd=ROOT,
            )
        processes.append(Process(popen, port, log))
        return processes[-1]

    yield start
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()
