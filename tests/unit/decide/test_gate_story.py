"""Gates, told as stories on a simulated cluster: what stands before a stage, what is on record, what is undone."""

from typing import Any

import pytest

from modelyard.decide import decide
from tests.unit.decide.simulation import SERVER, Cluster

EVALUATE = {"spec": {"containers": [{"name": "evaluate", "image": "example"}]}}


def gate(name: str, *checks: str, **more: Any) -> dict[str, Any]:
    """A gate with a Job."""
    job = {"template": EVALUATE, **more.pop("job", {})}
    return {"name": name, "job": job, **({"checks": list(checks)} if checks else {}), **more}


def stage(name: str, *gates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "gates": list(gates), **more}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def promote(cluster: Cluster, *versions: str, **more: Any) -> None:
    for version in versions:
        cluster.version(version, **more)
        cluster.settle(10)


QUALITY = {"name": "quality", "checks": ["candidate.auc >= 0.8", "candidate.auc >= incumbent.auc - 0.005"]}


class TestDeclaredMetrics:
    @pytest.fixture(autouse=True)
    def model(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", QUALITY)])

    def test_a_first_version_is_compared_with_nothing(self, cluster: Cluster) -> None:
        promote(cluster, "1", metrics={"auc": 0.9})
        assert cluster.live() == "1"
        (line,) = cluster.status("ModelVersion", "fraud-1")["gates"]
        assert [check["result"] for check in line["checks"]] == ["Passed", "Skipped"]
        assert (line["result"], line["candidate"]) == ("Passed", {"auc": 0.9})

    def test_a_worse_version_ends_with_the_numbers_in_a_sentence(self, cluster: Cluster) -> None:
        promote(cluster, "1", metrics={"auc": 0.9})
        promote(cluster, "2", metrics={"auc": 0.85})
        assert cluster.live() == "1"
        assert cluster.request("2") == ("Failed", "GateFailed")
        message = cluster.status("ModelVersion", "fraud-2")["request"]["message"]
        assert "0.85" in message
        assert "0.9" in message
        assert ("ModelVersion", "GateFailed") in {(kind, reason) for kind, reason, _ in cluster.events}

    def test_a_missing_number_is_an_error_that_names_it(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        assert cluster.live() is None
        assert cluster.request("1") == ("Failed", "GateError")
        assert "auc" in cluster.status("ModelVersion", "fraud-1")["request"]["message"]


class TestJobs:
    def test_one_that_passes_lets_the_version_through(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.8"))])
        cluster.outputs["slices"] = [{"auc": 0.9}]
        promote(cluster, "1")
        assert cluster.live() == "1"
        assert cluster.gates("1") == {"slices": ("Passed", "ChecksPassed")}
        (job,) = cluster.jobs("slices")
        assert job["spec"]["ttlSecondsAfterFinished"] == 600

    def test_one_that_says_no_stops_it_before_any_pod(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.8"))])
        cluster.outputs["slices"] = [{"auc": 0.7}]
        promote(cluster, "1")
        assert cluster.request("1") == ("Failed", "GateFailed")
        assert not [key for key in cluster.objects if key[0] == "Deployment"]

    def test_they_run_at_the_same_time_and_the_request_tells_which(self, cluster: Cluster) -> None:
        cluster.hanging = {"bias", "slices"}
        cluster.model(stages=[stage("production", gate("bias", "true"), gate("slices", "true"))])
        promote(cluster, "1")
        assert len([key for key in cluster.objects if key[0] == "Job" and "-gate-" in key[1]]) == 2
        assert cluster.request("1") == ("Checking", "GateRunning")
        message = cluster.status("ModelVersion", "fraud-1")["request"]["message"]
        assert "'bias'" in message
        assert "'slices'" in message

    def test_no_answer_is_tried_again_as_often_as_said(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.8", job={"retries": 1}))])
        cluster.outputs["slices"] = [1, {"auc": 0.9}]
        cluster.version("1")
        cluster.settle()
        assert cluster.request("1") == ("Checking", "GateRetrying")
        cluster.settle(5)
        assert cluster.live() == "1"

    def test_no_answer_in_the_end_fails_the_request(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.8", job={"retries": 1}))])
        cluster.outputs["slices"] = [1]
        promote(cluster, "1")
        assert cluster.request("1") == ("Failed", "GateError")
        assert len(cluster.jobs("slices")) == 2

    def test_a_false_check_is_never_tried_again(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.8", job={"retries": 3}))])
        cluster.outputs["slices"] = [{"auc": 0.7}, {"auc": 0.9}]
        cluster.version("1")
        cluster.settle(3600)
        assert cluster.request("1") == ("Failed", "GateFailed")

    def test_deleted_by_somebody_it_gave_no_answer(self, cluster: Cluster) -> None:
        cluster.hanging = {"slices"}
        cluster.model(stages=[stage("production", gate("slices", "true"))])
        promote(cluster, "1")
        (job,) = cluster.jobs("slices")
        cluster.delete("Job", job["metadata"]["name"])
        cluster.settle(10)
        assert cluster.gates("1") == {"slices": ("Error", "JobDeleted")}
        assert cluster.request("1") == ("Failed", "GateError")

    def test_nobody_waits_for_a_withdrawn_request(self, cluster: Cluster) -> None:
        cluster.hanging = {"slices"}
        cluster.model(stages=[stage("production", gate("slices", "true"))])
        promote(cluster, "1")
        cluster.version("1", stage=None)
        cluster.settle(10)
        assert cluster.jobs("slices") == []
        assert cluster.gates("1") == {}

    def test_an_edited_gate_asks_anew(self, cluster: Cluster) -> None:
        cluster.hanging = {"slices"}
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.95"))])
        promote(cluster, "1")
        (before,) = cluster.jobs("slices")
        cluster.model(stages=[stage("production", gate("slices", "candidate.auc > 0.8"))])
        cluster.settle(10)
        (after,) = cluster.jobs("slices")
        assert before["metadata"]["name"] != after["metadata"]["name"]

    def test_an_edit_does_not_concern_the_version_that_serves(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "true"))])
        promote(cluster, "1")
        cluster.outputs["slices"] = [1]
        cluster.model(stages=[stage("production", gate("slices", "false"), gate("more", when="AfterTraffic"))])
        cluster.settle(10)
        assert cluster.live() == "1"
        assert cluster.gates("1") == {"slices": ("Passed", "ChecksPassed")}


def test_a_check_that_does_not_compile_harms_no_version(cluster: Cluster) -> None:
    cluster.model(stages=[stage("staging", gate("slices", "candidate.auc >")), stage("production")])
    promote(cluster, "1")
    assert cluster.request("1") == ("Held", "InvalidGate")
    accepted = cluster.status("Model", "fraud")["conditions"][0]
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidGate")
    for part in ("'staging'", "'slices'", "checks[0]", "line 1", "column"):
        assert part in accepted["message"]
    cluster.model(stages=[stage("staging", gate("slices", "true")), stage("production")])
    cluster.settle(10)
    assert cluster.live() == "1"
