"""The chart's policies in force on a real API server, and the people who try them."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
import yaml

from tests.chart.helm import Helm, find_helm
from tests.kube import Kube, Timeout

from .acts import create, delete, execute, outcome, stage, status
from .cast import (
    GATE_POD,
    OURS,
    SELECTOR,
    Act,
    Cast,
    approval,
    configmap,
    give_rights,
    model,
    populate,
    rollback,
    service,
    stand_in,
    version,
)
from .installed import install, uninstall

IN_FORCE = Timeout("the policies and roles are in force", 60)
PINNED = [{"name": "production", "version": "1"}]
BEFORE_ANYTHING_EXISTS: Mapping[tuple[str, str], Act] = {
    ("mallory", "promote-versions"): create(version("probe-1", "production")),
    ("erin", "promote-models"): create(model("probe", stages=PINNED)),
    ("mallory", "configure"): create(model("probe")),
    ("mallory", "approve"): create(approval("probe")),
    ("mallory", "rollback"): create(rollback("probe")),
    ("mallory", "managed"): create(configmap("probe", OURS)),
    ("mallory", "lookalikes"): create(service("probe", {}, SELECTOR)),
    ("eve as alice", "allowed"): create(version("probe-1", "staging")),
    ("frank", "allowed"): create(version("fraud-9", "production")),  # whose binding was the last to be made
    ("edith", "allowed"): create(version("probe-1", "staging")),  # by a role that Kubernetes puts together later
}
"""Who is refused by which policy, once it is in force."""
THEN: Mapping[tuple[str, str], Act] = {
    ("mallory", "status"): status("modelversion", "fraud-1", {"digest": "x"}),
    ("mallory", "results"): status("pod", GATE_POD, {"phase": "Succeeded"}),
    ("mallory", "commands"): execute(GATE_POD),
    ("erin", "deletion"): delete("model", "fraud"),
    ("bob", "reason"): stage("quiet-1", "staging"),
}


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The helm that renders the chart."""
    return Helm(find_helm())


@pytest.fixture(scope="session")
def cast(helm: Helm, cluster: Kube, group: str) -> Iterator[Cast]:
    """Policies as Kubernetes 1.36 and newer gets them, and a namespace with everything in it."""
    with in_force(helm, cluster, group, "--set=admission.exemptGroups={backups}") as cast:
        until_refused(cast, BEFORE_ANYTHING_EXISTS)
        populate(cast)
        until_refused(cast, THEN)
        yield cast


@contextmanager
def in_force(helm: Helm, cluster: Kube, group: str, *arguments: str) -> Iterator[Cast]:
    """Install the policies, for one namespace in which people have their rights."""
    prefix = f"modelyard{uuid.uuid4().hex[:6]}"
    installed, objects = install(helm, cluster, group, prefix, *arguments)
    with cluster.own_namespace("risk", {installed.label: ""}) as here:
        assert here.namespace
        cast = Cast(installed, here.namespace)
        try:
            give_rights(cast)
            cluster.run("apply", "--filename=-", stdin=yaml.safe_dump_all(stand_in(cast)))
            yield cast
        finally:
            uninstall(cluster, [*objects, *stand_in(cast)])


def until_refused(cast: Cast, probes: Mapping[tuple[str, str], Act]) -> None:
    """Try again and again, since the API server takes up a policy a moment after it was made."""
    deadline = time.monotonic() + IN_FORCE.budget
    for (who, policy), act in probes.items():
        while not (seen := outcome(cast, who, act)).startswith(policy):
            assert time.monotonic() < deadline, f"{IN_FORCE.name}: {who} is not answered by {policy!r}: {seen}"
