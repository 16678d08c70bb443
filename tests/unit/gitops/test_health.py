"""Tools say Progressing while the operator works, Degraded where Git asks in vain, and do not wait for people."""

from collections.abc import Iterator
from typing import Any

import pytest
from lupa import lua51

from modelyard.api.reasons import ModelReason, RollbackReason, VersionReason
from modelyard.decide.state import Step
from tests.unit.gitops import stories
from tests.unit.gitops.judges import ARGO, Argo, kstatus
from tests.unit.gitops.stories import Obj, Watched

HEALTH = {
    Step.QUEUED: "Healthy",
    Step.VERIFYING: "Progressing",
    Step.HELD: "Healthy",
    Step.CHECKING: "Progressing",
    Step.AWAITING_APPROVAL: "Healthy",
    Step.DEPLOYING: "Progressing",
    Step.SWITCHING: "Progressing",
    Step.SERVING: "Healthy",
    Step.STANDING_BY: "Healthy",
    Step.FAILED: "Degraded",
    Step.REJECTED: "Degraded",
    Step.ROLLED_BACK: "Degraded",
    Step.WITHDRAWN: "Healthy",
    Step.SUPERSEDED: "Healthy",
}
TRIAL = {VersionReason.GATE_PENDING, VersionReason.GATE_RUNNING, VersionReason.GATE_RETRYING}
MOOT = {RollbackReason.PREDATES_STATE, RollbackReason.SUPERSEDED, RollbackReason.ALREADY_SERVING}
ACCEPTED = {ModelReason.ACCEPTED, ModelReason.INVALID_TEMPLATE}
IN_KSTATUS = {"Healthy": "Current", "Progressing": "InProgress", "Degraded": "Failed"}
AS_A_WHOLE = ({"Ready"}, {"Ready", "Reconciling"}, {"Ready", "Stalled"}, {"Waiting"})


@pytest.fixture(scope="module")
def argo() -> Argo:
    return Argo()


@pytest.fixture(scope="module")
def seen() -> tuple[Obj, ...]:
    return tuple(obj for obj in stories.told() if is_observed(obj))


def is_observed(obj: Obj) -> bool:
    return bool(obj["status"]["observedGeneration"] == obj["metadata"]["generation"])


def conditions(obj: Obj) -> dict[str, Any]:
    return {condition["type"]: condition for condition in obj["status"].get("conditions", ())}


def reason(obj: Obj, *kinds: str) -> str:
    found = conditions(obj)
    return next((found[kind]["reason"] for kind in kinds if kind in found), "")


def expected(obj: Obj) -> str:
    """What is to be said of an object that the operator has seen."""
    status = obj["status"]
    if obj["kind"] == "Rollback":
        refused = "Healthy" if reason(obj, "Applied") in MOOT else "Degraded"
        return {"Pending": "Progressing", "Applied": "Healthy", "Refused": refused}[status["outcome"]]
    if obj["kind"] == "Model":
        if gets_another_template(status):
            return "Progressing"
        is_stuck = reason(obj, "Accepted") not in ACCEPTED or does_not_get_what_it_names(obj)
        return "Degraded" if is_stuck else "Healthy"
    if obj["kind"] == "Approval":
        return "Healthy"
    request = status.get("request")
    if request is None:
        waits = obj["spec"].get("stage") not in (None, "archived")
        waits |= status.get("verification", {}).get("state") in ("Pending", "Running")
        is_alone = reason(obj, "Verified") == VersionReason.MODEL_NOT_FOUND
        return "Progressing" if waits and not is_alone else "Healthy"
    if is_alone_with_an_end(obj) or "overtakenBy" in request:
        return "Healthy"
    if request["step"] == Step.SERVING and request["reason"] in TRIAL:
        return "Progressing"
    return HEALTH[Step(request["step"])]


def is_alone_with_an_end(obj: Obj) -> bool:
    """Whether a version's request had failed before its Model was deleted."""
    return reason(obj, "Verified") == VersionReason.MODEL_NOT_FOUND


def gets_another_template(status: dict[str, Any]) -> bool:
    return any(
        candidate["version"] == stage.get("current", {}).get("version")
        and candidate["step"] in (Step.CHECKING, Step.DEPLOYING, Step.SWITCHING)
        for stage in status.get("stages", ())
        for candidate in stage.get("candidates", ())
    )


def does_not_get_what_it_names(obj: Obj) -> bool:
    wanted = {stage["name"]: stage.get("version") for stage in obj["spec"].get("stages", ())}
    return any(
        (newest["source"], newest["version"]) == ("Model", wanted.get(stage["name"]))
        and newest.get("ended") in (Step.FAILED, Step.REJECTED, Step.ROLLED_BACK)
        for stage in obj["status"].get("stages", ())
        if (newest := max(stage.get("requests", ()), key=lambda request: request["place"], default=None))
    )


def named(obj: Obj) -> str:
    request = obj.get("status", {}).get("request", {})
    return f"{obj['kind']} {obj['metadata']['name']} {request.get('step')} {request.get('reason')}"


def test_the_stories_show_every_step(seen: tuple[Obj, ...]) -> None:
    steps = {obj["status"]["request"]["step"] for obj in seen if "request" in obj["status"]}
    assert steps == set(HEALTH) == set(Step)


def test_the_stories_show_every_kind_in_every_state(seen: tuple[Obj, ...]) -> None:
    outcomes = {obj["status"]["outcome"] for obj in seen if obj["kind"] == "Rollback"}
    assert outcomes == {"Pending", "Applied", "Refused"}
    counted = {obj["status"]["conditions"][0]["status"] for obj in seen if obj["kind"] == "Approval"}
    assert counted == {"True", "False", "Unknown"}
    models = [obj for obj in seen if obj["kind"] == "Model"]
    assert any(gets_another_template(obj["status"]) for obj in models)
    assert {"Failed", "RolledBack"} <= {
        request["ended"]
        for obj in models
        if does_not_get_what_it_names(obj)
        for request in obj["status"]["stages"][0]["requests"][-1:]
    }
    ready = {reason(obj, "Ready", "Waiting") for obj in models}
    assert ready >= {"AllStagesReady", "NothingServes", "PodsNotReady", "NoSuccessor", "UndoImpossible"}
    accepted = {reason(obj, "Accepted") for obj in models}
    assert accepted >= {"Accepted", "InvalidGate", "InvalidTemplate", "NameConflict", "StageRemoved"}
    assert any(obj["status"].get("request", {}).get("reason") in TRIAL for obj in seen if is_serving(obj))
    held = {
        obj["status"]["request"]["reason"] for obj in seen if obj["status"].get("request", {}).get("step") == "Held"
    }
    assert held >= {"Paused", "Suspended", "ReasonRequired", "InvalidGate", "StageUnknown", "ModelNotFound"}


def is_serving(obj: Obj) -> bool:
    return bool(obj["status"].get("request", {}).get("step") == Step.SERVING)


class TestArgo:
    def test_every_state(self, argo: Argo, seen: tuple[Obj, ...]) -> None:
        for obj in seen:
            status, message = argo.health(obj["kind"], obj)
            assert (named(obj), status) == (named(obj), expected(obj))
            assert message, named(obj)

    def test_what_was_not_seen_yet_is_progressing(self, argo: Argo) -> None:
        assert {obj["kind"] for obj in unseen()} == set(stories.KINDS)
        for obj in unseen():
            assert argo.health(obj["kind"], obj)[0] == "Progressing"
            assert argo.health(obj["kind"], {k: v for k, v in obj.items() if k != "status"})[0] == "Progressing"

    def test_the_message_says_what_is_waited_for(self, argo: Argo) -> None:
        cluster = Watched()
        cluster.model(stages=stories.CONSENT)
        cluster.promote("1")
        status, message = argo.health("ModelVersion", cluster.objects["ModelVersion", "fraud-1"])
        assert status == "Healthy"
        assert message.startswith("AwaitingApproval (ApprovalsMissing: ")
        model = argo.health("Model", cluster.objects["Model", "fraud"])
        assert model == ("Healthy", "NothingServes: no stage carries a version yet")

    def test_a_model_tells_what_serves_and_what_is_pending(self, argo: Argo) -> None:
        cluster = Watched()
        cluster.model()
        cluster.promote("1")
        cluster.results["2"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("2")
        model = argo.health("Model", cluster.objects["Model", "fraud"])
        assert model == ("Healthy", "production=1; 2 to production (Failed): DigestMismatch")

    def test_all_kinds_are_judged(self) -> None:
        assert {key.rpartition("_")[2] for key in ARGO} == set(stories.KINDS)

    def test_the_libraries_that_argo_leaves_out_are_left_out_here(self, argo: Argo) -> None:
        for script in ("return ('x'):upper()", "return string.upper('x')", "return math.huge", "return os.time()"):
            with pytest.raises(lua51.LuaError, match="attempt to index"):
                argo.run(script, {})


class TestKstatus:
    """As Flux, and whatever else uses kstatus, judges: by the object's own conditions, with nothing configured."""

    def test_every_state_as_in_argo_but_for_models_whose_pods_are_not_ready(self, seen: tuple[Obj, ...]) -> None:
        for obj in seen:
            wanted = IN_KSTATUS[expected(obj)]
            if wanted == "Current" and obj["kind"] == "Model" and reason(obj, "Ready") == ModelReason.PODS_NOT_READY:
                wanted = "InProgress"  # as it is for a Deployment; Flux applies the version that mends it all the same
            assert (named(obj), kstatus(obj)) == (named(obj), wanted)

    def test_what_was_not_seen_yet_is_in_progress(self) -> None:
        for obj in unseen():
            assert kstatus(obj) == "InProgress"

    def test_a_version_is_ready_only_when_it_has_what_it_asks_for(self, seen: tuple[Obj, ...]) -> None:
        """`kubectl wait --for=condition=Ready` must not end while somebody's approval is missing."""
        for obj in versions(seen):
            ready = conditions(obj).get("Ready", {}).get("status")
            step = obj["status"].get("request", {}).get("step")
            assert ready != "True" or step in (None, Step.SERVING, Step.STANDING_BY), named(obj)

    def test_a_version_says_one_thing_as_a_whole_and_nothing_that_is_false_but_ready(
        self, seen: tuple[Obj, ...]
    ) -> None:
        for obj in versions(seen):
            found = conditions(obj)
            verified = found.pop("Verified")
            assert set(found) in AS_A_WHOLE, named(obj)
            assert len({(c["reason"], c["message"]) for c in found.values()}) == 1
            assert all(c["status"] == "True" for kind, c in found.items() if kind != "Ready")
            assert obj["status"]["conditions"][0] == verified  # the column REASON shows the first of the others


def versions(seen: tuple[Obj, ...]) -> Iterator[Obj]:
    return (obj for obj in seen if obj["kind"] == "ModelVersion")


def unseen() -> list[Obj]:
    return [obj for obj in stories.told() if not is_observed(obj)]


class TestOvertaken:
    def test_one_old_failure_does_not_redden_what_was_asked_for_since(self, argo: Argo) -> None:
        cluster = Watched()
        cluster.model()
        cluster.results["1"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("1")
        failed = cluster.objects["ModelVersion", "fraud-1"]
        assert argo.health("ModelVersion", failed)[0] == "Degraded"
        cluster.broken.add("2")
        cluster.version("2")
        cluster.step()
        assert cluster.status("ModelVersion", "fraud-1")["request"]["overtakenBy"] == "2"
        for version in range(2, 14):
            cluster.promote(str(version))
        health = [argo.health(kind, obj)[0] for (kind, _), obj in cluster.objects.items() if kind == "ModelVersion"]
        assert (cluster.live(), set(health)) == ("13", {"Healthy"})
        assert cluster.status("ModelVersion", "fraud-1")["request"]["overtakenBy"] == "2"

    def test_a_failure_is_remembered_until_another_version_is_asked_for(self) -> None:
        cluster = Watched()
        cluster.model()
        cluster.promote("1", "30")
        cluster.results["31"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("31")
        for version in range(2, 16):  # turned away, being older than what serves
            cluster.promote(str(version))
        assert "overtakenBy" not in cluster.status("ModelVersion", "fraud-31")["request"]
        remembered = cluster.status("Model", "fraud")["stages"][-1]["requests"]
        assert "31" in {request["version"] for request in remembered}
        cluster.promote("32")
        assert cluster.status("ModelVersion", "fraud-31")["request"]["overtakenBy"] == "32"

    def test_it_is_found_out_too_when_the_models_status_was_lost(self) -> None:
        cluster = Watched()
        cluster.model()
        cluster.promote("1")
        cluster.results["2"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("2")
        cluster.wipe_status("Model", "fraud")
        cluster.settle(10)
        cluster.promote("3")
        assert cluster.status("ModelVersion", "fraud-2")["request"]["overtakenBy"] == "3"

    def test_a_failure_that_is_asked_for_anew_counts_again(self, argo: Argo) -> None:
        cluster = Watched()
        cluster.model()
        cluster.results = {version: [{"error": stories.DIFFERENT_BYTES}] * 3 for version in ("2", "3")}
        cluster.promote("1", "2", "3")
        for again in ({"modelyard.dev/retry": "x"}, {"modelyard.dev/request": "x"}):
            cluster.version("2", annotations=again)
            cluster.settle(10)
            health = [argo.health("ModelVersion", cluster.objects["ModelVersion", f"fraud-{n}"])[0] for n in (2, 3)]
            assert health == ["Degraded", "Healthy"]
            assert cluster.status("ModelVersion", "fraud-3")["request"]["overtakenBy"] == "2"


class TestNamedByTheModel:
    def test_a_version_that_the_model_names_says_how_it_failed(self, argo: Argo) -> None:
        cluster = Watched()
        cluster.promote("1", "2", "3", stage=None)
        cluster.model(stages=[{"name": "production", "version": "1"}])
        cluster.settle(10)
        cluster.results["2"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.delete("ModelVersion", "fraud-2")
        cluster.version("2", stage=None)
        cluster.model(stages=[{"name": "production", "version": "2"}])
        cluster.settle(10)
        request = cluster.status("ModelVersion", "fraud-2")["request"]
        assert (request["step"], request["reason"]) == (Step.FAILED, "DigestMismatch")
        assert argo.health("ModelVersion", cluster.objects["ModelVersion", "fraud-2"])[0] == "Degraded"
        status, message = argo.health("Model", cluster.objects["Model", "fraud"])
        assert status == "Degraded"
        assert "spec.stages[].version names for stage 'production'" in message
        cluster.model(stages=[{"name": "production", "version": "3"}])
        cluster.settle(10)
        assert cluster.live() == "3"
        assert cluster.status("ModelVersion", "fraud-2")["request"]["overtakenBy"] == "3"
        healthy = [argo.health(kind, obj)[0] for (kind, _), obj in cluster.objects.items() if kind in stories.KINDS]
        assert set(healthy) == {"Healthy"}

    def test_a_version_that_failed_is_asked_anew_when_the_model_comes_back_to_it(self) -> None:
        cluster = Watched()
        cluster.results["2"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("1", "2", stage=None)
        for named in ("1", "2", "1", "2"):
            cluster.model(stages=[{"name": "production", "version": named}])
            cluster.settle(10)
        assert (cluster.live(), cluster.request("2")[0]) == ("2", "Serving")

    def test_it_says_so_when_the_model_has_forgotten(self) -> None:
        cluster = Watched()
        cluster.model(stages=[{"name": "production", "version": "0"}])
        cluster.results["0"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("0", stage=None)
        for number in range(1, 14):
            cluster.promote(str(number), stage=None)
            cluster.model(stages=[{"name": "production", "version": str(number)}])
            cluster.settle(10)
        remembered = cluster.status("Model", "fraud")["stages"][0]["requests"]
        assert "0" not in {request["version"] for request in remembered}
        request = cluster.status("ModelVersion", "fraud-0")["request"]
        assert (request["step"], request["overtakenBy"]) == (Step.FAILED, "1")


class TestWithoutItsModel:
    def test_a_version_no_longer_says_that_it_serves(self) -> None:
        cluster = Watched()
        cluster.model()
        cluster.promote("1")
        cluster.delete("Model", "fraud")
        cluster.settle(10)
        status = cluster.status("ModelVersion", "fraud-1")
        assert (status["request"]["step"], status["request"]["reason"]) == (Step.HELD, "ModelNotFound")
        assert (status["stage"], "stages" in status) == ("archived", False)

    def test_it_serves_again_under_a_new_model_and_what_failed_stays_failed(self) -> None:
        cluster = Watched()
        cluster.model()
        cluster.results["2"] = [{"error": stories.DIFFERENT_BYTES}]
        cluster.promote("1", "2")
        cluster.delete("Model", "fraud")
        cluster.settle(10)
        cluster.model()
        cluster.settle(60)
        assert (cluster.live(), cluster.request("1")[0], cluster.request("2")[0]) == ("1", "Serving", "Failed")


def test_nothing_is_progressing_for_ever(argo: Argo) -> None:
    for story, obj in stories.at_rest():
        assert (story, named(obj), argo.health(obj["kind"], obj)[0]) != (story, named(obj), "Progressing")
        if reason(obj, "Ready") != ModelReason.PODS_NOT_READY:
            assert (story, named(obj), kstatus(obj)) != (story, named(obj), "InProgress")


def test_old_manifests_applied_again_and_again_during_a_rollback_change_nothing(argo: Argo) -> None:
    cluster = Watched()
    cluster.model()
    cluster.promote("1", "2")
    cluster.settle(3700)
    cluster.slow = True
    cluster.rollback("emergency")
    for second in range(90):
        cluster.slow = second < 30
        cluster.version("1")  # what self-heal does: the manifests in Git still ask for version 2
        cluster.version("2")
        cluster.settle(1)
        assert cluster.live() == ("2" if second < 30 else "1")
    assert argo.health("ModelVersion", cluster.objects["ModelVersion", "fraud-1"])[0] == "Healthy"
    status, message = argo.health("ModelVersion", cluster.objects["ModelVersion", "fraud-2"])
    assert status == "Degraded"
    assert "emergency" in message
