"""Gates, told as stories on a simulated cluster: what stands before a stage, what is on record, what is undone."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from modelyard.decide import decide
from tests.tries import some
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


class TestIncumbent:
    BETTER = gate("slices", "candidate.auc > incumbent.auc")

    def test_its_numbers_come_from_the_same_evaluation(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", self.BETTER)])
        promote(cluster, "1")
        assert cluster.gates("1") == {"slices": ("Skipped", "NoIncumbent")}
        cluster.outputs["slices"] = [{"candidate": {"auc": 0.9}, "incumbent": {"auc": 0.8}}]
        promote(cluster, "2")
        assert cluster.live() == "2"
        (line,) = cluster.status("ModelVersion", "fraud-2")["gates"]
        assert (line["incumbentVersion"], line["incumbent"]) == ("1", {"auc": 0.8})

    @pytest.mark.parametrize("inputs", ["Both", "Candidate"])
    def test_a_gate_that_looks_at_it_is_asked_again_when_it_changes(self, cluster: Cluster, inputs: str) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.ok == 1", inputs=inputs))])
        promote(cluster, "1", "2")
        cluster.broken = {"3"}
        promote(cluster, "3")
        assert cluster.request("3") == ("Deploying", "WaitingForPods")
        cluster.hanging = {"slices"}
        cluster.version("2", stage=None)
        cluster.settle(10)
        assert cluster.live() == "1"
        cluster.broken = set()
        cluster.settle(10)
        assert cluster.live() == ("1" if inputs == "Both" else "3")
        assert cluster.replicas("3") == [1], "its pods run on meanwhile"
        cluster.hanging = set()
        cluster.settle(10)
        assert cluster.live() == "3"
        (line,) = cluster.status("ModelVersion", "fraud-3")["gates"]
        assert line.get("incumbentVersion") == ("1" if inputs == "Both" else None)


class TestSameBytes:
    def test_an_answer_holds_for_another_version_with_the_same_digest(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.ok == 1", inputs="Candidate"))])
        cluster.digests["2"] = cluster.verified("1")["digest"]
        promote(cluster, "1", "2")
        assert cluster.live() == "2"
        assert cluster.gates("2") == {"slices": ("Passed", "SameDigest")}
        assert len(cluster.jobs("slices")) == 1

    def test_a_no_holds_as_well_until_somebody_asks_again(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.ok == 1", inputs="Candidate"))])
        cluster.digests["2"] = cluster.verified("1")["digest"]
        cluster.outputs["slices"] = [{"ok": 0}, {"ok": 1}]
        promote(cluster, "1", "2")
        assert cluster.request("2") == ("Failed", "GateFailed")
        cluster.annotate("2", retry="again")
        cluster.settle(10)
        assert cluster.live() == "2"

    def test_a_check_that_reads_the_version_is_judged_for_each(self, cluster: Cluster) -> None:
        cluster.model(
            stages=[stage("production", gate("slices", "version.version == '1' || candidate.ok == 1", inputs="None"))]
        )
        cluster.digests["2"] = cluster.verified("1")["digest"]
        promote(cluster, "1", "2")
        assert cluster.gates("2") == {"slices": ("Passed", "ChecksPassed")}


class TestRetry:
    @pytest.fixture(autouse=True)
    def failed(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", gate("slices", "candidate.ok == 1", inputs="None"))])
        promote(cluster, "1")
        cluster.outputs["slices"] = [{"ok": 0}]
        promote(cluster, "2")
        assert cluster.request("2") == ("Failed", "GateFailed")

    def test_asking_anew_does_not_ask_the_gate_anew(self, cluster: Cluster) -> None:
        cluster.outputs["slices"] = [{"ok": 1}]
        cluster.annotate("2", request="again")
        cluster.settle(10)
        assert cluster.request("2") == ("Failed", "GateFailed")

    def test_makes_the_request_anew_and_is_recorded(self, cluster: Cluster) -> None:
        place = cluster.status("ModelVersion", "fraud-2")["request"]["place"]
        cluster.outputs["slices"] = [{"ok": 1}]
        cluster.annotate("2", retry="again", **{"retried-by": "bob"})
        cluster.settle(10)
        assert cluster.live() == "2"
        status = cluster.status("ModelVersion", "fraud-2")
        assert status["request"]["place"] > place
        assert (status["request"]["retriedBy"], status["gates"][0]["retriedBy"]) == ("bob", "bob")

    def test_acts_once_for_each_value(self, cluster: Cluster) -> None:
        cluster.annotate("2", retry="again")
        cluster.settle(10)
        assert cluster.request("2") == ("Failed", "GateFailed")
        jobs = len(cluster.jobs("slices"))
        cluster.outputs["slices"] = [{"ok": 1}]
        cluster.settle(7200)
        assert len(cluster.jobs("slices")) == jobs
        cluster.annotate("2", retry="and again")
        cluster.settle(10)
        assert cluster.live() == "2"

    def test_of_a_version_that_stands_by_moves_nothing(self, cluster: Cluster) -> None:
        cluster.outputs["slices"] = [{"ok": 1}]
        promote(cluster, "3")
        cluster.annotate("1", retry="again")
        cluster.settle(10)
        assert cluster.live() == "3"
        assert cluster.request("1")[0] == "StandingBy"

    def test_what_fails_counts_on_the_version_as_it_is(self, cluster: Cluster) -> None:
        """An older state of it has the answers of an earlier attempt, and does not know of the next one."""
        seen = [each for plan in cluster.plans if plan.commit for each in plan.commit.counts_on]
        assert [(each.name, bool(each.resource_version)) for each in seen] == [("fraud-1", False), ("fraud-2", True)]

    def test_starts_a_gate_anew_that_hangs(self, cluster: Cluster) -> None:
        cluster.hanging = {"slices"}
        promote(cluster, "3")
        (before,) = (job["metadata"]["name"] for job in cluster.jobs("slices") if "status" not in job)
        cluster.annotate("3", retry="again")
        cluster.settle(10)
        (after,) = (job["metadata"]["name"] for job in cluster.jobs("slices") if "status" not in job)
        assert before != after
        assert cluster.request("3") == ("Checking", "GateRunning")

    def test_reads_the_bytes_again_of_a_version_that_could_not_be_verified(self, cluster: Cluster) -> None:
        error = {"reason": "AccessDenied", "message": "403", "transient": False}
        cluster.outputs["slices"] = [{"ok": 1}]
        cluster.results["3"] = [{"error": error}, {"error": error}]
        promote(cluster, "3")
        for retry in ("one", "two"):
            assert cluster.request("3") == ("Failed", "AccessDenied")
            cluster.annotate("3", retry=retry)
            cluster.settle(10)
        assert cluster.live() == "3"

    def test_reads_the_bytes_again_without_a_request(self, cluster: Cluster) -> None:
        error = {"reason": "AccessDenied", "message": "403", "transient": False}
        cluster.results["3"] = [{"error": error}]
        promote(cluster, "3", stage=None)
        assert cluster.status("ModelVersion", "fraud-3")["verification"]["state"] == "Failed"
        cluster.annotate("3", retry="again")
        cluster.settle(10)
        assert cluster.status("ModelVersion", "fraud-3")["verification"]["state"] == "Passed"


class TestBeforeTraffic:
    SMOKE = gate("smoke", "candidate.ok == 1", when="BeforeTraffic", inputs="None")

    def test_asks_the_candidate_behind_a_service_of_its_own(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", self.SMOKE)])
        promote(cluster, "1")
        cluster.hanging = {"smoke"}
        promote(cluster, "2")
        assert cluster.live() == "1"
        assert cluster.request("2") == ("Checking", "GateRunning")
        (service,) = candidate_services(cluster)
        assert endpoint(cluster.jobs("smoke")[-1]) == f"{service}.risk.svc:8080"
        cluster.hanging = set()
        cluster.settle(10)
        assert cluster.live() == "2"
        assert candidate_services(cluster) == []

    def test_says_no_before_any_request_is_served(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", self.SMOKE)])
        promote(cluster, "1")
        cluster.outputs["smoke"] = [{"ok": 0}]
        pointed = set(cluster.pointed)
        promote(cluster, "2")
        assert cluster.request("2") == ("Failed", "GateFailed")
        assert set(cluster.pointed) == pointed
        assert cluster.replicas("2") == []
        assert candidate_services(cluster) == []

    def test_says_no_again_without_pods(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("staging", self.SMOKE), stage("production", self.SMOKE)])
        cluster.outputs["smoke"] = [{"ok": 0}]
        promote(cluster, "1", "2")
        for version, wanted in (("1", "staging"), ("2", "production")):
            cluster.settle(10)
            cluster.version(version, stage=wanted, annotations={"modelyard.dev/request": "again"})
            for _ in range(10):
                cluster.step()
                assert not [key for key in cluster.objects if key[0] == "Deployment"]
            assert cluster.request(version) == ("Failed", "GateFailed")

    def test_is_not_taken_for_lost_while_pods_come_and_go(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", self.SMOKE)])
        cluster.hanging = {"smoke"}
        promote(cluster, "1")
        (before,) = cluster.jobs("smoke")
        cluster.broken = {"1"}
        for pod in [name for kind, name in cluster.objects if kind == "Pod" and not name.endswith("-x")]:
            cluster.delete("Pod", pod)
        cluster.settle(10)
        assert cluster.request("1") == ("Deploying", "WaitingForPods")
        cluster.broken, cluster.hanging = set(), set()
        cluster.settle(10)
        assert cluster.live() == "1"
        assert [job["metadata"]["name"] for job in cluster.jobs("smoke")] == [before["metadata"]["name"]]

    def test_without_a_server_there_is_no_endpoint(self, cluster: Cluster) -> None:
        cluster.apply("Model", "fraud", {"stages": [stage("production", self.SMOKE)]})
        promote(cluster, "1")
        assert cluster.status("Model", "fraud")["summary"]["live"] == "1"
        assert endpoint(cluster.jobs("smoke")[0]) == ""

    def test_with_replace_the_incumbent_serves_until_files_and_people_have_consented(self, cluster: Cluster) -> None:
        cluster.model(
            serving={"template": SERVER, "rollout": {"strategy": "Replace"}},
            stages=[stage("production", gate("slices", "candidate.ok == 1", inputs="None"), self.SMOKE)],
        )
        promote(cluster, "1")
        cluster.hanging = {"slices"}
        promote(cluster, "2")
        assert cluster.replicas("1") == [1]
        cluster.hanging = {"smoke"}
        cluster.settle(10)
        assert cluster.replicas("1") == [0]
        cluster.hanging = set()
        cluster.outputs["smoke"] = [{"ok": 0}]
        cluster.settle(10)
        assert cluster.request("2") == ("Failed", "GateFailed")
        assert cluster.replicas("1") == [1]


def candidate_services(cluster: Cluster) -> list[str]:
    return [name for kind, name in cluster.objects if kind == "Service" and len(name) > len("fraud-production")]


def endpoint(job: dict[str, Any]) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return str(next(entry["value"] for entry in container["env"] if entry["name"] == "MODELYARD_ENDPOINT"))


class TestStagesInOrder:
    GATES = (
        gate("slices", "candidate.ok == 1", inputs="Candidate"),
        gate("smoke", "candidate.ok == 1", when="BeforeTraffic", inputs="None"),
        gate("after", "candidate.ok == 1", when="AfterTraffic", inputs="None"),
    )

    def test_a_later_stage_passes_the_gates_of_the_earlier_ones_on_a_candidate_there(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("staging", *self.GATES), stage("production")])
        promote(cluster, "1", stage="staging")
        cluster.hanging = {"smoke", "after"}
        promote(cluster, "2")
        assert cluster.live("staging") == "1"
        assert cluster.request("2") == ("Checking", "GateRunning")
        assert (cluster.replicas("2", "staging"), cluster.replicas("2")) == ([1], [])
        assert "fraud-staging" in endpoint(cluster.jobs("after")[-1])
        cluster.hanging = set()
        cluster.settle(10)
        assert (cluster.live("staging"), cluster.live()) == ("1", "2")
        assert cluster.replicas("2", "staging") == []
        assert candidate_services(cluster) == []

    def test_a_no_at_an_earlier_stage_ends_the_request(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("staging", *self.GATES), stage("production")])
        cluster.outputs["smoke"] = [{"ok": 0}]
        promote(cluster, "1")
        assert cluster.request("1") == ("Failed", "GateFailed")
        assert not [key for key in cluster.objects if key[0] == "Deployment"]

    def test_what_was_passed_on_the_way_into_staging_is_not_asked_again(self, cluster: Cluster) -> None:
        both = gate("bias", "candidate.ok == 1")
        cluster.model(stages=[stage("staging", both, *self.GATES), stage("production")])
        promote(cluster, "1", "2", stage="staging")
        cluster.settle(10)
        jobs = len([key for key in cluster.objects if key[0] == "Job"])
        promote(cluster, "2")
        assert (cluster.live("staging"), cluster.live()) == ("2", "2")
        assert len([key for key in cluster.objects if key[0] == "Job"]) == jobs

    def test_a_suspended_earlier_stage_gets_no_pods(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("staging", *self.GATES, suspend=True), stage("production")])
        promote(cluster, "1")
        assert cluster.request("1") == ("Held", "Suspended")
        assert cluster.gates("1") == {"slices": ("Passed", "ChecksPassed")}

    def test_a_paused_stage_is_asked_and_its_pointer_stays(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("staging", *self.GATES)])
        promote(cluster, "1", stage="staging")
        cluster.model(stages=[stage("staging", *self.GATES, paused=True)])
        promote(cluster, "2", stage="staging")
        assert cluster.gates("2") == {"slices": ("Passed", "ChecksPassed")}
        assert cluster.request("2") == ("Held", "Paused")
        assert cluster.live("staging") == "1"


class TestAfterTraffic:
    AFTER = gate("after", "candidate.ok == 1", when="AfterTraffic")

    @pytest.fixture(autouse=True)
    def model(self, cluster: Cluster) -> None:
        cluster.model(stages=[stage("production", self.AFTER)])

    def test_passed_makes_the_revision_good(self, cluster: Cluster) -> None:
        cluster.hanging = {"after"}
        promote(cluster, "1")
        assert cluster.live() == "1"
        assert cluster.request("1") == ("Serving", "GateRunning")
        assert endpoint(cluster.jobs("after")[0]) == "fraud-production.risk.svc:8080"
        assert goods(cluster) == []
        cluster.hanging = set()
        cluster.settle(10)
        assert cluster.request("1") == ("Serving", "Serving")
        assert goods(cluster) == ["1"]

    def test_that_it_passed_is_written_though_the_process_died_before_that(self, cluster: Cluster) -> None:
        place = ("ConfigMap", "fraud-production")
        cluster.hanging = {"after"}
        promote(cluster, "1")
        on_trial = copy.deepcopy(cluster.objects[place])
        assert on_trial["metadata"]["annotations"]["modelyard.dev/on-trial"] == "true"
        cluster.hanging = set()
        cluster.settle(10)
        cluster.objects[place] = on_trial  # the commit was made, and the write after it was not
        cluster.settle(1)
        assert "modelyard.dev/on-trial" not in cluster.objects[place]["metadata"]["annotations"]
        cluster.wipe_status("Model", "fraud")
        cluster.version("2")
        cluster.settle(10)
        assert goods(cluster) == ["1", "2"]

    def test_failed_goes_back_and_ends_the_request(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.outputs["after"] = [{"ok": 0}]
        promote(cluster, "2")
        assert cluster.live() == "1"
        assert cluster.request("2") == ("Failed", "GateFailed")
        assert cluster.request("1") == ("Serving", "Serving")
        last = cluster.status("Model", "fraud")["transitions"][-1]
        assert (last["type"], last["to"]["version"]) == ("Undone", "1")
        assert "'after'" in last["reason"]
        assert ("Model", "VersionUndone") in {(kind, reason) for kind, reason, _ in cluster.events}
        cluster.settle(10)
        assert cluster.replicas("2") == []
        assert goods(cluster) == ["1"]
        promote(cluster, "3")
        cluster.settle(7200)
        assert cluster.live() == "1"

    def test_what_is_replaced_before_it_passed_does_not_stand_by(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.hanging = {"after"}
        promote(cluster, "2")
        promote(cluster, "3")
        cluster.hanging = set()
        cluster.settle(10)
        assert cluster.request("1") == ("StandingBy", "StandingBy")
        assert cluster.request("2") == ("Superseded", "Superseded")
        told = cluster.status("ModelVersion", "fraud-2")["request"]["message"]
        assert told.startswith("it was replaced before its gates in traffic (AfterTraffic) had passed")
        assert goods(cluster) == ["1", "3"]

    def test_it_serves_on_until_a_cold_revision_is_ready(self, cluster: Cluster) -> None:
        cluster.model(
            serving={"template": SERVER, "keepWarm": {"for": "1h", "replicas": 0}},
            stages=[stage("production", self.AFTER)],
        )
        promote(cluster, "1")
        cluster.outputs["after"] = [{"ok": 0}]
        cluster.version("2")
        while cluster.live() != "2":
            assert cluster.step()
        cluster.settle(10)
        assert cluster.live() == "1"

    def test_with_nothing_to_go_back_to_it_serves_on_and_says_so(self, cluster: Cluster) -> None:
        cluster.outputs["after"] = [{"ok": 0}]
        promote(cluster, "1")
        assert cluster.live() == "1"
        assert cluster.request("1") == ("Failed", "GateFailed")
        waiting = next(c for c in cluster.status("Model", "fraud")["conditions"] if c["type"] == "Waiting")
        assert (waiting["status"], waiting["reason"]) == ("True", "UndoImpossible")
        cluster.outputs["after"] = [{"ok": 1}]
        cluster.annotate("1", retry="again")
        cluster.settle(10)
        assert goods(cluster) == ["1"]
        assert cluster.request("1") == ("Serving", "Serving")

    def test_a_changed_template_is_tried_and_goes_back_without_harm_to_the_version(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        before = cluster.serving()
        cluster.outputs["after"] = [{"ok": 0}]
        changed = {"spec": {"containers": [{"name": "server", "image": "changed"}]}}
        cluster.model(serving={"template": changed}, stages=[stage("production", self.AFTER)])
        cluster.settle(10)
        history = [line["type"] for line in cluster.status("Model", "fraud")["transitions"]]
        assert history == ["Promoted", "Reconfigured", "Undone"]
        after = cluster.serving()
        assert before
        assert after
        assert before["metadata"]["name"] == after["metadata"]["name"]
        assert cluster.request("1") == ("Serving", "Serving")
        accepted = cluster.status("Model", "fraud")["conditions"][0]
        assert (accepted["status"], "'after'" in accepted["message"]) == ("False", True)
        cluster.settle(7200)
        assert len(cluster.status("Model", "fraud")["transitions"]) == 3

    def test_a_rollback_asks_no_gate(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.outputs["after"] = [{"ok": 0}]
        cluster.rollback("back")
        cluster.settle(10)
        assert cluster.live() == "1"
        assert goods(cluster) == ["1"]

    def test_a_paused_stage_goes_back_nevertheless(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.hanging = {"after"}
        promote(cluster, "2")
        cluster.model(stages=[stage("production", self.AFTER, paused=True)])
        cluster.hanging, cluster.outputs["after"] = set(), [{"ok": 0}]
        cluster.settle(10)
        assert cluster.live() == "1"


def test_a_changed_template_is_asked_at_its_pods_and_nobody_is_asked_to_approve(cluster: Cluster) -> None:
    smoke = gate("smoke", "candidate.ok == 1", when="BeforeTraffic")
    stages = [stage("production", gate("slices", "candidate.ok == 1"), smoke)]
    cluster.model(stages=stages)
    promote(cluster, "1")
    stages[0]["approvals"] = {"required": 2}
    cluster.outputs["smoke"] = [{"ok": 0}]
    changed = {"spec": {"containers": [{"name": "server", "image": "changed"}]}}
    cluster.model(serving={"template": changed}, stages=stages)
    cluster.settle(10)
    assert [line["type"] for line in cluster.status("Model", "fraud")["transitions"]] == ["Promoted"]
    assert (len(cluster.jobs("slices")), len(cluster.jobs("smoke"))) == (1, 2)
    assert cluster.status("Model", "fraud")["conditions"][0]["status"] == "False"
    cluster.outputs["smoke"] = [{"ok": 1}]
    again = {"spec": {"containers": [{"name": "server", "image": "again"}]}}
    cluster.model(serving={"template": again}, stages=stages)
    cluster.settle(10)
    assert [line["type"] for line in cluster.status("Model", "fraud")["transitions"]] == ["Promoted", "Reconfigured"]


def test_death_after_every_single_write_asks_nothing_twice_and_ends_in_the_same_place() -> None:
    """The process dies after the Nth write of each plan, for every N; what follows comes to the same end."""

    def story(writes: int | None) -> Cluster:
        cluster = Cluster()
        before = gate("slices", "candidate.ok == 1", job={"retries": 1})
        smoke = gate("smoke", "candidate.ok == 1", when="BeforeTraffic")
        after = gate("after", "candidate.ok == 1", when="AfterTraffic")
        cluster.model(stages=[stage("staging", before, smoke), stage("production", QUALITY, smoke, after)])
        cluster.outputs = {"slices": [1, {"ok": 1}], "after": [{"ok": 1}, {"ok": 0}]}
        for version in ("1", "2"):
            cluster.version(version, metrics={"auc": 0.9})
            idle = 0
            while idle < 4:
                plan = decide(cluster.snapshot(), cluster.now)
                cluster.carry_out(plan, None if plan.is_empty else writes)
                cluster.play()
                idle = idle + 1 if plan.is_empty else 0
                cluster.now += timedelta(seconds=6 if plan.is_empty else 0)
            cluster.settle(10)
        return cluster

    whole = story(None)
    for writes in some(range(1, 7)):
        assert _outline(story(writes)) == _outline(whole), f"died after write {writes}"
    assert whole.live() == "1"


def _outline(cluster: Cluster) -> dict[str, object]:
    return {
        "live": cluster.live(),
        "steps": [cluster.request(v) for v in ("1", "2")],
        "gates": [cluster.gates(v) for v in ("1", "2")],
        "history": [(t["type"], t["to"]["version"]) for t in cluster.status("Model", "fraud")["transitions"]],
        "objects": sorted((kind, name) for kind, name in cluster.objects if kind in ("Deployment", "Service")),
        "jobs": {name: sorted(map(_version, cluster.jobs(name))) for name in ("slices", "smoke", "after")},
    }


def goods(cluster: Cluster) -> list[str]:
    """Versions that production could go back to, or serves for good."""
    (found,) = cluster.status("Model", "fraud")["stages"]
    return sorted(revision["version"] for revision in found["revisions"] if revision["good"])


def _version(job: dict[str, Any]) -> str:
    return str(job["metadata"]["labels"]["modelyard.dev/version"])
