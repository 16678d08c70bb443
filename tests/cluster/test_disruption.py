"""The operator dies, is absent, or is there twice, while versions are promoted and rolled back."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.checkout import ROOT, find_kubeconfig
from tests.cluster.load import Load
from tests.cluster.registry import Registry
from tests.kube import PODS_READY, Kube

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

SYSTEM = "modelyard-system"
OPERATOR = "app.kubernetes.io/name=modelyard,app.kubernetes.io/component=operator"


def promote(registry: Registry, *versions: str) -> None:
    for version in versions:
        registry.version(version)
        registry.serves(version)
    registry.answered_by(versions[-1])


def kill(kube: Kube) -> None:
    """Kill every operator pod, without grace: the lease is not released and runs out."""
    kube.within(SYSTEM).run("delete", "pods", "-l", OPERATOR, "--grace-period=0", "--force", "--wait=false")


@pytest.mark.parametrize("delay", [0.1, 2.0], ids=["at once", "while pods start"])
def test_killed_at_any_moment_it_ends_in_the_same_place(registry: Registry, delay: float) -> None:
    registry.model()
    promote(registry, "1")
    with Load(registry.url()) as load:
        registry.version("2")
        threading.Timer(delay, kill, [registry.kube]).start()
        registry.serves("2")
        registry.rollback("back")
        kill(registry.kube)
        registry.applied("back")
        promote(registry, "3")
        load.until("3")
    assert load.failures == []
    assert registry.history() == [("Promoted", "1"), ("Promoted", "2"), ("RolledBack", "1"), ("Promoted", "3")]


def test_what_changes_while_it_is_absent_is_seen_when_it_is_back(registry: Registry) -> None:
    registry.model()
    promote(registry, "1", "2")
    system = registry.kube.within(SYSTEM)
    replicas = system.get("deployment", "modelyard")["spec"]["replicas"]
    system.run("scale", "deployment/modelyard", "--replicas=0")
    try:
        system.run("wait", "pods", "-l", OPERATOR, "--for=delete", f"--timeout={PODS_READY.budget:.0f}s")
        registry.kube.delete("modelversion", "fraud-2")
        assert registry.answer().split()[0] == "2"
    finally:
        system.run("scale", "deployment/modelyard", f"--replicas={replicas}")
    registry.serves("1")


@contextmanager
def second_operator(tmp_path: Path) -> Iterator[None]:
    """Another operator that leads by a lease of its own: two of them believe they are the only one."""
    config = tmp_path / "config.json"
    settings = {
        "leaseName": "modelyard-other",
        "leaseNamespace": SYSTEM,
        "listenPort": 0,
        "logFormat": "text",
        "helperPods": {"image": "modelyard:dev"},
    }
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "modelyard.runtime", "--config", str(config)]
    environment = {**os.environ, "KUBECONFIG": str(find_kubeconfig()), "POD_NAME": "second"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield
            assert process.poll() is None, (tmp_path / "log").read_text()
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_two_operators_at_once_move_the_pointer_once(unprotected_registry: Registry, tmp_path: Path) -> None:
    registry = unprotected_registry
    registry.model()
    with second_operator(tmp_path):
        promote(registry, "1")
        with Load(registry.url()) as load:
            promote(registry, "2", "3")
            registry.rollback("back")
            registry.applied("back")
            load.until("2")
    assert load.failures == []
    assert registry.history() == [("Promoted", "1"), ("Promoted", "2"), ("Promoted", "3"), ("RolledBack", "2")]
