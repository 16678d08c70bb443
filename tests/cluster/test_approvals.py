"""Approvals by people with tokens of their own: what counts, what does not, and what follows for real pods."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.checkout import CLUSTER_DIR
from tests.cluster.registry import STAGE_MOVES, Registry, template
from tests.cluster.test_disruption import kill
from tests.kube import OPERATOR_REACTS, VERSION_VERIFIED, Kube, KubectlError, Timeout, condition

pytestmark = pytest.mark.cluster

ROLES = {
    "alice": ["registrar", "promoter", "reviewer"],
    "bob": ["reviewer"],
    "carol": ["reviewer"],
    "dave": ["reviewer", "oncall"],
    "eve": ["viewer"],
}
"""The chart's roles in the test's namespace, and whose they are. Alice asks, though she may approve too."""
EXPIRY = Timeout("an approval has expired", 60)


@pytest.fixture
def team(registry: Registry) -> Registry:
    """The namespace with people in it, and a robot that may approve."""
    for who, roles in ROLES.items():
        for role in roles:
            registry.kube.run(
                "create", "rolebinding", f"{who}-{role}", f"--clusterrole=modelyard-{role}", f"--user={who}"
            )
    account = f"{registry.namespace}:robot"
    registry.kube.run("create", "serviceaccount", "robot")
    registry.kube.run(
        "create", "rolebinding", "robot-reviewer", "--clusterrole=modelyard-reviewer", f"--serviceaccount={account}"
    )
    return registry


def person(registry: Registry, who: str) -> Kube:
    """kubectl with that person's own token."""
    return replace(registry.kube, kubeconfig=CLUSTER_DIR / "users" / f"{who}.kubeconfig")


def acting(registry: Registry, who: str) -> Registry:
    """The same namespace in that person's hands."""
    return replace(registry, kube=person(registry, who))


def in_another_second_than(moment: datetime) -> None:
    """Wait until what is made now is certainly later: an object's time of creation is known to the second only."""
    while datetime.now(UTC) < moment + timedelta(seconds=1):
        time.sleep(0.05)


def demand(registry: Registry, *, serving: bool = True, **policy: Any) -> None:
    """A Model whose production wants two approvals by others than the requester."""
    approvals = {"required": 2, "excludeRequester": True, **policy}
    stages = [{"name": "staging"}, {"name": "production", "approvals": approvals}]
    parts: dict[str, Any] = {"serving": {"template": template()}} if serving else {}
    registry.kube.apply(registry._obj("Model", registry.name, {"stages": stages, **parts}), force=True)


def ask(registry: Registry, version: str, **more: Any) -> str:
    """Alice asks for production; the version's digest, once known."""
    acting(registry, "alice").version(version, artifact={"uri": registry.upload(version)}, **more)
    return digest(registry, version)


def digest(registry: Registry, version: str) -> str:
    """The version's pinned digest."""

    def pinned(obj: dict[str, Any]) -> bool:
        return bool(obj.get("status", {}).get("digest"))

    name = f"{registry.name}-{version}"
    return str(
        registry.kube.wait("modelversion", name, pinned, VERSION_VERIFIED, "its digest is known")["status"]["digest"]
    )


def approval(registry: Registry, name: str, version: str, bytes_: str, **spec: Any) -> dict[str, Any]:
    """An Approval of a version for production."""
    base = {"model": registry.name, "version": version, "stage": "production", "digest": bytes_, "decision": "Approve"}
    return registry._obj("Approval", name, {**base, **spec})


def approve(registry: Registry, who: str, version: str, bytes_: str, name: str = "", **spec: Any) -> str:
    """Somebody approves; the Approval's name."""
    name = name or f"{who}-{version}"
    person(registry, who).create(approval(registry, name, version, bytes_, **spec))
    return name


def says(registry: Registry, name: str, status: str, reason: str, timeout: Timeout = OPERATOR_REACTS) -> dict[str, Any]:
    """Wait until an Approval says so; its status."""

    def holds(obj: dict[str, Any]) -> bool:
        found = condition(obj, "Counted")
        return (found.get("status"), found.get("reason")) == (status, reason)

    found: dict[str, Any] = registry.kube.wait("approval", name, holds, timeout, f"it is {status} ({reason})")["status"]
    return found


def given_by(*people: str, missing: int) -> Callable[[dict[str, Any]], bool]:
    """A predicate: the version tells so. It is written beside the Approvals' statuses, before or after them."""

    def holds(obj: dict[str, Any]) -> bool:
        told = obj["status"].get("approvals", {})
        return (told.get("approvedBy"), told.get("missing")) == (list(people), missing)

    return holds


def test_a_candidate_waits_with_pods_ready_until_two_others_have_approved(team: Registry) -> None:
    demand(team)
    bytes_ = ask(team, "1")
    waiting = team.reaches("1", "AwaitingApproval", "ApprovalsMissing")
    assert waiting["status"]["request"]["requestedBy"] == "alice"
    assert (
        "2 approvals are required at stage 'production', 0 given, 2 missing" in waiting["status"]["request"]["message"]
    )
    assert [pod["status"]["phase"] for pod in team.kube.items("pods", "modelyard.dev/stage=production")] == ["Running"]

    # Bob runs what the status says, word for word.
    environment = {
        **os.environ,  # without a home, kubectl would keep its cache in this checkout
        "PATH": f"{CLUSTER_DIR / 'bin'}:{os.environ['PATH']}",
        "KUBECONFIG": str(CLUSTER_DIR / "users" / "bob.kubeconfig"),
    }
    subprocess.run(["bash", "-c", waiting["status"]["approvals"]["command"]], env=environment, check=True)
    (made,) = team.kube.items("approvals")
    says(team, made["metadata"]["name"], "True", "Counted")
    team.kube.wait("modelversion", "fraud-1", given_by("bob", missing=1), what="it tells who approved")

    approve(team, "carol", "1", bytes_, comment="looked at slices")
    team.serves("1")
    rows = [line.split() for line in person(team, "eve").run("get", "approvals").splitlines()]
    assert rows[0] == ["NAME", "MODEL", "VERSION", "STAGE", "DECISION", "BY", "COUNTED", "REASON", "AGE"]
    assert ["carol-1", "fraud", "1", "production", "Approve", "carol", "True", "Counted"] in [row[:-1] for row in rows]
    assert team.kube.get("modelversion", "fraud-1")["status"]["approvals"]["approvedBy"] == ["bob", "carol"]
    team.kube.told("fraud-1", "RequestHeld", "ApprovalCounted", "ApprovalCounted")


def test_who_may_not_approve_is_refused_and_whether_one_may_can_be_asked(team: Registry) -> None:
    demand(team, serving=False)
    bytes_ = ask(team, "1")
    waiting = team.reaches("1", "AwaitingApproval", "ApprovalsMissing")
    question = waiting["status"]["request"]["message"].partition("whether you may: kubectl ")[2].split()
    assert person(team, "carol").run(*question).strip() == "yes"
    with pytest.raises(KubectlError):
        person(team, "eve").run(*question)
    with pytest.raises(KubectlError):
        approve(team, "eve", "1", bytes_)


def test_each_approval_that_does_not_count_says_why(team: Registry) -> None:
    demand(team, serving=False, expireAfter="45s")
    bytes_ = ask(team, "1", author="dave")
    team.reaches("1", "AwaitingApproval", "ApprovalsMissing")
    expires = approve(team, "carol", "1", bytes_)
    says(team, expires, "True", "Counted")
    says(team, approve(team, "carol", "1", bytes_, "second"), "False", "Duplicate")
    says(team, approve(team, "alice", "1", bytes_), "False", "Requester")
    says(team, approve(team, "dave", "1", bytes_), "False", "Author")
    says(team, approve(team, "bob", "1", f"sha256:{'0' * 64}", "other-bytes"), "False", "DigestMismatch")
    says(team, approve(team, "bob", "1", bytes_, "needless", stage="staging"), "False", "NotRequired")
    says(team, approve(team, "bob", "9", bytes_), "False", "VersionNotFound")
    robot = team.kube.as_user(f"system:serviceaccount:{team.namespace}:robot")
    robot.create(approval(team, "robot-1", "1", bytes_))
    assert says(team, "robot-1", "False", "ServiceAccount")["by"].endswith(":robot")
    team.kube.create(approval(team, "canary", "1", bytes_, stage="canary"))
    says(team, "canary", "False", "StageUnknown")
    team.kube.create(team._obj("Approval", "nowhere", {**approval(team, "x", "1", bytes_)["spec"], "model": "nobody"}))
    says(team, "nowhere", "False", "ModelNotFound")
    says(team, expires, "False", "Expired", EXPIRY)
    ignored = team.kube.get("modelversion", "fraud-1")["status"]["approvals"]["ignored"]
    assert {"name": "alice-1", "by": "alice", "reason": "Requester"} in ignored
    team.kube.told("alice-1", "ApprovalIgnored")
    assert team.kube.get("modelversion", "fraud-1")["status"]["request"]["step"] == "AwaitingApproval"


def test_an_approval_may_come_before_the_bytes_were_read_and_before_the_request(team: Registry) -> None:
    demand(team, serving=False, required=1)
    registered = acting(team, "alice")
    registered.version("1", stage=None, artifact={"uri": "s3://no-such-bucket-here/1/"})
    says(team, approve(team, "bob", "1", f"sha256:{'0' * 64}"), "Unknown", "DigestUnknown")
    registered.version("2", stage=None)
    says(team, approve(team, "bob", "2", digest(team, "2")), "True", "Counted")
    registered.version("2")
    team.serves("2")


def test_the_request_of_an_account_that_many_people_use_waits_until_one_asks(team: Registry) -> None:
    for role in ROLES["alice"]:
        team.kube.run("create", "rolebinding", f"gitops-{role}", f"--clusterrole=modelyard-{role}", "--user=gitops")
    demand(team, serving=False, required=1)
    gitops = replace(team, kube=team.kube.as_user("gitops"))
    gitops.version("1", artifact={"uri": team.upload("1")})
    bytes_ = digest(team, "1")
    gitops.kube.create(approval(team, "gitops-1", "1", bytes_))
    says(team, "gitops-1", "False", "SharedAccount")
    says(team, approve(team, "bob", "1", bytes_), "True", "Counted")
    team.reaches("1", "AwaitingApproval", "RequesterUnknown")
    person(team, "alice").run("annotate", "modelversion", "fraud-1", "modelyard.dev/request=1")
    team.serves("1")


def test_without_a_stamp_nobody_is_believed(unprotected_registry: Registry) -> None:
    registry = unprotected_registry
    demand(registry, serving=False, required=1)
    registry.version("1")
    bytes_ = digest(registry, "1")
    registry.kube.create(approval(registry, "anonymous", "1", bytes_))
    assert "by" not in says(registry, "anonymous", "False", "AdmissionNotInstalled")


def test_one_reject_ends_the_request_and_approvals_made_since_count_for_the_next(team: Registry) -> None:
    demand(team)
    first = ask(team, "1")
    for who in ("bob", "carol"):
        approve(team, who, "1", first)
    team.serves("1")
    second = ask(team, "2")
    before = approve(team, "bob", "2", second)
    says(team, before, "True", "Counted")
    reject = approve(team, "carol", "2", second, decision="Reject", comment="worse on small payments")
    ended = team.reaches("2", "Rejected", "Rejected")
    assert (
        "carol rejected version '2' for stage 'production': worse on small payments"
        in (ended["status"]["request"]["message"])
    )
    says(team, before, "False", "MadeBeforeRejection")
    says(team, reject, "True", "Rejected")
    assert team.answer().split()[0] == "1"

    person(team, "alice").run("annotate", "modelversion", "fraud-2", "modelyard.dev/request=1")
    team.reaches("2", "AwaitingApproval", "ApprovalsMissing")
    in_another_second_than(datetime.now(UTC))
    for who in ("bob", "dave"):
        approve(team, who, "2", second, f"{who}-again")
    team.serves("2")


def test_what_was_approved_before_a_rollback_does_not_bring_the_version_back(team: Registry) -> None:
    demand(team, required=1)
    approve(team, "bob", "1", ask(team, "1"))
    team.serves("1")
    second = ask(team, "2")
    approve(team, "bob", "2", second)
    team.serves("2")
    in_another_second_than(datetime.fromisoformat(team.current(team.kube.get("model", "fraud"))["since"]))
    says(team, approve(team, "carol", "2", second), "False", "AlreadyServing")
    acting(team, "dave").rollback("back")
    team.applied("back")
    says(team, "bob-2", "False", "MadeBeforeRollback")
    person(team, "alice").run("annotate", "modelversion", "fraud-2", "modelyard.dev/request=1")
    team.reaches("2", "AwaitingApproval", "ApprovalsMissing", STAGE_MOVES)
    in_another_second_than(datetime.now(UTC))
    approve(team, "bob", "2", second, "bob-again")
    team.serves("2")


def test_an_operator_that_dies_between_approvals_loses_and_repeats_none(team: Registry) -> None:
    demand(team)
    bytes_ = ask(team, "1")
    team.reaches("1", "AwaitingApproval", "ApprovalsMissing")
    kill(team.kube)
    approve(team, "bob", "1", bytes_)
    approve(team, "carol", "1", bytes_)
    kill(team.kube)
    team.serves("1")
    assert team.history() == [("Promoted", "1")]
    for name in ("bob-1", "carol-1"):
        says(team, name, "True", "Counted")


def test_a_model_may_want_a_reason_which_is_recorded(team: Registry) -> None:
    team.kube.apply(
        team._obj("Model", "fraud", {"requireReason": True, "stages": [{"name": "production"}]}), force=True
    )
    alice = person(team, "alice")
    acting(team, "alice").version("1", stage=None)
    digest(team, "1")
    # The policy knows the Model a moment after it is there; the operator holds in any case what slips through.
    asked = alice.patch("modelversion", "fraud-1", {
        "metadata": {"annotations": {"modelyard.dev/reason": "ML-12 first model"}}, "spec": {"stage": "production"},
    })  # fmt: skip
    assert asked["metadata"]["annotations"]["modelyard.dev/requested-by"] == "alice"
    line = team.serves("1")["status"]["transitions"][-1]
    assert (line["by"], line["reason"]) == ("alice", "ML-12 first model")
