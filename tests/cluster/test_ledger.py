"""The ledger of an installed operator, asked by people: through the cluster with a viewer's rights, and in its store.

The story: version 1 is promoted, approved and serves; version 2 replaces it; a Rollback takes it back; both versions
are deleted. Then somebody asks what served at each moment, and who approved it.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import CLUSTER_DIR
from tests.cluster.conftest import NAMESPACE_LABELS, a_registry
from tests.cluster.registry import Registry
from tests.cluster.test_approvals import acting, approve, in_another_second_than, person
from tests.kube import Kube, Timeout
from tests.plugin import Done, Plugin

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("ledger")]

RECORDED = Timeout("the ledger has been told", 60)
URL = "s3://ledger/modelyard"
ROLES = [("alice", "registrar"), ("alice", "promoter"), ("bob", "reviewer"), ("carol", "viewer"), ("dave", "oncall")]
STAGES = [{"name": "production", "serving": {"replicas": 1}, "approvals": {"required": 1}}]


@dataclass
class Told:
    """A namespace in which all of the story has happened, and when each version served."""

    registry: Registry
    first: str
    second: str
    again: str
    folder: Path
    storage: dict[str, str]

    def ask(self, who: str, *words: str, **environment: str) -> Done:
        """The plugin, in the hands of a person with a token."""
        return Plugin.install(person(self.registry, who), self.folder, **environment)(*words)

    def in_store(self, *words: str) -> Done:
        """The plugin in the hands of somebody with rights in the store, and none in the cluster."""
        nobody = replace(self.registry.kube, kubeconfig=self.folder / "none")
        return Plugin.install(nobody, self.folder, **self.storage)(*words, "--ledger", URL)


@pytest.fixture(scope="module")
def told(kube: Kube, storage: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """All of the story, once for the module."""
    with a_registry(kube, storage, NAMESPACE_LABELS) as registry, people(registry):
        registry.model(stages=STAGES)
        moments = [serve(registry, "1"), serve(registry, "2")]
        acting(registry, "dave").rollback("back")
        registry.applied("back")
        registry.serves("1")
        moments.append(now())
        for version in ("1", "2"):
            registry.kube.delete("modelversion", f"fraud-{version}")
        keys = {name: value for name, value in storage.items() if name.startswith("AWS_")}
        yield Told(registry, *moments, tmp_path_factory.mktemp("plugin"), keys)


@contextmanager
def people(registry: Registry) -> Iterator[None]:
    """Who may do what in the namespace; Dave sees in the whole cluster who may."""
    for who, role in ROLES:
        binding = ("rolebinding", f"{who}-{role}", f"--clusterrole=modelyard-{role}", f"--user={who}")
        registry.kube.run("create", *binding)
    auditor = f"auditor-{registry.namespace}"
    registry.kube.run("create", "clusterrolebinding", auditor, "--clusterrole=modelyard-auditor", "--user=dave")
    try:
        yield
    finally:
        registry.kube.delete("clusterrolebinding", auditor)


def serve(registry: Registry, version: str) -> str:
    """Have Alice ask for production, and Bob approve; a moment at which it serves."""
    acting(registry, "alice").version(version, author="alice", datasets=[{"name": f"payments-{version}"}])
    digest = registry.reaches(version, "AwaitingApproval")["status"]["digest"]
    approve(registry, "bob", version, digest, comment=f"fine-{version}")
    registry.serves(version)
    return now()


def now() -> str:
    """This moment; the next one is in another second."""
    moment = datetime.now(UTC)
    in_another_second_than(moment)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def until_told(ask: Any, *types: str) -> None:
    """Wait until the ledger has these records, in any order."""
    deadline = time.monotonic() + RECORDED.budget
    while True:
        done = ask("history", "fraud", "-o", "json")
        found = [record["type"] for record in json.loads(done.out or "[]")] if done.code == 0 else []
        if all(found.count(each) >= types.count(each) for each in types):
            return
        assert time.monotonic() < deadline, f"{RECORDED.name}: {found}; {done.err}"
        time.sleep(0.5)


def test_what_served_then_and_who_approved_it(told: Told) -> None:
    """A viewer without any right in the store is told the same as who reads the store himself."""
    registry = told.registry
    until_told(lambda *words: told.ask("carol", *words), "Promoted", "Promoted", "RolledBack", "Deleted", "Deleted")
    stage = f"{registry.namespace}/fraud@production"
    for moment, version in ((told.first, "1"), (told.second, "2"), (told.again, "1")):
        through_cluster = told.ask("carol", "asof", stage, moment).ok().out
        assert f"version {version} served from" in through_cluster
        for fact in ("approved by bob", f"fine-{version}", f"data payments-{version}", "asked by"):
            assert fact in " ".join(through_cluster.split())
        assert told.in_store("asof", stage, moment).ok().out == through_cluster
    again = json.loads(told.ask("carol", "asof", stage, told.again, "-o", "json").ok().out)
    (period,) = again[0]["periods"]
    assert (period["move"]["type"], period["move"]["request"]["by"]) == ("RolledBack", "dave")
    assert [approval["by"] for approval in period["origin"]["approvals"]] == ["bob"]


def test_the_chain_is_signed_and_intact(told: Told) -> None:
    public = told.folder / "public.pem"
    export = ["openssl", "pkey", "-in", str(CLUSTER_DIR / "ledger.pem"), "-pubout", "-out", str(public)]
    subprocess.run(export, check=True)
    chain = f"{told.registry.namespace}/fraud"
    for ask in (lambda *words: told.ask("carol", *words), told.in_store):
        line = ask("ledger", "verify", chain, "--key", str(public)).ok().out
        assert " records, intact; head " in line
        assert "; signed; " in line
        records = [json.loads(line) for line in ask("ledger", "export", chain).ok().out.splitlines()]
        assert all(record["signature"] and record["cluster"] == "dev" for record in records)
    told.ask("carol", "ledger", "verify", "fraud", "--against-cluster").ok()


def test_namespaces_are_walls(told: Told) -> None:
    """Eve is logged in, and gets through to the operator like everybody; that is all."""
    refused = told.ask("eve", "asof", f"{told.registry.namespace}/fraud@production", told.first)
    assert refused.code == 4
    assert f"user 'eve' may not get models/ledger of 'fraud' in namespace '{told.registry.namespace}'" in refused.err
    everything = told.ask("carol", "ledger", "verify")
    assert everything.code == 4
    assert "user 'carol' may not list models/ledger in all namespaces" in everything.err


def test_an_auditor_sees_who_may_do_what(told: Told) -> None:
    """Kubernetes shows roles and bindings to no viewer; the auditor's role does."""
    viewer = told.ask("carol", "who", "fraud").ok()
    assert "the ClusterRole modelyard-auditor gives it" in viewer.err
    seen = told.ask("dave", "who", "fraud@production").ok()
    assert not seen.err
    assert {"approve", "bob"} <= set(seen.out.split())


def test_every_replica_serves(told: Told) -> None:
    """The one that stands by as well: each has answered some of what was asked."""
    operator = replace(told.registry.kube, namespace="modelyard-system")
    pods = operator.items("pods", "app.kubernetes.io/component=operator")
    assert len(pods) == 2
    path = "/api/v1/namespaces/modelyard-system/pods/https:{}:8443/proxy/v1"
    for pod in pods:
        with pytest.raises(AssertionError, match="no token came along"):
            operator.run("get", "--raw", path.format(pod["metadata"]["name"]))
