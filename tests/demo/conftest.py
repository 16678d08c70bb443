"""The demo's namespace, empty, and the shell of somebody who follows the README."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.checkout import ROOT, find_kubeconfig
from tests.kube import Kube
from tests.sharing import install_operator

NAMESPACE = "mailroom"


class Shell:
    """A shell in the checkout, on the tests' cluster."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / ".cluster" / "bin"), os.environ["PATH"]])
        self.environment = {**os.environ, "KUBECONFIG": str(find_kubeconfig()), "PATH": path}

    def run(self, script: str) -> str:
        """Run a script as typed, stopping at the first error; what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, f"status {done.returncode} of\n{script}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="session")
def shell() -> Shell:
    return Shell()


@pytest.fixture(scope="session")
def cluster() -> Kube:
    """The cluster, with the operator of this checkout."""
    install_operator()
    return Kube.connect()


@pytest.fixture
def mailroom(cluster: Kube) -> Iterator[Kube]:
    """The demo's namespace, gone before and after."""
    cluster.delete("namespace", NAMESPACE)
    yield cluster.within(NAMESPACE)
    cluster.delete("namespace", NAMESPACE, wait=False)
