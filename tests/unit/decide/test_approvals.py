"""Which Approval counts, why another does not, and what is still missing: one case for every reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelyard.api.reasons import ApprovalReason, VersionReason
from modelyard.decide import approvals
from modelyard.decide.approval_statuses import approval_status
from modelyard.decide.approvals import Tally
from modelyard.decide.objections import Finding, is_same_person
from modelyard.decide.snapshot import Snapshot
from modelyard.decide.state import VOIDED_KEPT, Current, ModelState, Request, StageState, Step, Voided
from modelyard.decide.versions import Version
from modelyard.decide.world import World

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ALICE, BOB, CAROL = "alice", "bob", "carol"
PIPELINE = "system:serviceaccount:ci:trainer"


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def approval(
    by: str = BOB, *, name: str = "", made: datetime | None = None, decision: str = "Approve", **spec: Any
) -> dict[str, Any]:
    made = made or ago(minutes=5)
    return {
        "kind": "Approval",
        "metadata": {
            "name": name or f"by-{by}", "uid": f"uid-{name or by}", "creationTimestamp": made.isoformat(),
            "annotations": {"modelyard.dev/requested-by": by} if by else {},
        },
        "spec": {
            "model": "fraud", "version": "7", "stage": "production", "digest": DIGEST, "decision": decision, **spec,
        },
    }  # fmt: skip


def count(
    *objects: dict[str, Any],
    requester: str | None = ALICE,
    author: str = "",
    admission: bool = True,
    state: StageState | None = None,
    **policy: Any,
) -> Tally:
    """Count for version 7 on its way to production; `requester` None: nobody asks yet."""
    stages = [{"name": "staging"}, {"name": "production", "approvals": {"required": 2, **policy}}]
    model = {"metadata": {"name": "fraud", "uid": "uid-model"}, "spec": {"stages": stages}}
    spec = {"model": "fraud", "version": "7", "stage": "production"} | ({"author": author} if author else {})
    version = {"kind": "ModelVersion", "metadata": {"name": "fraud-7", "uid": "uid-7"}, "spec": spec}
    seen = Snapshot(
        "risk",
        "fraud",
        model,
        {"fraud-7": version},
        approvals=objects,
        admission=admission,
        shared_accounts=frozenset({"argocd"}),
    )
    world = World.of(seen, model, NOW)
    world = replace(world, memory=ModelState({"production": state} if state else {}))
    request = (
        Request("uid-7/1", "7", 1, uid="uid-7", generation=1, requested_by=requester) if requester is not None else None
    )
    return approvals.tally(world, world.stages[1], request, Version(version), DIGEST)


def serving(since: datetime) -> StageState:
    return StageState("production", Current("7", DIGEST, "r1", 1, 1, since))


def voided(at: datetime, step: Step = Step.REJECTED, version: str = "7") -> StageState:
    return StageState("production", voided=(Voided(at, step.value, version),))


R = ApprovalReason
CASES = [
    pytest.param(count(approval()), R.COUNTED, "consent of bob", id="a person approves"),
    pytest.param(count(approval(), requester=None), R.COUNTED, "bob", id="before anybody asks"),
    pytest.param(
        count(approval(decision="Reject", comment="worse on small payments")),
        R.REJECTED, "bob rejected version '7' for stage 'production': worse on small payments",
        id="a person rejects",
    ),
    pytest.param(
        count(approval(), admission=False), R.ADMISSION_NOT_INSTALLED, "have them installed", id="stamps mean nothing"
    ),
    pytest.param(count(approval("")), R.ADMISSION_NOT_INSTALLED, "when it was created", id="no stamp"),
    pytest.param(count(approval(digest=OTHER)), R.DIGEST_MISMATCH, DIGEST, id="about other bytes"),
    pytest.param(count(approval(PIPELINE)), R.SERVICE_ACCOUNT, "allowServiceAccounts", id="by a ServiceAccount"),
    pytest.param(count(approval("argocd")), R.SHARED_ACCOUNT, "many people", id="by a shared account"),
    pytest.param(count(approval(PIPELINE), allowServiceAccounts=True), R.COUNTED, "trainer", id="machines may"),
    pytest.param(count(approval("argocd"), allowServiceAccounts=True), R.COUNTED, "argocd", id="shared ones may"),
    pytest.param(
        count(approval(), state=voided(ago(minutes=1))), R.MADE_BEFORE_REJECTION, "create another", id="rejected since"
    ),
    pytest.param(
        count(approval(made=ago(minutes=1)), state=voided(ago(minutes=1))), R.MADE_BEFORE_REJECTION, "rejected at",
        id="in the second of the rejection",
    ),
    pytest.param(count(approval(), state=voided(ago(minutes=6))), R.COUNTED, "bob", id="rejected before"),
    pytest.param(
        count(approval(), state=voided(ago(minutes=1), Step.ROLLED_BACK)), R.MADE_BEFORE_ROLLBACK, "rolled back at",
        id="rolled back since",
    ),
    pytest.param(
        count(approval(), state=voided(ago(minutes=1), version="")), R.MADE_BEFORE_REJECTION, "create another",
        id="older than what is remembered",
    ),
    pytest.param(count(approval(), state=voided(ago(minutes=1), version="8")), R.COUNTED, "", id="another rejected"),
    pytest.param(
        count(approval(decision="Reject"), state=voided(ago(minutes=1))), R.REJECTED, "", id="the reject that did it"
    ),
    pytest.param(
        count(approval(), state=serving(ago(minutes=9))), R.ALREADY_SERVING, "already", id="approves what serves"
    ),
    pytest.param(
        count(approval(decision="Reject"), state=serving(ago(minutes=9))), R.ALREADY_SERVING, "create a Rollback",
        id="rejects what serves",
    ),
    pytest.param(count(approval(), state=serving(ago(minutes=1))), R.COUNTED, "", id="what made it serve"),
    pytest.param(
        count(approval(), expireAfter="5m"), R.EXPIRED, "it expired at 2026-01-10T12:00:00Z", id="expired this moment"
    ),
    pytest.param(count(approval(), expireAfter="301s"), R.COUNTED, "until 2026-01-10T12:00:01Z", id="expires soon"),
    pytest.param(count(approval(decision="Reject"), expireAfter="1m"), R.EXPIRED, "", id="an expired reject"),
    pytest.param(count(approval(), required=0), R.NOT_REQUIRED, "requires no approvals", id="nobody wants it"),
    pytest.param(count(approval(decision="Reject"), required=0), R.REJECTED, "", id="a reject needs no policy"),
    pytest.param(count(approval(ALICE), excludeRequester=True), R.REQUESTER, "others", id="by the requester"),
    pytest.param(count(approval(ALICE)), R.COUNTED, "alice", id="by the requester, who may"),
    pytest.param(
        count(approval("oidc:Bob@example.com"), author="bob@example.com", excludeRequester=True), R.AUTHOR, "author",
        id="by the author",
    ),
    pytest.param(count(approval(), author="bob"), R.COUNTED, "bob", id="by the author, who may"),
    pytest.param(
        count(approval(ALICE, decision="Reject"), excludeRequester=True), R.REJECTED, "", id="rejects the own request"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("counted", "reason", "text"), CASES)
def test_an_approval_alone(counted: Tally, reason: ApprovalReason, text: str) -> None:
    (finding,) = counted.findings
    assert finding.reason == reason
    assert text in finding.message
    assert approval_status(finding, NOW)["conditions"][0]["status"] == str(bool(finding.counted))


def test_the_same_person_counts_once_and_again_when_the_first_expires() -> None:
    first, second = approval(made=ago(minutes=9)), approval(name="again", made=ago(minutes=5))

    counted = count(second, first)
    assert [(f.name, f.reason) for f in counted.findings] == [("by-bob", R.COUNTED), ("again", R.DUPLICATE)]
    assert "by-bob" in counted.findings[1].message
    assert counted.missing == 1

    renewed = count(second, first, expireAfter="6m")
    assert [f.reason for f in renewed.findings] == [R.EXPIRED, R.COUNTED]
    assert (renewed.approved_by, renewed.expired) == (("bob",), ())


def test_every_reason_of_an_approval_has_a_test() -> None:
    here = {case.values[1] for case in CASES} | {R.DUPLICATE}
    in_stories = {R.DIGEST_UNKNOWN, R.MODEL_NOT_FOUND, R.VERSION_NOT_FOUND, R.STAGE_UNKNOWN, R.MALFORMED}
    assert here | in_stories == set(R)


def held(counted: Tally) -> str:
    return counted.held[0] if counted.held else ""


def test_enough_people_pass() -> None:
    counted = count(approval(BOB), approval(CAROL))
    assert counted.passed
    assert counted.approved_by == ("bob", "carol")
    assert counted.missing == 0


def test_too_few_are_told_apart_by_name_and_number() -> None:
    counted = count(approval(CAROL), approval(BOB, made=ago(days=8)), expireAfter="168h")
    assert not counted.passed
    assert counted.held
    reason, text = counted.held
    assert reason == VersionReason.APPROVALS_MISSING
    assert text.startswith(
        "2 approvals are required at stage 'production', 1 given (carol), 1 missing, expired: bob; to approve: "
    )
    assert "kubectl auth can-i approve models.modelyard.dev/fraud --subresource=production --namespace=risk" in text


def test_approvals_for_another_stage_or_version_do_not_concern_it() -> None:
    counted = count(approval(BOB, stage="staging"), approval(CAROL, version="8"))
    assert counted.findings == ()
    assert counted.missing == 2


def test_a_reject_outweighs_all_consent() -> None:
    counted = count(approval(BOB), approval(CAROL), approval("dave", decision="Reject", comment="no"))
    assert not counted.passed
    assert "dave rejected" in counted.rejection


def test_a_reject_that_ended_a_request_ends_no_other() -> None:
    later = [approval(by, made=ago(minutes=1)) for by in (BOB, CAROL)]
    counted = count(approval("dave", decision="Reject"), *later, state=voided(ago(minutes=5)))
    assert counted.rejection == ""
    assert counted.passed


def test_without_admission_policies_nothing_passes() -> None:
    assert held(count(approval(BOB), approval(CAROL), admission=False)) == VersionReason.ADMISSION_NOT_INSTALLED
    assert count(admission=False, required=0).passed


@pytest.mark.parametrize(
    ("requester", "author", "policy", "known"),
    [
        pytest.param(ALICE, "", {}, True, id="a person"),
        pytest.param("argocd", "", {}, False, id="a shared account"),
        pytest.param("argocd", "alice", {}, True, id="a shared account for an author"),
        pytest.param(PIPELINE, "", {}, False, id="a ServiceAccount"),
        pytest.param(PIPELINE, "", {"allowServiceAccounts": True}, True, id="a ServiceAccount among its own kind"),
        pytest.param("argocd", "", {"allowServiceAccounts": True}, False, id="a shared account even then"),
        pytest.param("", "", {}, False, id="nobody, without a stamp"),
        pytest.param("argocd", "", {"excludeRequester": False}, True, id="it does not matter"),
    ],
)
def test_excluding_the_requester_needs_to_know_one(
    requester: str, author: str, policy: dict[str, Any], known: bool
) -> None:
    papers = approval(BOB), approval(CAROL)
    counted = count(*papers, requester=requester, author=author, **{"excludeRequester": True, **policy})
    assert counted.passed == known
    assert held(counted) == ("" if known else VersionReason.REQUESTER_UNKNOWN)
    if not known:
        assert "kubectl annotate modelversion fraud-7 modelyard.dev/request=" in str(counted.held)


def test_it_is_looked_at_again_when_the_next_consent_expires() -> None:
    papers = approval(BOB, made=ago(minutes=5)), approval(CAROL, made=ago(minutes=7)), approval("", made=ago(minutes=9))
    assert count(*papers, expireAfter="10m").look_again_at == NOW + timedelta(minutes=3)
    assert count(*papers).look_again_at is None


def test_what_is_void_is_remembered_within_bounds_and_for_safety_of_all_when_full() -> None:
    state = StageState("production")
    for number in range(VOIDED_KEPT + 5):
        state = approvals.void(state, {str(number)}, NOW + timedelta(seconds=number), Step.REJECTED)
    assert len(state.voided) == VOIDED_KEPT + 1
    (rest,) = (entry for entry in state.voided if not entry.version)
    assert rest.at == NOW + timedelta(seconds=4)
    again = approvals.void(state, {"100"}, NOW + timedelta(days=1), Step.ROLLED_BACK)
    assert len(again.voided) == VOIDED_KEPT + 1
    assert [entry.step for entry in again.voided if entry.version == "100"] == ["RolledBack"]


@pytest.mark.parametrize(
    ("user", "name", "same"),
    [
        ("alice@example.com", "Alice@example.com", True),
        ("oidc:alice@example.com", "alice@example.com", True),
        ("https://idp.example.com#alice", "alice", True),
        ("malice", "alice", False),
        ("alice", "", False),
    ],
)
def test_people_are_known_under_the_prefixes_of_authenticators(user: str, name: str, same: bool) -> None:
    assert is_same_person(user, name) == same


def test_a_finding_that_cannot_be_told_is_unknown() -> None:
    status = approval_status(Finding(approval(), BOB, R.DIGEST_UNKNOWN, "not read yet"), NOW)
    assert status["conditions"][0]["status"] == "Unknown"
    assert status["by"] == BOB
