"""The semantics of stages, told as stories on a simulated cluster. Numbers in names are those of the design."""

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard.api import names
from modelyard.decide import decide, requests, state
from modelyard.decide.plan import Patch, Sighting
from modelyard.decide.snapshot import HelperPods
from tests.tries import some
from tests.unit.decide.simulation import SERVER, Cluster


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.model()
    return made


def promote(cluster: Cluster, *versions: str) -> None:
    for version in versions:
        cluster.version(version)
        cluster.settle(10)


def image(cluster: Cluster) -> str:
    serving = cluster.serving()
    assert serving
    return str(serving["spec"]["template"]["spec"]["containers"][0]["image"])


def test_first_version_is_verified_deployed_and_served(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle()
    assert cluster.live() == "1"
    assert cluster.request("1") == ("Serving", "Serving")
    status = cluster.status("ModelVersion", "fraud-1")
    assert status["digest"] == "sha256:" + "1".rjust(64, "0")
    assert status["stage"] == "production"
    summary = cluster.status("Model", "fraud")["summary"]
    assert (summary["live"], summary["stages"]) == ("1", "production=1")


def test_a_promotion_is_told_step_by_step(cluster: Cluster) -> None:
    promote(cluster, "1")
    cluster.version("2")
    steps = []
    while cluster.step():
        steps.append(cluster.request("2")[0])
    assert list(dict.fromkeys(steps)) == ["Verifying", "Deploying", "Switching", "Serving"]


def test_a_world_at_rest_asks_for_nothing(cluster: Cluster) -> None:
    promote(cluster, "1", "2")
    cluster.settle(20)
    cluster.step()
    assert cluster.plans[-1].is_empty


def test_newer_version_takes_over_and_the_old_stands_by_warm(cluster: Cluster) -> None:
    promote(cluster, "1", "2")
    assert cluster.live() == "2"
    assert cluster.request("1") == ("StandingBy", "StandingBy")
    assert cluster.replicas("1") == [1]
    assert cluster.status("Model", "fraud")["summary"]["rollback"] == "1 (warm)"
    cluster.settle(3600)
    assert cluster.replicas("1") == [0]
    assert cluster.status("Model", "fraud")["summary"]["rollback"] == "1 (cold)"


def test_requests_first_seen_together_are_ordered_by_version(cluster: Cluster) -> None:
    for version in ("10", "9", "2"):
        cluster.version(version)
    cluster.settle(10)
    assert cluster.live() == "10"
    assert cluster.request("9")[0] == "Superseded"
    assert cluster.replicas("2") == []


def test_an_older_version_does_not_displace_a_newer_one_by_being_created(cluster: Cluster) -> None:
    promote(cluster, "2", "1")
    assert cluster.live() == "2"
    assert cluster.request("1") == ("Superseded", "OlderThanCurrent")
    cluster.version("1", annotations={"modelyard.dev/request": "now"})
    cluster.settle(10)
    assert cluster.live() == "1"


def test_a_failed_version_leaves_the_incumbent_and_never_resumes(cluster: Cluster) -> None:
    promote(cluster, "1")
    error = {"reason": "DigestMismatch", "message": "model.pkl differs", "transient": False}
    cluster.results["2"] = [{"error": error}]
    promote(cluster, "2")
    assert cluster.live() == "1"
    assert cluster.request("2") == ("Failed", "DigestMismatch")
    summary = cluster.status("Model", "fraud")["summary"]
    assert (summary["pending"], summary["reason"]) == ("2 to production (Failed)", "DigestMismatch")
    cluster.settle(7200)
    assert cluster.live() == "1"
    cluster.version("2", annotations={"modelyard.dev/request": "again"})
    cluster.settle(10)
    assert cluster.live() == "2"


def test_a_transient_failure_is_tried_again_with_backoff(cluster: Cluster) -> None:
    error = {"reason": "StoreUnavailable", "message": "connection refused", "transient": True}
    cluster.results["1"] = [{"error": error}, {"error": error}]
    cluster.version("1")
    cluster.settle()
    assert cluster.request("1") == ("Verifying", "StoreUnavailable")
    cluster.settle(9)
    assert cluster.live() is None
    cluster.settle(2)
    cluster.settle(21)
    assert cluster.live() == "1"


def test_a_result_without_a_digest_is_none_and_asked_for_again(cluster: Cluster) -> None:
    cluster.results["1"] = [{}]
    cluster.version("1")
    cluster.settle()
    assert cluster.request("1") == ("Verifying", "InternalError")
    cluster.settle(60)
    assert cluster.live() == "1"


def test_pods_that_never_get_ready_fail_at_the_deadline(cluster: Cluster) -> None:
    promote(cluster, "1")
    cluster.broken.add("2")
    promote(cluster, "2")
    assert cluster.request("2") == ("Deploying", "WaitingForPods")
    cluster.settle(600)
    assert cluster.request("2") == ("Failed", "ProgressDeadlineExceeded")
    assert cluster.live() == "1"
    assert cluster.replicas("2") == []


def test_when_the_newest_fails_the_next_one_is_taken_up(cluster: Cluster) -> None:
    promote(cluster, "1")
    cluster.broken |= {"2", "3", "4"}
    for version in ("2", "3", "4"):
        cluster.version(version)
    cluster.settle(10)
    assert sorted(cluster.request(v)[0] for v in ("2", "3", "4")) == ["Deploying", "Queued", "Queued"]
    cluster.broken.discard("2")
    cluster.settle(601)
    assert cluster.request("4")[0] == "Failed"
    assert cluster.live() == "1"
    cluster.settle(601)
    assert cluster.live() == "2"


class TestRollback:
    def test_warm(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.rollback("back")
        cluster.settle()
        assert cluster.live() == "1"
        assert cluster.request("2") == ("RolledBack", "RolledBack")
        assert cluster.status("Rollback", "back")["outcome"] == "Applied"
        cluster.settle(10)
        assert cluster.replicas("2") == []

    def test_holds_while_the_old_manifest_is_asserted_and_after_its_deletion(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.rollback("back")
        cluster.settle(10)
        cluster.version("2")
        cluster.delete("Rollback", "back")
        cluster.settle(100)
        assert cluster.live() == "1"
        promote(cluster, "3")
        assert cluster.live() == "3"
        assert cluster.status("Model", "fraud")["summary"]["rollback"] == "1 (warm)"

    def test_acts_once_even_when_its_status_is_wiped(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.rollback("back")
        cluster.settle(10)
        promote(cluster, "3")
        cluster.wipe_status("Rollback", "back")
        cluster.settle(10)
        assert cluster.live() == "3"
        assert cluster.status("Rollback", "back")["outcome"] == "Applied"

    def test_refused_it_never_acts_though_its_status_is_lost_after_the_one_of_the_model(self, cluster: Cluster) -> None:
        cluster.model(serving={"template": SERVER, "keepWarm": {"for": "0s"}})
        promote(cluster, "1", "2")
        cluster.settle(10)
        cluster.broken.add("1")
        cluster.rollback("back")
        cluster.settle(700)
        refused = cluster.status("Rollback", "back")
        assert refused["conditions"][0]["reason"] == "TargetFailed"
        cluster.wipe_status("Model", "fraud")
        cluster.settle(10)
        cluster.broken.clear()
        cluster.wipe_status("Rollback", "back")
        cluster.settle(10)
        assert cluster.live() == "2"
        again = cluster.status("Rollback", "back")
        assert [again[part] for part in ("outcome", "fromVersion")] == ["Refused", "2"]
        assert again["conditions"][0]["message"] == refused["conditions"][0]["message"]

    def test_its_target_asked_for_at_the_same_moment_moves_the_stage_once(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.model(stages=[{"name": "production", "version": "1"}])
        cluster.rollback("back")
        cluster.settle(10)
        assert cluster.live() == "1"
        moves = [(line["type"], line["to"]["version"]) for line in cluster.status("Model", "fraud")["transitions"]]
        assert moves == [("Promoted", "1"), ("Promoted", "2"), ("RolledBack", "1")]
        assert cluster.status("Rollback", "back")["outcome"] == "Applied"

    def test_what_it_ended_though_it_moved_nothing_stays_ended_when_the_status_is_lost(self, cluster: Cluster) -> None:
        cluster.model(serving={"template": SERVER, "keepWarm": {"for": "0s"}})
        promote(cluster, "1", "2", "3")
        cluster.settle(10)
        cluster.broken.add("1")
        cluster.rollback("back", to="1")
        cluster.settle(700)
        assert cluster.status("Rollback", "back")["outcome"] == "Refused"
        ended = [cluster.request(version) for version in "23"]
        assert ended == [("RolledBack", "RolledBack")] * 2
        cluster.wipe_status("Model", "fraud")
        cluster.settle(10)
        assert cluster.live() == "3"
        assert [cluster.request(version) for version in "23"] == ended

    def test_the_version_it_leaves_is_taken_up_after_it_when_asked_for_anew_meanwhile(self, cluster: Cluster) -> None:
        cluster.model(serving={"template": SERVER, "keepWarm": {"for": "0s"}})
        promote(cluster, "1")
        promote(cluster, "2")
        cluster.settle(10)
        cluster.slow = True
        cluster.rollback("back")
        cluster.settle()
        cluster.annotate("2", request="again")
        cluster.settle()
        assert cluster.live() == "2"
        assert cluster.request("2") == ("Queued", "Queued")
        cluster.slow = False
        cluster.settle(10)
        assert cluster.live() == "2"
        moves = [line["type"] for line in cluster.status("Model", "fraud")["transitions"]]
        assert moves == ["Promoted", "Promoted", "RolledBack", "Promoted"]

    def test_cold_waits_for_pods_while_the_present_version_serves(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.settle(3700)
        assert cluster.replicas("1") == [0]
        cluster.slow = True
        cluster.rollback("back")
        cluster.settle()
        assert cluster.live() == "2"
        assert cluster.status("Rollback", "back")["outcome"] == "Pending"
        cluster.slow = False
        cluster.settle(1)
        assert cluster.live() == "1"

    def test_a_default_target_that_cannot_start_gives_way_to_the_next(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2", "3")
        cluster.settle(3700)
        cluster.broken.add("2")
        cluster.rollback("back")
        cluster.settle(601)
        assert cluster.live() == "1"

    def test_a_named_target_that_cannot_start_leaves_the_present_version(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2", "3")
        cluster.settle(3700)
        cluster.broken.add("2")
        cluster.rollback("back", to="2")
        cluster.settle(601)
        assert cluster.live() == "3"
        status = cluster.status("Rollback", "back")
        assert (status["outcome"], status["conditions"][0]["reason"]) == ("Refused", "TargetFailed")

    @pytest.mark.parametrize(
        ("to", "reason"),
        [
            pytest.param(None, "NoTarget", id="nothing served before"),
            pytest.param("1", "AlreadyServing", id="it serves already"),
            pytest.param("9", "NotEligible", id="never good there"),
        ],
    )
    def test_refusals(self, cluster: Cluster, to: str | None, reason: str) -> None:
        promote(cluster, "1")
        cluster.rollback("back", to=to)
        cluster.settle(10)
        assert cluster.live() == "1"
        assert cluster.status("Rollback", "back")["conditions"][0]["reason"] == reason

    def test_a_version_rolled_away_from_is_no_target(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.rollback("back")
        cluster.settle(10)
        promote(cluster, "3")
        cluster.rollback("again", to="2")
        cluster.settle(10)
        assert cluster.live() == "3"
        assert cluster.status("Rollback", "again")["conditions"][0]["reason"] == "NotEligible"

    def test_is_whole_a_changed_template_is_not_put_on_the_old_version(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.version("2", stage=None)
        cluster.settle()
        cluster.model(serving={"template": {"spec": {"containers": [{"name": "server", "image": "changed"}]}}})
        cluster.version("2")
        cluster.settle(10)
        assert (cluster.live(), image(cluster)) == ("2", "changed")
        cluster.rollback("back")
        cluster.settle(10)
        assert (cluster.live(), image(cluster)) == ("1", "example")
        cluster.settle(100)
        assert (cluster.live(), image(cluster)) == ("1", "example")
        cluster.model(serving={"template": {"spec": {"containers": [{"name": "server", "image": "fixed"}]}}})
        cluster.settle(10)
        assert (cluster.live(), image(cluster)) == ("1", "fixed")

    def test_one_that_is_not_remembered_any_more_does_not_run_again(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        for number in range(state.ROLLBACKS_KEPT + 1):
            cluster.rollback(f"back-{number}")
            cluster.settle(1)
        assert cluster.live() == "1"
        promote(cluster, "3")
        cluster.wipe_status("Rollback", "back-0")
        cluster.settle(10)
        assert cluster.live() == "3"
        assert cluster.status("Rollback", "back-0")["conditions"][0]["reason"] == "PredatesState"

    def test_before_anything_is_known_it_does_not_run(self) -> None:
        cluster = Cluster()
        cluster.rollback("back")
        cluster.model()
        cluster.version("1")
        cluster.settle(10)
        assert cluster.live() == "1"
        assert cluster.status("Rollback", "back")["conditions"][0]["reason"] == "PredatesState"


class TestWithdrawal:
    @pytest.mark.parametrize("how", ["edit", "delete"])
    def test_the_version_before_takes_over(self, cluster: Cluster, how: str) -> None:
        promote(cluster, "1", "2")
        if how == "edit":
            cluster.version("2", stage=None)
        else:
            cluster.delete("ModelVersion", "fraud-2")
        cluster.settle(10)
        assert cluster.live() == "1"
        assert cluster.request("1") == ("Serving", "Serving")

    def test_without_a_successor_it_serves_on(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.version("1", stage=None)
        cluster.settle(10)
        assert cluster.live() == "1"
        waiting = next(c for c in cluster.status("Model", "fraud")["conditions"] if c["type"] == "Waiting")
        assert waiting["reason"] == "NoSuccessor"

    @pytest.mark.parametrize("first", ["withdrawn", "asked", "together"])
    def test_reverting_the_promoting_commit_is_a_rollback_in_any_order(self, cluster: Cluster, first: str) -> None:
        promote(cluster, "1", "2")
        cluster.version("1", stage=None)
        cluster.settle(10)
        assert cluster.live() == "2"
        edits = {"withdrawn": ["2", "1"], "asked": ["1", "2"], "together": ["1", "2"]}[first]
        for version in edits:
            cluster.version(version, stage="production" if version == "1" else None)
            if first != "together":
                cluster.settle(10)
        cluster.settle(10)
        assert cluster.live() == "1"

    def test_a_version_that_moves_on_to_a_later_stage_keeps_the_earlier_one(self, cluster: Cluster) -> None:
        for version in ("1", "2"):
            cluster.version(version, stage="staging")
            cluster.settle(10)
        promote(cluster, "2")
        assert (cluster.live("staging"), cluster.live()) == ("2", "2")
        assert cluster.status("ModelVersion", "fraud-2")["stage"] == "production"
        cluster.version("2", stage=None)
        cluster.settle(10)
        assert (cluster.live("staging"), cluster.live()) == ("1", "2")

    def test_deleted_and_made_again_it_serves_on(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.delete("ModelVersion", "fraud-2")
        cluster.version("2")
        cluster.settle(10)
        assert cluster.live() == "2"

    def test_made_again_with_other_bytes_it_is_found_out(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.delete("ModelVersion", "fraud-2")
        cluster.settle(10)
        cluster.digests["2"] = "sha256:" + "f" * 64
        promote(cluster, "2")
        assert cluster.live() == "1"
        assert cluster.request("2") == ("Failed", "DigestConflict")


class TestLineOfTheModel:
    def test_promotes_and_reverts(self, cluster: Cluster) -> None:
        for version in ("1", "2"):
            cluster.version(version, stage=None)
        for version in ("1", "2", "1", "2"):
            cluster.model(stages=[{"name": "production", "version": version}])
            cluster.settle(10)
            assert cluster.live() == version

    def test_alone_is_heard(self, cluster: Cluster) -> None:
        cluster.version("1", stage=None)
        cluster.model(stages=[{"name": "production", "version": "1"}])
        promote(cluster, "2")
        assert cluster.live() == "1"
        assert cluster.request("2") == ("Held", "StageNamedByModel")

    def test_of_a_version_that_does_not_exist_waits(self, cluster: Cluster) -> None:
        cluster.model(stages=[{"name": "production", "version": "1"}])
        cluster.settle(10)
        assert cluster.status("Model", "fraud")["summary"]["reason"] == "VersionNotFound"
        cluster.version("1", stage=None)
        cluster.settle(10)
        assert cluster.live() == "1"

    def test_a_rollback_holds_against_it(self, cluster: Cluster) -> None:
        for version in ("1", "2"):
            cluster.version(version, stage=None)
            cluster.model(stages=[{"name": "production", "version": version}])
            cluster.settle(10)
        cluster.rollback("back")
        cluster.settle(100)
        assert cluster.live() == "1"
        for version in ("1", "2"):  # brought in line with what serves, and then asked for anew
            cluster.model(stages=[{"name": "production", "version": version}])
            cluster.settle(10)
            assert cluster.live() == version


CHANGED = {"spec": {"containers": [{"name": "server", "image": "changed"}]}}


class TestTemplate:
    def test_change_makes_a_revision_that_takes_over_when_ready(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.slow = True
        cluster.model(serving={"template": CHANGED})
        cluster.settle(10)
        assert len(cluster.replicas("1")) == 2
        cluster.slow = False
        cluster.settle(10)
        last = cluster.status("Model", "fraud")["transitions"][-1]
        assert (last["type"], last["to"]["version"]) == ("Reconfigured", "1")

    def test_change_that_never_gets_ready_is_given_up_and_not_repeated(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.slow = True
        cluster.model(serving={"template": CHANGED})
        cluster.settle(700)
        assert cluster.replicas("1") == [1]
        accepted = cluster.status("Model", "fraud")["conditions"][0]
        assert (accepted["status"], accepted["reason"]) == ("False", "InvalidTemplate")

    def test_upgrade_of_the_operator_changes_no_deployment(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        before = cluster.deployment("1")["metadata"]["resourceVersion"]
        plan = decide(replace(cluster.snapshot(), helper=HelperPods(image="modelyard:newer")), cluster.now)
        assert plan.is_empty
        assert cluster.deployment("1")["metadata"]["resourceVersion"] == before


class TestByHand:
    def test_suspend_and_resume(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        deployment = cluster.deployment("1")
        deployment["spec"]["replicas"] = 3
        cluster.settle(10)
        cluster.model(stages=[{"name": "production", "suspend": True}])
        cluster.settle(10)
        assert cluster.replicas("1") == [0]
        promote(cluster, "2")
        assert cluster.request("2") == ("Held", "Suspended")
        cluster.model(stages=[{"name": "production"}])
        cluster.settle(10)
        assert cluster.live() == "2"
        assert cluster.replicas("2") == [3]

    def test_paused_moves_by_rollback_only(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.model(stages=[{"name": "production", "paused": True}])
        promote(cluster, "3")
        assert cluster.live() == "2"
        assert cluster.request("3") == ("Held", "Paused")
        cluster.rollback("back")
        cluster.settle(10)
        assert cluster.live() == "1"

    def test_replicas_of_an_autoscaler_are_left_alone_and_matched(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.deployment("1")["spec"]["replicas"] = 4
        cluster.settle(10)
        assert cluster.replicas("1") == [4]
        promote(cluster, "2")
        assert cluster.live() == "2"
        assert cluster.replicas("2") == [4]

    def test_a_stage_taken_out_while_it_serves_serves_on(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.model(stages=[{"name": "staging"}])
        cluster.settle(10)
        assert cluster.live() == "1"
        accepted = cluster.status("Model", "fraud")["conditions"][0]
        assert accepted["reason"] == "StageRemoved"

    @pytest.mark.parametrize("plans", range(2))
    @pytest.mark.parametrize("writes", range(5))
    def test_dying_while_a_suspended_stage_is_taken_down_leaves_nothing_of_it(
        self, cluster: Cluster, plans: int, writes: int
    ) -> None:
        """It could be forgotten before its objects are gone: nobody would take them away then."""
        cluster.model(stages=[{"name": "staging"}, {"name": "production"}])
        cluster.version("1")
        cluster.version("2", stage="staging")
        cluster.settle(10)
        cluster.model(stages=[{"name": "staging", "suspend": True}, {"name": "production"}])
        cluster.settle(10)
        cluster.model(stages=[{"name": "production"}])
        for _ in range(plans):
            cluster.step()
        cluster.carry_out(decide(cluster.snapshot(), cluster.now), writes)
        cluster.settle(10)
        stages = {obj["metadata"].get("labels", {}).get("modelyard.dev/stage") for obj in cluster.objects.values()}
        assert stages - {None} == {"production"}
        status = cluster.status("Model", "fraud")
        assert [stage["name"] for stage in status["stages"]] == ["production"]
        assert status["conditions"][0]["reason"] == "Accepted"
        assert cluster.live() == "1"

    def test_replace_gives_way_before_it_takes_over(self, cluster: Cluster) -> None:
        cluster.model(serving={"template": SERVER, "rollout": {"strategy": "Replace"}})
        promote(cluster, "1")
        cluster.slow = True
        promote(cluster, "2")
        assert cluster.replicas("1") == [0]
        cluster.slow = False
        cluster.settle(10)
        assert cluster.live() == "2"
        assert cluster.replicas("2") == [1]

    @pytest.mark.parametrize(("kind", "step"), [("Deployment", "Deploying"), ("Job", "Verifying")])
    def test_what_the_api_server_refuses_is_told_on_the_version(self, cluster: Cluster, kind: str, step: str) -> None:
        cluster.refusals[kind] = "exceeded quota"
        cluster.version("1")
        for _ in range(8):
            cluster.step()
        request = cluster.status("ModelVersion", "fraud-1")["request"]
        assert (request["step"], "exceeded quota" in request["message"]) == (step, True)
        cluster.refusals.clear()
        cluster.settle(10)
        assert cluster.live() == "1"

    def test_a_taken_name_is_never_adopted(self, cluster: Cluster) -> None:
        cluster.conflicts.add(("Service", "fraud-production"))
        promote(cluster, "1")
        assert cluster.request("1") == ("Held", "NameConflict")


class TestLostState:
    @pytest.mark.parametrize("wiped", [("Model",), ("ModelVersion",), ("Model", "ModelVersion")])
    def test_wiped_status_changes_nothing_of_what_serves(self, cluster: Cluster, wiped: tuple[str, ...]) -> None:
        promote(cluster, "1", "2", "3")
        cluster.rollback("back")
        cluster.settle(100)
        assert cluster.live() == "2"
        pointed = len(cluster.pointed)
        told = len(cluster.events)
        for kind, name in list(cluster.objects):
            if kind in wiped:
                cluster.wipe_status(kind, name)
        cluster.settle(100)
        recovered = [note for note in cluster.events[told:] if note[1] == "StateRecovered"]
        assert len(recovered) == ("Model" in wiped)
        assert all("production=2 (sequence 4)" in message for _, _, message in recovered)
        assert cluster.live() == "2"
        assert len(set(cluster.pointed[pointed:])) == 1
        assert cluster.request("3")[0] == "RolledBack"

    def test_a_model_without_a_server_is_pointed_at_by_its_configmap(self) -> None:
        cluster = Cluster()
        cluster.apply("Model", "fraud", {})
        promote(cluster, "1", "2")
        assert cluster.objects["ConfigMap", "fraud-production"]["data"]["version"] == "2"
        cluster.rollback("back")
        cluster.settle(10)
        assert cluster.objects["ConfigMap", "fraud-production"]["data"]["version"] == "1"


def test_what_failed_stays_failed_though_the_status_that_is_lost_knew_an_older_request(cluster: Cluster) -> None:
    """The version's own status has its end on record, and the stage's objects know only of what was before."""
    promote(cluster, "1", "2")
    cluster.settle(4000)  # version 1 is not warm any more
    cluster.broken = {"1"}
    cluster.annotate("1", request="again")
    for _ in range(3):
        cluster.settle(400)
    ended = cluster.status("ModelVersion", "fraud-1")["request"]
    assert (ended["step"], ended["place"]) == ("Failed", 3)
    cluster.wipe_status("Model", "fraud")
    cluster.settle(10)
    assert cluster.status("ModelVersion", "fraud-1")["request"] == ended
    assert cluster.live() == "2"


class TestWhatIsReadBeforeTheCommit:
    """What was deleted or taken back behind a silent watch is found out before the pointer moves because of it."""

    def counted(self, cluster: Cluster) -> list[tuple[Sighting, ...]]:
        found = [plan.commit.counts_on for plan in cluster.plans if plan.commit and plan.commit.counts_on]
        cluster.plans.clear()
        return found

    def sighting(self, cluster: Cluster, kind: str, name: str) -> Sighting:
        return Sighting.of(cluster.objects[kind, name])

    def test_a_version_that_is_given_a_stage_and_none_at_a_rollback(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        versions = [self.sighting(cluster, "ModelVersion", f"fraud-{version}") for version in ("1", "2")]
        assert self.counted(cluster) == [(version,) for version in versions]
        cluster.rollback("back")
        cluster.settle(10)
        assert cluster.live() == "1"
        assert self.counted(cluster) == []

    def test_the_version_that_takes_over_from_one_that_was_deleted(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        self.counted(cluster)
        cluster.delete("ModelVersion", "fraud-2")
        cluster.settle(10)
        assert cluster.live() == "1"
        assert self.counted(cluster) == [(self.sighting(cluster, "ModelVersion", "fraud-1"),)]

    def test_a_deployment_that_is_given_up(self, cluster: Cluster) -> None:
        cluster.broken.add("1")
        promote(cluster, "1")
        (name,) = (name for kind, name in cluster.objects if kind == "Deployment")
        seen = Sighting.of(cluster.objects["Deployment", name], with_status=True)
        cluster.settle(700)
        assert cluster.request("1") == ("Failed", "ProgressDeadlineExceeded")
        (counted,) = self.counted(cluster)
        assert [each.kind for each in counted] == ["ModelVersion", "Deployment"]
        assert counted[1] == seen

    def test_what_a_lost_status_is_taken_from(self, cluster: Cluster) -> None:
        """Else a Model that was declared anew would go on where the deleted one was, of which nothing is left."""
        promote(cluster, "1")
        self.counted(cluster)
        cluster.wipe_status("Model", "fraud")
        cluster.settle(10)
        of_stage = [self.sighting(cluster, kind, "fraud-production") for kind in ("Service", "ConfigMap")]
        assert [set(found) for found in self.counted(cluster)] == [set(of_stage)]


def test_death_after_every_single_write_ends_in_the_same_place() -> None:
    """The process dies after the Nth write of each plan, for every N; what follows comes to the same end."""

    def story(writes: int | None) -> Cluster:
        cluster = Cluster()
        cluster.model()

        def turn() -> None:
            for _ in range(40):
                plan = decide(cluster.snapshot(), cluster.now)
                if writes is None or plan.is_empty:
                    cluster.carry_out(plan)
                else:
                    cluster.carry_out(plan, writes)
                cluster.play()
            cluster.settle(10)

        for version in ("1", "2"):
            cluster.version(version)
            turn()
        cluster.rollback("back")
        turn()
        return cluster

    whole = story(None)
    for writes in some(range(1, 7)):
        assert _outline(story(writes)) == _outline(whole), f"died after write {writes}"


def _outline(cluster: Cluster) -> dict[str, object]:
    return {
        "live": cluster.live(),
        "steps": [cluster.request(v) for v in ("1", "2")],
        "rollback": cluster.status("Rollback", "back")["outcome"],
        "history": [(t["type"], t["to"]["version"]) for t in cluster.status("Model", "fraud")["transitions"]],
        "deployments": sorted(key for key in cluster.objects if key[0] == "Deployment"),
    }


def test_many_requests_seen_together_keep_the_status_small(cluster: Cluster) -> None:
    for number in range(state.OPEN_REQUESTS_KEPT + 5):
        cluster.version(str(number))
    for _ in range(3):
        cluster.step()
    (stage,) = [s for s in cluster.status("Model", "fraud")["stages"] if s["name"] == "production"]
    assert len(stage["requests"]) <= state.OPEN_REQUESTS_KEPT + state.ENDED_REQUESTS_KEPT
    assert len(json.dumps(stage)) < 200_000


def test_of_more_requests_than_are_kept_the_newest_wins(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "OPEN_REQUESTS_KEPT", 20)
    for number in range(25):
        cluster.version(str(number))
    cluster.settle()
    assert cluster.live() == "24"
    assert {cluster.request(str(number))[0] for number in range(24)} <= {"Superseded", "StandingBy"}


class TestWarmth:
    def test_after_a_promotion_the_warm_pods_are_restarted_once_when_the_drain_period_is_over(
        self, cluster: Cluster
    ) -> None:
        promote(cluster, "1", "2")
        cluster.settle(280)
        assert restarted_at(cluster, "1") is None
        cluster.settle(15)
        once = restarted_at(cluster, "1")
        assert once is not None
        cluster.settle(600)
        assert restarted_at(cluster, "1") == once

    def test_keep_warm_with_no_replicas_frees_the_pods_at_once(self, cluster: Cluster) -> None:
        cluster.model(serving={"template": SERVER, "keepWarm": {"for": "1h", "replicas": 0}})
        promote(cluster, "1", "2")
        assert cluster.replicas("1") == [0]
        cluster.rollback("back")
        cluster.settle(10)
        assert cluster.live() == "1"

    def test_no_more_good_revisions_are_kept_than_asked_for(self, cluster: Cluster) -> None:
        cluster.model(serving={"template": SERVER, "revisionHistoryLimit": 1})
        promote(cluster, "1", "2", "3")
        cluster.settle(10)
        assert (cluster.replicas("1"), cluster.replicas("2")) == ([], [1])
        assert cluster.request("1")[0] == "Superseded"


def restarted_at(cluster: Cluster, version: str) -> str | None:
    metadata = cluster.deployment(version)["spec"]["template"]["metadata"]
    found = metadata.get("annotations", {}).get("modelyard.dev/restarted-at")
    return None if found is None else str(found)


class TestColdTarget:
    MISSING = {"error": {"reason": "PrefixEmpty", "message": "nothing lies there", "transient": False}}  # noqa: RUF012

    def test_its_bytes_are_looked_for_every_day(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.settle(3700)
        assert rollback_ready(cluster) == ("False", "Cold")
        assert not checks(cluster)
        cluster.results["1"] = [self.MISSING]
        cluster.settle(24 * 3600)
        assert rollback_ready(cluster) == ("False", "BytesMissing")
        cluster.settle(24 * 3600)
        assert len(checks(cluster)) == 2
        assert rollback_ready(cluster) == ("False", "Cold")


def checks(cluster: Cluster) -> list[str]:
    return [name for kind, name in cluster.objects if kind == "Job" and "-check-" in name]


def rollback_ready(cluster: Cluster) -> tuple[str, str]:
    conditions = cluster.status("Model", "fraud")["conditions"]
    found = next(c for c in conditions if c["type"] == "RollbackReady")
    return found["status"], found["reason"]


class TestObjectsOfAStage:
    """What is written to the Service and the ConfigMap that a stage has already."""

    def changes(self, cluster: Cluster) -> dict[str, object]:
        """What the last plan that wrote something wrote to them."""
        written = next(plan for plan in reversed(cluster.plans) if any(isinstance(a, Patch) for a in plan.actions))
        return {a.kind: _without_state(a.body) for a in written.actions if isinstance(a, Patch)}

    def test_a_move_writes_what_differs(self, cluster: Cluster) -> None:
        promote(cluster, "1", "2")
        cluster.rollback("back")
        cluster.step()
        revision = cluster.serving()
        assert revision
        metadata = {"labels": {"modelyard.dev/version": "1"}, "annotations": {"modelyard.dev/sequence": "3"}}
        selector = {"modelyard.dev/revision": revision["metadata"]["labels"]["modelyard.dev/revision"]}
        data = {"version": "1", "digest": "sha256:" + "1".rjust(64, "0"), "uri": "s3://models/fraud/1/"}
        assert self.changes(cluster) == {
            "Service": {"metadata": metadata, "spec": {"selector": selector}},
            "ConfigMap": {"metadata": metadata, "data": data},
        }

    def test_what_others_add_stays_but_for_what_routes(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        service = cluster.objects["Service", "fraud-production"]
        service["metadata"]["labels"]["team"] = "risk"
        service["spec"]["type"] = "NodePort"
        service["spec"]["selector"]["team"] = "risk"
        service["spec"]["ports"].append({"name": "more", "port": 9, "targetPort": 9, "protocol": "TCP"})
        cluster.settle()
        changed = {"selector": {"team": None}, "ports": [service["spec"]["ports"][0]]}
        assert self.changes(cluster) == {"Service": {"metadata": {"annotations": {}}, "spec": changed}}
        assert cluster.objects["Service", "fraud-production"]["metadata"]["labels"]["team"] == "risk"

    def test_another_port_replaces_the_one_before(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.model(serving={"template": SERVER, "port": 9000})
        cluster.settle(10)
        ports = cluster.objects["Service", "fraud-production"]["spec"]["ports"]
        assert [(port["port"], port["targetPort"]) for port in ports] == [(9000, 9000)]

    def test_a_service_of_another_name_is_reached_before_the_one_before_it_goes(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.model(stages=[{"name": "production", "serving": {"serviceName": "fraud"}}])
        cluster.step()
        assert services(cluster) == {"fraud": "production", "fraud-production": "production"}
        cluster.settle()
        assert services(cluster) == {"fraud": "production"}

    @pytest.mark.parametrize("plans", range(3))
    @pytest.mark.parametrize("writes", range(4))
    def test_dying_while_a_service_gets_another_name_leaves_one(
        self, cluster: Cluster, plans: int, writes: int
    ) -> None:
        """After so many decisions that were carried out, the process dies after so many writes of the next."""
        promote(cluster, "1")
        cluster.model(stages=[{"name": "production", "serving": {"serviceName": "fraud"}}])
        for _ in range(plans):
            cluster.step()
        cluster.carry_out(decide(cluster.snapshot(), cluster.now), writes)
        assert services(cluster)
        cluster.settle()
        assert services(cluster) == {"fraud": "production"}

    def test_a_service_stays_when_its_new_name_is_taken(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.conflicts.add(("Service", "fraud"))
        cluster.model(stages=[{"name": "production", "serving": {"serviceName": "fraud"}}])
        cluster.settle(10)
        assert services(cluster) == {"fraud-production": "production"}

    def test_stages_may_exchange_the_names_of_their_services(self, cluster: Cluster) -> None:
        def declare(**called: str) -> None:
            cluster.model(
                stages=[{"name": n, "serving": {"serviceName": called[n]}} for n in ("staging", "production")]
            )

        declare(staging="a", production="b")
        cluster.version("1")
        cluster.version("2", stage="staging")
        cluster.settle(10)
        before = {name: cluster.objects["Service", name]["metadata"]["uid"] for name in "ab"}
        assert services(cluster) == {"a": "staging", "b": "production"}
        declare(staging="b", production="a")
        cluster.settle(10)
        assert services(cluster) == {"a": "production", "b": "staging"}
        assert {name: cluster.objects["Service", name]["metadata"]["uid"] for name in "ab"} == before
        assert cluster.objects["Service", "a"]["metadata"]["labels"]["modelyard.dev/version"] == "1"

    def test_what_a_version_has_not_leaves_the_config_map(self, cluster: Cluster) -> None:
        promote(cluster, "1")
        cluster.version("2", artifact={"external": {"provider": "them", "model": "fraud", "revision": "2"}})
        cluster.settle(10)
        assert cluster.live() == "2"
        assert "uri" not in cluster.objects["ConfigMap", "fraud-production"]["data"]


def services(cluster: Cluster) -> dict[str, str]:
    """The stage that each Service is of."""
    found = ((name, obj) for (kind, name), obj in cluster.objects.items() if kind == "Service")
    return {name: obj["metadata"]["labels"]["modelyard.dev/stage"] for name, obj in found}


def _without_state(body: Any) -> Any:
    annotations = {k: v for k, v in body["metadata"]["annotations"].items() if k != names.ANNOTATION_REVISION}
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}
