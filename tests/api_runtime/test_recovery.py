"""A cluster is lost with everything in it, and another one serves the same from the ledger and the same manifests.

Real controllers and a played kubelet; the ledger is a folder. The other cluster is the same namespace, emptied while no
operator runs: all objects are made anew, with other identities and without a status.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, open_place
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.records import Record
from modelyard.ledger.verifying import verify
from tests.api_runtime.conftest import Process
from tests.checkout import ROOT
from tests.connections import Api
from tests.faults.kubelet import NODE_SELECTOR, SCHEDULER, Kubelet, a_node
from tests.kube import PODS_READY, Kube, Obj

pytestmark = pytest.mark.api

SERVER = {"spec": {"schedulerName": SCHEDULER, "containers": [{"name": "server", "image": "server:1"}]}}
EVALUATION = {"spec": {"schedulerName": SCHEDULER, "containers": [{"name": "evaluate", "image": "evaluate:1"}]}}
QUALITY = {"name": "quality", "job": {"template": EVALUATION}, "checks": ["candidate.auc > 0.8"]}
MODEL = {
    "serving": {"template": SERVER},
    "stages": [
        {"name": "staging", "serving": {"replicas": 1}},
        {"name": "production", "serving": {"replicas": 1}, "gates": [QUALITY], "approvals": {"required": 1}},
    ],
}
OURS = ("models", "modelversions", "approvals", "rollbacks")
MADE = ("deployments", "services", "configmaps", "jobs", "pods", "leases")


class Lab:
    """One Model with its versions in a namespace, and its record."""

    def __init__(self, here: Kube, group: str, folder: Path) -> None:
        assert here.namespace
        self.here = here
        self.folder = folder
        self.group = group
        self._chain = ChainName("old", here.namespace, "fraud")
        self.stages: dict[str, str] = {}
        """What the manifests ask for, by version."""

    def sync(self) -> None:
        """Apply the manifests, as a GitOps tool does: the Model, then its versions."""
        self.create("Model", "fraud", MODEL)
        for version, stage in self.stages.items():
            self.register(version, stage)

    def register(self, version: str, stage: str) -> None:
        self.stages[version] = stage
        artifact = {"uri": f"s3://models/fraud/{version}/"}
        self.create(
            "ModelVersion",
            f"fraud-{version}",
            {"model": "fraud", "version": version, "stage": stage, "artifact": artifact, "author": "alice"},
        )

    def promote(self, version: str) -> None:
        self.register(version, "production")
        self.version_is(version, "AwaitingApproval")
        digest = self.here.get(f"modelversions.{self.group}", f"fraud-{version}")["status"]["digest"]
        consent = {"model": "fraud", "version": version, "stage": "production", "digest": digest}
        by = {f"{self.group}/requested-by": "bob"}
        self.create("Approval", f"consent-{version}", {**consent, "decision": "Approve"}, by)
        self.serves("production", version)

    def roll_back(self) -> None:
        self.create("Rollback", "oops", {"model": "fraud", "stage": "production", "reason": "INC-1"})

    def serves(self, stage: str, version: str) -> None:
        def holds(model: Obj) -> bool:
            current = pointers(model).get(stage, {})
            return current.get("version") == version and "effectiveSince" in current

        self.here.wait(f"models.{self.group}", "fraud", holds, PODS_READY, what=f"{stage} serves {version}")

    def version_is(self, version: str, step: str) -> None:
        def holds(obj: Obj) -> bool:
            return bool(obj.get("status", {}).get("request", {}).get("step") == step)

        self.here.wait(f"modelversions.{self.group}", f"fraud-{version}", holds, PODS_READY, what=step)

    def model_says(self, reason: str) -> None:
        def holds(model: Obj) -> bool:
            return any(c["reason"] == reason for c in model.get("status", {}).get("conditions", ()))

        self.here.wait(f"models.{self.group}", "fraud", holds, what=reason)

    def model(self) -> Obj:
        return self.here.get(f"models.{self.group}", "fraud")

    def lose_everything(self) -> None:
        """Delete every object, ours and those made for them, and wait until they are gone."""
        for kind in (*(f"{kind}.{self.group}" for kind in OURS), *MADE):
            self.here.run("delete", kind, "--all", "--wait=true", "--timeout=60s")
        for kind in (f"models.{self.group}", "deployments", "services"):
            assert self.here.items(kind) == []

    def records(self) -> list[Record]:
        place = open_place(LedgerSettings(f"file://{self.folder}"))
        return [sealed.record for sealed in checked(walk(place, self._chain))]

    def commands_of_the_runbook(self) -> None:
        """Run what docs/recovery.md says on this ledger, as far as it is about the ledger."""
        text = (ROOT / "docs" / "recovery.md").read_text()
        commands = re.findall(r"^ +modelyard (.*--ledger s3://records/modelyard)", text, re.MULTILINE)
        assert [command.split()[0] for command in commands] == ["ledger", "asof", "history"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        for command in commands:
            here = command.replace("s3://records/modelyard", f"file://{self.folder}").replace("2025-11-15T10:30Z", now)
            words = here.replace("--namespace risk", f"--namespace {self.here.namespace}").split()
            program = [sys.executable, "-c", "from modelyard.cli.main import main; main()", *words]
            done = subprocess.run(program, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (words, done.stdout, done.stderr)

    def is_intact(self) -> bool:
        return verify(open_place(LedgerSettings(f"file://{self.folder}")), self._chain).intact

    def create(self, kind: str, name: str, spec: Obj, annotations: dict[str, str] | None = None) -> None:
        metadata = {"name": name, "namespace": self.here.namespace, "annotations": annotations or {}}
        self.here.create({"apiVersion": f"{self.group}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


def pointers(model: Obj) -> dict[str, Any]:
    found = model.get("status", {}).get("stages", [])
    return {stage["name"]: stage["current"] for stage in found if "current" in stage}


def identities(model: Obj) -> dict[str, Any]:
    """What must be the same in another cluster."""
    keys = ("version", "digest", "revision", "sequence", "since", "cause")
    return {name: {key: current[key] for key in keys} for name, current in pointers(model).items()}


@pytest.fixture
def lab(here: Kube, group: str, tmp_path: Path) -> Iterator[Lab]:
    api = Api()
    assert here.namespace
    with a_node(api) as node:
        kubelet = Kubelet(api, here.namespace, node)
        yield Lab(here, group, tmp_path / "ledger")
        kubelet.stop()


@pytest.fixture
def start(operator: Callable[..., Process], lab: Lab) -> Callable[..., Process]:
    """Starts the operator of a cluster of that name."""

    def begin(cluster: str, *recover_from: str) -> Process:
        ledger = {"url": f"file://{lab.folder}", "recoverFrom": recover_from}
        process = operator(
            cluster, program="real_operator", clusterName=cluster, ledger=ledger, admission=True,
            helperPods={"nodeSelector": NODE_SELECTOR},
        )  # fmt: skip
        process.until_leading()
        return process

    return begin


def test_another_cluster_serves_the_same_from_the_ledger(start: Callable[..., Process], lab: Lab) -> None:
    old = start("old")
    lab.sync()
    lab.promote("1")
    lab.promote("2")
    lab.promote("3")
    lab.roll_back()
    lab.serves("production", "2")
    lab.register("4", "staging")
    lab.serves("staging", "4")
    old.until(lambda: sum(record.type in ("Promoted", "RolledBack") for record in lab.records()) == 5, "all records")
    before = lab.model()
    old.stop()
    lab.lose_everything()

    lab.folder.rename(lab.folder.with_name("away"))
    lab.folder.write_text("not a folder")
    new = start("new", "old")
    lab.sync()
    lab.model_says("StateUnknown")
    assert lab.here.items("deployments") == lab.here.items("services") == []
    lab.folder.unlink()
    lab.folder.with_name("away").rename(lab.folder)

    lab.serves("production", "2")
    lab.serves("staging", "4")
    lab.here.run("wait", f"models.{lab.group}", "--all", "--for=condition=Ready", "--timeout=60s")
    after = lab.model()
    assert identities(after) == identities(before)
    assert after["status"]["transitions"] == before["status"]["transitions"]
    lab.version_is("3", "RolledBack")
    lab.version_is("2", "Serving")
    evaluations = [job for job in lab.here.items("jobs") if "gate" in job["metadata"]["name"]]
    assert evaluations == []
    [service] = [s for s in lab.here.items("services") if s["metadata"]["name"] == "fraud-production"]
    assert identities(before)["production"]["revision"] in service["spec"]["selector"].values()

    lab.promote("5")
    assert pointers(lab.model())["production"]["sequence"] == identities(before)["production"]["sequence"] + 1
    new.until(lambda: [r.to.version for r in lab.records() if r.to][-1] == "5", "the next record")
    adopted = next(number for number, record in enumerate(lab.records()) if record.type == "Adopted")
    writers = [record.cluster for record in lab.records()]
    assert writers == ["old"] * adopted + ["new"] * (len(writers) - adopted)
    assert lab.is_intact()
    lab.commands_of_the_runbook()
