"""Approvals on a simulated cluster: before a request and during it, expired, rejected, rolled back, died between."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.decide import decide
from tests.unit.decide.simulation import Cluster

HOUR = 3600.0


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    demand(made)
    return made


def demand(cluster: Cluster, *, staging: dict[str, Any] | None = None, **policy: Any) -> None:
    stages: list[dict[str, Any]] = [
        {"name": "staging"} | ({"approvals": staging} if staging else {}),
        {"name": "production", "approvals": {"required": 2, **policy}},
    ]
    cluster.model(stages=stages)


def counted(cluster: Cluster, name: str) -> tuple[str, str]:
    (condition,) = cluster.status("Approval", name)["conditions"]
    return condition["status"], condition["reason"]


def consent(cluster: Cluster, version: str = "1") -> dict[str, Any]:
    found: dict[str, Any] = cluster.status("ModelVersion", f"fraud-{version}").get("approvals", {})
    return found


def approved(cluster: Cluster, version: str) -> None:
    """A version that two people approved serves."""
    cluster.version(version)
    cluster.settle(10)
    cluster.approve("bob", version)
    cluster.approve("carol", version)
    cluster.settle(10)
    assert cluster.live() == version


def again(cluster: Cluster, version: str, value: str = "again") -> None:
    cluster.version(version, annotations={"modelyard.dev/request": value})
    cluster.settle(10)


def reasons(cluster: Cluster) -> list[str]:
    return [reason for _, reason, _ in cluster.events]


def test_a_request_waits_until_enough_people_have_approved(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(10)
    assert cluster.live() is None
    assert cluster.request("1") == ("AwaitingApproval", "ApprovalsMissing")
    first = cluster.approve("bob", "1")
    cluster.settle(10)
    assert counted(cluster, first) == ("True", "Counted")
    status = consent(cluster)
    assert "kubectl create -f -" in status.pop("command")
    assert status == {"stage": "production", "required": 2, "approvedBy": ["bob"], "missing": 1}
    assert cluster.live() is None
    cluster.approve("carol", "1")
    cluster.settle(10)
    assert cluster.live() == "1"
    assert consent(cluster)["approvedBy"] == ["bob", "carol"]
    assert reasons(cluster).count("ApprovalCounted") == 2


def test_pods_are_ready_when_the_last_person_approves_and_the_switch_is_one_decision(cluster: Cluster) -> None:
    approved(cluster, "1")
    cluster.version("2")
    cluster.settle(10)
    assert cluster.replicas("2") == [1]
    cluster.approve("bob", "2")
    cluster.settle()
    cluster.approve("carol", "2")
    cluster.step()
    assert cluster.live() == "2"


def test_an_approval_may_precede_the_request_and_the_version(cluster: Cluster) -> None:
    early = cluster.approve("bob", "1")
    cluster.settle(10)
    assert counted(cluster, early) == ("False", "VersionNotFound")
    cluster.version("1", stage=None)
    cluster.step()
    assert counted(cluster, early) == ("Unknown", "DigestUnknown")
    cluster.approve("carol", "1")
    cluster.settle(10)
    assert counted(cluster, early) == ("True", "Counted")
    assert consent(cluster) == {}
    cluster.version("1")
    cluster.settle(10)
    assert cluster.live() == "1"


def test_an_approval_for_an_unknown_stage_says_which_there_are(cluster: Cluster) -> None:
    name = cluster.approve("bob", "1", stage="canary")
    cluster.settle(10)
    assert counted(cluster, name) == ("False", "StageUnknown")
    assert "staging, production" in cluster.status("Approval", name)["conditions"][0]["message"]
    assert ("Approval", "ApprovalIgnored") in [(kind, reason) for kind, reason, _ in cluster.events]


def test_an_approval_of_an_unknown_model_says_so_once(cluster: Cluster) -> None:
    cluster.delete("Model", "fraud")
    name = cluster.approve("bob", "1")
    cluster.settle(10)
    assert counted(cluster, name) == ("False", "ModelNotFound")
    assert decide(cluster.snapshot(), cluster.now).is_empty


def test_consent_that_expires_while_the_request_waits_is_missing_again(cluster: Cluster) -> None:
    demand(cluster, expireAfter="1h")
    cluster.version("1")
    cluster.settle(10)
    first = cluster.approve("bob", "1")
    cluster.settle(10)
    plan = decide(cluster.snapshot(), cluster.now)
    assert plan.look_again_at
    assert (plan.look_again_at - cluster.now).total_seconds() == HOUR - 10
    cluster.settle(HOUR - 10)
    assert counted(cluster, first) == ("False", "Expired")
    assert (consent(cluster)["missing"], consent(cluster)["expired"]) == (2, ["bob"])
    cluster.approve("carol", "1")
    cluster.settle(10)
    assert cluster.live() is None
    cluster.approve("bob", "1")
    cluster.settle(10)
    assert cluster.live() == "1"


def test_what_counted_stays_told_when_it_expires_after_the_switch(cluster: Cluster) -> None:
    demand(cluster, expireAfter="1h")
    approved(cluster, "1")
    cluster.settle(2 * HOUR)
    names = [name for kind, name in cluster.objects if kind == "Approval"]
    assert {counted(cluster, name) for name in names} == {("True", "Counted")}
    assert cluster.live() == "1"
    assert consent(cluster)["approvedBy"] == ["bob", "carol"]


def test_one_reject_ends_the_request_and_later_approvals_count_for_a_new_one(cluster: Cluster) -> None:
    approved(cluster, "1")
    cluster.version("2")
    cluster.settle(10)
    before = cluster.approve("bob", "2")
    reject = cluster.approve("carol", "2", reject="worse on small payments")
    cluster.settle(10)
    assert cluster.request("2") == ("Rejected", "Rejected")
    message = cluster.status("ModelVersion", "fraud-2")["request"]["message"]
    assert "carol rejected version '2' for stage 'production': worse on small payments" in message
    assert counted(cluster, reject) == ("True", "Rejected")
    assert counted(cluster, before) == ("False", "MadeBeforeRejection")
    assert cluster.live() == "1"
    assert cluster.replicas("2") == []
    assert [reason for reason in reasons(cluster) if reason == "VersionRejected"] == ["VersionRejected"]

    again(cluster, "2")
    assert cluster.request("2") == ("AwaitingApproval", "ApprovalsMissing")
    cluster.approve("bob", "2")
    cluster.approve("dave", "2")
    cluster.settle(10)
    assert cluster.live() == "2"
    assert counted(cluster, reject) == ("True", "Rejected")
    assert counted(cluster, before) == ("False", "MadeBeforeRejection")


def test_a_reject_before_the_request_ends_that_one_alone(cluster: Cluster) -> None:
    cluster.version("1", stage=None)
    cluster.settle(10)
    reject = cluster.approve("bob", "1", reject="trained on leaked labels")
    cluster.settle(10)
    assert counted(cluster, reject) == ("True", "Rejected")
    cluster.version("1")
    cluster.settle(10)
    assert cluster.request("1") == ("Rejected", "Rejected")
    again(cluster, "1")
    assert cluster.request("1") == ("AwaitingApproval", "ApprovalsMissing")


def test_a_reject_ends_a_request_that_has_not_come_to_approvals_yet(cluster: Cluster) -> None:
    cluster.conflicts.add(("Service", "fraud-production"))
    cluster.version("1")
    cluster.settle(10)
    assert cluster.request("1") == ("Held", "NameConflict")
    cluster.approve("bob", "1", reject="no")
    cluster.settle(10)
    assert cluster.request("1") == ("Rejected", "Rejected")


def test_a_reject_that_is_deleted_in_time_ends_nothing(cluster: Cluster) -> None:
    cluster.version("1", stage=None)
    cluster.settle(10)
    reject = cluster.approve("bob", "1", reject="by mistake")
    cluster.settle(10)
    cluster.delete("Approval", reject)
    cluster.version("1")
    cluster.settle(10)
    assert cluster.request("1") == ("AwaitingApproval", "ApprovalsMissing")


def test_what_is_approved_does_not_queue_behind_a_newer_one_that_waits_for_people(cluster: Cluster) -> None:
    approved(cluster, "1")
    cluster.version("2")
    cluster.settle(10)
    cluster.version("3")
    cluster.settle(10)
    assert [cluster.request(version)[0] for version in ("2", "3")] == ["Queued", "AwaitingApproval"]
    cluster.approve("bob", "2")
    cluster.settle(10)
    assert cluster.request("2")[0] == "Queued", "one of two is not enough"
    cluster.approve("carol", "2")
    cluster.settle(10)
    assert cluster.live() == "2"
    assert cluster.request("3")[0] == "AwaitingApproval", "it is newer, and goes on waiting"
    cluster.approve("bob", "3")
    cluster.approve("carol", "3")
    cluster.settle(10)
    assert cluster.live() == "3"


def test_a_reject_at_an_earlier_stage_ends_the_request_for_a_later_one(cluster: Cluster) -> None:
    demand(cluster, staging={"required": 1})
    cluster.version("1")
    cluster.settle(10)
    cluster.approve("carol", "1")
    cluster.approve("bob", "1", reject="not in staging either", stage="staging")
    cluster.settle(10)
    assert cluster.request("1") == ("Rejected", "Rejected")
    again(cluster, "1")
    assert consent(cluster)["stage"] == "staging"
    cluster.approve("bob", "1", stage="staging")
    cluster.settle(10)
    assert (consent(cluster)["stage"], consent(cluster)["approvedBy"]) == ("production", ["carol"])


def test_a_version_that_carries_a_stage_needs_no_consent_there_again_to_go_on(cluster: Cluster) -> None:
    demand(cluster, staging={"required": 1, "expireAfter": "1h", "excludeRequester": True})
    cluster.version("1", "staging", annotations={"modelyard.dev/requested-by": "alice"})
    name = cluster.approve("bob", "1", stage="staging")
    cluster.settle(10)
    assert cluster.live("staging") == "1"
    cluster.settle(2 * HOUR)
    cluster.version("1", annotations={"modelyard.dev/requested-by": "bob"})
    cluster.settle(10)
    assert counted(cluster, name) == ("True", "Counted")
    assert consent(cluster)["stage"] == "production"
    cluster.approve("bob", "1")
    cluster.approve("carol", "1")
    cluster.settle(10)
    assert cluster.live() == "1"


def test_a_stage_without_approvals_can_be_rejected_too(cluster: Cluster) -> None:
    cluster.model(stages=[{"name": "production", "approvals": {"required": 0}}])
    cluster.version("1", stage=None)
    cluster.settle(10)
    cluster.approve("bob", "1", reject="no")
    needless = cluster.approve("carol", "1")
    cluster.version("1")
    cluster.settle(10)
    assert cluster.request("1") == ("Rejected", "Rejected")
    assert counted(cluster, needless)[0] == "False"


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_was_approved_before_a_rollback_does_not_count_again(cluster: Cluster, forgotten: bool) -> None:
    approved(cluster, "1")
    approved(cluster, "2")
    old = [
        name for (kind, name), obj in cluster.objects.items() if kind == "Approval" and obj["spec"]["version"] == "2"
    ]
    cluster.rollback("back")
    cluster.settle(10)
    assert cluster.live() == "1"
    assert {counted(cluster, name) for name in old} == {("False", "MadeBeforeRollback")}
    if forgotten:
        cluster.delete("Rollback", "back")
        for stage in ("production", None):
            for number in range(3, 15):
                cluster.version(str(number), stage)
            cluster.settle(10)
        requests = cluster.status("Model", "fraud")["stages"][1]["requests"]
        assert "2" not in [request["version"] for request in requests]
    again(cluster, "2")
    assert cluster.request("2") == ("AwaitingApproval", "ApprovalsMissing")
    cluster.approve("bob", "2")
    cluster.approve("carol", "2")
    cluster.settle(10)
    assert cluster.live() == "2"


def test_the_version_that_nobody_asked_for_any_more_is_rolled_back_all_the_same(cluster: Cluster) -> None:
    approved(cluster, "1")
    approved(cluster, "2")
    cluster.version("2", stage=None)
    cluster.version("1", stage=None)
    cluster.settle(10)
    assert cluster.live() == "2"
    cluster.rollback("back", to="1")
    cluster.settle(10)
    cluster.version("2")
    cluster.settle(10)
    assert cluster.live() == "1"
    assert cluster.request("2") == ("AwaitingApproval", "ApprovalsMissing")


def test_approvals_of_the_version_gone_back_to_are_left_alone(cluster: Cluster) -> None:
    approved(cluster, "1")
    approved(cluster, "2")
    cluster.rollback("back")
    cluster.settle(10)
    old = [
        name for (kind, name), obj in cluster.objects.items() if kind == "Approval" and obj["spec"]["version"] == "1"
    ]
    assert {counted(cluster, name) for name in old} == {("True", "Counted")}


def test_a_version_made_again_with_the_same_bytes_keeps_consent_and_refusal(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(10)
    cluster.approve("bob", "1")
    cluster.approve("carol", "1", reject="no")
    cluster.settle(10)
    cluster.delete("ModelVersion", "fraud-1")
    cluster.settle(10)
    cluster.version("1")
    cluster.settle(10)
    assert cluster.request("1") == ("AwaitingApproval", "ApprovalsMissing")
    assert consent(cluster)["missing"] == 2


def test_a_shared_accounts_request_waits_for_somebody_who_asks_in_person(cluster: Cluster) -> None:
    demand(cluster, excludeRequester=True)
    cluster.shared_accounts = frozenset({"argocd"})
    cluster.version("1", annotations={"modelyard.dev/requested-by": "argocd"})
    cluster.settle(10)
    cluster.approve("bob", "1")
    cluster.approve("carol", "1")
    cluster.settle(10)
    assert cluster.request("1") == ("AwaitingApproval", "RequesterUnknown")
    cluster.version("1", annotations={"modelyard.dev/requested-by": "carol", "modelyard.dev/request": "1"})
    cluster.settle(10)
    assert cluster.request("1") == ("AwaitingApproval", "ApprovalsMissing")
    assert consent(cluster)["ignored"][0] | {"name": ""} == {"name": "", "by": "carol", "reason": "Requester"}
    cluster.approve("dave", "1")
    cluster.settle(10)
    assert cluster.live() == "1"


def test_policies_edited_later_concern_no_version_that_serves(cluster: Cluster) -> None:
    approved(cluster, "1")
    demand(cluster, required=5, excludeRequester=True)
    cluster.settle(10)
    assert cluster.live() == "1"
    assert consent(cluster)["required"] == 2


def test_without_admission_policies_it_waits_and_says_what_to_do(cluster: Cluster) -> None:
    cluster.admission = False
    cluster.version("1")
    cluster.settle(10)
    name = cluster.approve("bob", "1")
    cluster.approve("carol", "1")
    cluster.settle(10)
    assert cluster.request("1") == ("AwaitingApproval", "AdmissionNotInstalled")
    assert counted(cluster, name) == ("False", "AdmissionNotInstalled")
    assert "by" not in cluster.status("Approval", name)


def test_a_model_may_demand_a_reason_which_can_be_given_later(cluster: Cluster) -> None:
    cluster.model(requireReason=True, stages=[{"name": "production"}])
    cluster.version("1")
    cluster.settle(10)
    assert cluster.request("1") == ("Held", "ReasonRequired")
    assert "modelyard.dev/reason='...'" in cluster.status("ModelVersion", "fraud-1")["request"]["message"]
    cluster.version("1", annotations={"modelyard.dev/reason": "ML-12 first model"})
    cluster.settle(10)
    assert cluster.live() == "1"
    assert cluster.status("Model", "fraud")["transitions"][-1]["reason"] == "ML-12 first model"


def deaths(cluster: Cluster) -> Iterator[Cluster]:
    """The same cluster once for every write of the next decision after which the operator could die."""
    plan = decide(cluster.snapshot(), cluster.now)
    for writes in range(len(plan.actions) + 2):
        copied = copy.deepcopy(cluster)
        copied.carry_out(plan, writes=writes)
        yield copied.settle(10)


def test_dying_after_any_write_neither_loses_nor_repeats_a_rejection(cluster: Cluster) -> None:
    approved(cluster, "1")
    cluster.version("2")
    cluster.settle(10)
    cluster.approve("bob", "2", "before")
    reject = cluster.approve("carol", "2", "no", reject="no")
    for dead in deaths(cluster):
        assert dead.request("2") == ("Rejected", "Rejected")
        assert counted(dead, reject) == ("True", "Rejected")
        assert counted(dead, "before") == ("False", "MadeBeforeRejection")
        again(dead, "2")
        assert dead.request("2") == ("AwaitingApproval", "ApprovalsMissing")


def test_dying_after_any_write_of_the_switch_keeps_whose_consent_it_had(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(10)
    names = [cluster.approve(by, "1") for by in ("bob", "carol")]
    for dead in deaths(cluster):
        assert dead.live() == "1"
        assert {counted(dead, name) for name in names} == {("True", "Counted")}
        assert consent(dead).get("approvedBy") == ["bob", "carol"]


def test_of_two_approvals_within_a_second_the_one_that_counts_goes_on_counting(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(10)
    for first, second in (("z", "a"), ("a", "z")):
        cluster.objects = {key: obj for key, obj in cluster.objects.items() if key[0] != "Approval"}
        for name in (first, second):
            cluster.approve("bob", "1", name)
            cluster.objects["Approval", name]["metadata"]["uid"] = f"uid-{name}"
            cluster.settle()
        assert counted(cluster, first) == ("True", "Counted")
        assert counted(cluster, second) == ("False", "Duplicate")


def test_a_world_at_rest_asks_for_nothing(cluster: Cluster) -> None:
    approved(cluster, "1")
    cluster.version("2")
    cluster.settle(10)
    cluster.approve("bob", "2")
    cluster.approve("bob", "2")
    cluster.settle(20)
    assert decide(cluster.snapshot(), cluster.now).is_empty
