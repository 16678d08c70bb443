"""Argo CD and Flux say Progressing while the operator works, and are content while people are waited for."""

from typing import Any

import pytest
from lupa import lua51

from modelyard.api.reasons import VersionReason
from modelyard.decide.state import Step
from tests.unit.gitops import stories
from tests.unit.gitops.judges import ARGO, FLUX, ROOT, Argo, Flux, kstatus
from tests.unit.gitops.stories import Obj, Watched

PAGE = (ROOT / "docs" / "gitops.md").read_text()
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
IN_FLUX = {"Healthy": "Current", "Progressing": "InProgress", "Degraded": "Failed"}


@pytest.fixture(scope="module")
def argo() -> Argo:
    return Argo()


@pytest.fixture(scope="module")
def flux() -> Flux:
    return Flux()


@pytest.fixture(scope="module")
def seen() -> tuple[Obj, ...]:
    return tuple(obj for obj in stories.told() if is_observed(obj))


def is_observed(obj: Obj) -> bool:
    return bool(obj.get("status", {}).get("observedGeneration") == obj["metadata"]["generation"])


def ready_reason(obj: Obj) -> str:
    return next((c["reason"] for c in obj["status"].get("conditions", ()) if c["type"] == "Ready"), "")


def expected(obj: Obj) -> str:
    """What is to be said of an object that the operator has seen."""
    status = obj["status"]
    if obj["kind"] == "Rollback":
        return "Progressing" if status["outcome"] == "Pending" else "Healthy"
    if obj["kind"] == "Model":
        if gets_another_template(status):
            return "Progressing"
        return "Degraded" if does_not_get_what_it_names(obj) else "Healthy"
    if obj["kind"] == "Approval" or ready_reason(obj) == VersionReason.MODEL_NOT_FOUND:
        return "Healthy"
    request = status.get("request")
    if request is None:
        waits = obj["spec"].get("stage") not in (None, "archived")
        waits |= status.get("verification", {}).get("state") in ("Pending", "Running")
        return "Progressing" if waits else "Healthy"
    if request["step"] == Step.SERVING and request["reason"] in TRIAL:
        return "Progressing"
    return HEALTH[Step(request["step"])]


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
    ready = {ready_reason(obj) for obj in models}
    assert ready >= {"AllStagesReady", "NothingServes", "PodsNotReady", "NoSuccessor", "UndoImpossible"}
    assert any(obj["status"].get("request", {}).get("reason") in TRIAL for obj in seen if is_serving(obj))
    held = {
        obj["status"]["request"]["reason"] for obj in seen if obj["status"].get("request", {}).get("step") == "Held"
    }
    assert held >= {"Paused", "Suspended", "ReasonRequired", "InvalidGate", "StageUnknown"}


def is_serving(obj: Obj) -> bool:
    return bool(obj["status"].get("request", {}).get("step") == Step.SERVING)


class TestArgo:
    def test_every_state(self, argo: Argo, seen: tuple[Obj, ...]) -> None:
        for obj in seen:
            status, message = argo.health(obj["kind"], obj)
            assert (named(obj), status) == (named(obj), expected(obj))
            assert message, named(obj)

    def test_what_was_not_seen_yet_is_progressing(self, argo: Argo) -> None:
        unseen = [obj for obj in stories.told() if not is_observed(obj)]
        assert {obj["kind"] for obj in unseen} == set(stories.KINDS)
        assert any("status" in obj for obj in unseen)
        for obj in unseen:
            assert argo.health(obj["kind"], obj)[0] == "Progressing"

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

    def test_the_libraries_that_argo_leaves_out_are_left_out_here(self, argo: Argo) -> None:
        for script in ("return ('x'):upper()", "return string.upper('x')", "return math.huge", "return os.time()"):
            with pytest.raises(lua51.LuaError, match="attempt to index"):
                argo.run(script, {})


class TestFlux:
    def test_every_state_as_in_argo(self, flux: Flux, seen: tuple[Obj, ...]) -> None:
        for obj in seen:
            assert (named(obj), flux.status(obj["kind"], obj)) == (named(obj), IN_FLUX[expected(obj)])

    def test_both_judge_all_kinds(self) -> None:
        assert set(FLUX) == set(stories.KINDS)
        assert {key.rpartition("_")[2] for key in ARGO} == set(stories.KINDS)


class TestKstatus:
    """Without healthCheckExprs, as whatever uses kstatus judges: by the condition Ready alone."""

    def test_current_is_only_what_is_in_order(self, seen: tuple[Obj, ...]) -> None:
        current = [obj for obj in seen if obj["kind"] != "Approval" and kstatus(obj) == "Current"]
        assert {obj["kind"] for obj in current} == {"Model", "ModelVersion", "Rollback"}
        for obj in current:
            assert ready_reason(obj), named(obj)
            if obj["kind"] != "Model":  # is Ready when its stages serve, be it not what it asks for
                assert expected(obj) != "Degraded", named(obj)

    def test_what_the_operator_works_on_is_waited_for(self, seen: tuple[Obj, ...]) -> None:
        for obj in seen:
            on_trial = is_serving(obj)  # it carries the stage, and is Ready as long as no gate says otherwise
            if obj["kind"] == "ModelVersion" and expected(obj) == "Progressing" and not on_trial:
                assert kstatus(obj) == "InProgress", named(obj)

    def test_what_waits_for_people_or_has_ended_is_waited_for_too_as_documented(self) -> None:
        """Ready cannot be True there, and kstatus knows nothing between Ready and InProgress but Stalled."""
        waits = {
            obj["status"]["request"]["step"]
            for _, obj in stories.at_rest()
            if obj["kind"] == "ModelVersion" and "request" in obj["status"] and kstatus(obj) == "InProgress"
            if ready_reason(obj) != VersionReason.MODEL_NOT_FOUND
        }
        assert waits == {Step.HELD, Step.AWAITING_APPROVAL, Step.FAILED, Step.REJECTED, Step.ROLLED_BACK}
        assert all(f"`{step}`" in PAGE.partition("## Flux")[2] for step in waits)


def test_nothing_is_progressing_for_ever(argo: Argo, flux: Flux) -> None:
    for story, obj in stories.at_rest():
        assert (story, named(obj), argo.health(obj["kind"], obj)[0]) != (story, named(obj), "Progressing")
        assert (story, named(obj), flux.status(obj["kind"], obj)) != (story, named(obj), "InProgress")


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
