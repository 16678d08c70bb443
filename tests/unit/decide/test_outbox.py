"""Stories of the record: everything that happened is told once, in order, whatever dies or is down."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.codec import format_time
from modelyard.decide import decide, outbox, settled_and_told
from modelyard.decide.plan import Commit
from modelyard.decide.state import TRANSITIONS_BESIDE_LEDGER, TRANSITIONS_KEPT
from modelyard.ledger.records import Record
from tests.tries import some, tries
from tests.unit.decide.ledger import Ledger
from tests.unit.decide.simulation import SERVER, Cluster

ALL = ["Registered", "Verified", "Promoted"]


def cluster_with_ledger(**spec: Any) -> Cluster:
    cluster = Cluster()
    cluster.ledger = Ledger()
    cluster.model(**({"stages": [{"name": "production"}]} | spec))
    return cluster


def ledger_of(cluster: Cluster) -> Ledger:
    assert cluster.ledger
    return cluster.ledger


def record(cluster: Cluster, type_: str) -> Record:
    return next(r for r in reversed(ledger_of(cluster).records) if r.type == type_)


def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects["Model", "fraud"]["status"]
    return found


def waiting(cluster: Cluster) -> int:
    return len(status(cluster)["ledger"].get("outbox", ()))


def synced(cluster: Cluster) -> tuple[str, str]:
    condition = next(c for c in status(cluster)["conditions"] if c["type"] == "LedgerSynced")
    return condition["status"], condition["reason"]


def test_the_way_of_a_version_and_back() -> None:
    cluster = cluster_with_ledger()
    for version in ("1", "2"):
        cluster.version(version, source={"revision": f"commit-{version}"})
        cluster.settle(20)
    cluster.rollback("oops")
    cluster.settle(20)
    ledger = ledger_of(cluster)
    assert ledger.told == [*(f"{kind} {version}" for version in "12" for kind in ALL), "RolledBack 1"]
    assert ledger.is_intact()
    assert synced(cluster) == ("True", "Synced")
    registered, promoted, rolled_back = (record(cluster, kind) for kind in ("Registered", "Promoted", "RolledBack"))
    assert registered.version
    assert registered.version.spec["source"] == {"revision": "commit-2"}
    assert promoted.to
    assert promoted.from_
    assert (promoted.from_.version, promoted.to.version, promoted.sequence) == ("1", "2", 2)
    assert (promoted.operator, promoted.endpoint) == ("9.9", "fraud-production.risk.svc:8080")
    assert promoted.effective_at
    assert promoted.effective_at >= promoted.at
    assert rolled_back.request
    assert (rolled_back.request.reason, rolled_back.request.source) == ("INC-1", "Rollback/oops")


def test_without_a_ledger_nothing_of_it_is_written() -> None:
    cluster = Cluster()
    cluster.model()
    cluster.version("1")
    cluster.settle(20)
    assert "ledger" not in status(cluster)
    assert "recorded" not in cluster.objects["ModelVersion", "fraud-1"]["status"]
    assert synced(cluster) == ("False", "NotConfigured")


def test_entries_leave_the_status_with_a_write_that_is_due_anyway() -> None:
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.settle(20)
    left = waiting(cluster)
    commits = len([plan for plan in cluster.plans if plan.commit])
    for _ in range(3):
        cluster.step()
    assert len([plan for plan in cluster.plans if plan.commit]) == commits
    cluster.version("2")
    cluster.settle(20)
    assert left <= 3
    assert waiting(cluster) <= 3
    assert status(cluster)["ledger"]["count"] == 6
    assert status(cluster)["ledger"]["number"] >= 3


ACTS: list[Callable[[Cluster], None]] = [
    lambda cluster: cluster.version("1"),
    lambda cluster: cluster.version("2"),
    lambda cluster: cluster.rollback("back"),
    lambda cluster: cluster.delete("ModelVersion", "fraud-2"),
    lambda cluster: cluster.model(stages=[{"name": "production", "suspend": True}]),
]


def test_killed_after_every_single_write() -> None:
    """After each write of each plan the process dies once, and another one goes on with what it finds."""
    cluster = cluster_with_ledger()
    deaths = 0
    for act in ACTS:
        act(cluster)
        killed = []
        while True:
            plan = decide(cluster.snapshot(), cluster.now)
            for writes in range(int(plan.commit is not None) + len(plan.actions)):
                other = copy.deepcopy(cluster)
                other.carry_out(plan, writes)
                ledger_of(other).forget()
                killed.append(other)
            if not cluster.step():
                break
        for other in some(killed):
            assert sorted(ledger_of(other.settle()).told) == sorted(ledger_of(cluster).told)
            assert ledger_of(other).is_intact()
        deaths += len(killed)
    assert deaths > 25
    assert ledger_of(cluster).told[-2:] == ["RolledBack 1", "Suspended 1"]


VERSIONS = st.sampled_from("123")
LIVES = st.lists(
    st.one_of(
        st.tuples(st.just("promote"), VERSIONS),
        st.tuples(st.just("withdraw"), VERSIONS),
        st.tuples(st.just("delete"), VERSIONS),
        st.tuples(st.just("retry"), VERSIONS),
        st.tuples(st.just("approve"), VERSIONS),
        st.tuples(st.just("fail"), VERSIONS),
        st.sampled_from([("rollback", ""), ("suspend", ""), ("down", ""), ("up", ""), ("restart", "")]),
    ),
    max_size=10,
)


@tries(15)
@given(life=LIVES)
def test_whatever_happens_every_move_is_told_once(life: list[tuple[str, str]]) -> None:
    """Users, a store that comes and goes, and a process that is started anew; in the end all is quiet and told."""
    policy = {"name": "production", "approvals": {"required": 0}}
    cluster = cluster_with_ledger(stages=[policy])
    cluster.admission = True
    for number, (act, version) in enumerate(life):
        live(cluster, number, act, version)
        cluster.settle(20)
    ledger_of(cluster).come_back()
    cluster.settle(100)
    cluster.version("9")
    cluster.settle(20)
    moves = [(line["type"], line["at"]) for line in status(cluster)["transitions"]]
    kinds = {kind for kind, _ in moves}
    records = ledger_of(cluster).records
    assert [(r.type, format_time(r.at)) for r in records if r.type in kinds] == moves
    assert len({(r.type, r.at, r.stage, r.sequence, r.message, str(r.version)) for r in records}) == len(records)
    assert waiting(cluster) <= 3
    assert synced(cluster) == ("True", "Synced")


def live(cluster: Cluster, number: int, act: str, version: str) -> None:
    known = ("ModelVersion", f"fraud-{version}") in cluster.objects
    match act:
        case "promote":
            cluster.version(version, annotations={"modelyard.dev/request": str(number)})
        case "withdraw" if known:
            cluster.version(version, None)
        case "delete" if known:
            cluster.delete("ModelVersion", f"fraud-{version}")
        case "retry" if known:
            cluster.annotate(version, retry=str(number))
        case "approve" if known:
            cluster.approve("alice", version, f"approval-{number}")
        case "fail":
            cluster.results[version] = [{"error": {"reason": "ObjectNotFound", "message": "gone", "transient": False}}]
        case "rollback":
            cluster.rollback(f"rollback-{number}")
        case "suspend":
            [known_stage] = _model(cluster).get("status", {}).get("stages", [{}])
            suspended = known_stage.get("suspended", False)
            cluster.model(stages=[{"name": "production", "suspend": not suspended}])
        case "down":
            ledger_of(cluster).go_down()
        case "up":
            ledger_of(cluster).come_back()
        case "restart":
            ledger_of(cluster).forget()


def _model(cluster: Cluster) -> dict[str, Any]:
    return cluster.objects["Model", "fraud"]


def test_a_process_that_starts_anew_appends_nothing_twice() -> None:
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.settle(20)
    for _ in range(3):
        ledger_of(cluster).forget()
        cluster.settle(20)
    assert ledger_of(cluster).told == [f"{kind} 1" for kind in ALL]


def test_the_store_goes_down_and_comes_back() -> None:
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.settle(20)
    ledger_of(cluster).go_down()
    cluster.version("2")
    cluster.settle(20)
    assert cluster.live() == "2"
    assert synced(cluster) == ("False", "LedgerUnavailable")
    cluster.rollback("back")
    cluster.settle(20)
    assert cluster.live() == "1"
    assert len(ledger_of(cluster).place.objects) == 3
    ledger_of(cluster).come_back()
    cluster.settle(20)
    assert synced(cluster) == ("True", "Synced")
    assert ledger_of(cluster).told[3:] == [*(f"{kind} 2" for kind in ALL), "RolledBack 1"]
    reasons = [reason for _, reason, _ in cluster.events if reason.startswith("Ledger")]
    assert reasons == ["LedgerUnavailable", "LedgerSynced"]


def test_a_full_outbox_stops_promotions_and_neither_rollback_nor_undo() -> None:
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.version("2", None)
    cluster.settle(20)
    ledger_of(cluster).go_down()
    fill(cluster, outbox.LIMIT)
    cluster.version("2")
    cluster.settle(20)
    assert cluster.live() == "1"
    request = cluster.objects["ModelVersion", "fraud-2"]["status"]["request"]
    assert (request["step"], request["reason"]) == ("Held", "LedgerUnavailable")
    assert "connection refused" in request["message"]
    ledger_of(cluster).come_back()
    cluster.settle(20)
    assert cluster.live() == "2"
    ledger_of(cluster).go_down()
    fill(cluster, outbox.LIMIT + 5)
    cluster.rollback("back")
    cluster.settle(20)
    assert cluster.live() == "1"
    ledger_of(cluster).come_back()
    cluster.settle(20)
    assert ledger_of(cluster).is_intact()
    assert [told for told in ledger_of(cluster).told if told.startswith(("Promoted", "RolledBack"))] == [
        "Promoted 1", "Promoted 2", "RolledBack 1",
    ]  # fmt: skip


def fill(cluster: Cluster, count: int) -> None:
    """Let so many entries wait, as after many pauses of stages while the store was down."""
    others = [{"name": f"other{number}"} for number in range(7)]
    paused = False
    while waiting(cluster) < count:
        paused = not paused
        cluster.model(stages=[*({**other, "paused": paused} for other in others), {"name": "production"}])
        cluster.settle()


def test_the_patient_wait_where_they_are() -> None:
    """Registrations while the store is down: beyond the limit they stay with their versions, and are told later."""
    cluster = cluster_with_ledger().settle()
    ledger_of(cluster).go_down()
    for number in range(1, outbox.PATIENT_LIMIT + 11):
        cluster.version(str(number), None)
    cluster.settle(20, rounds=200)
    assert waiting(cluster) == outbox.PATIENT_LIMIT
    versions = [obj for (kind, _), obj in cluster.objects.items() if kind == "ModelVersion"]
    assert not all(settled_and_told(version) for version in versions)
    ledger_of(cluster).come_back()
    cluster.settle(20, rounds=200)
    versions = [obj for (kind, _), obj in cluster.objects.items() if kind == "ModelVersion"]
    assert all(settled_and_told(version) for version in versions)
    told = ledger_of(cluster).told
    assert len(told) == len(set(told)) == 2 * (outbox.PATIENT_LIMIT + 10)


def test_approvals_are_told_by_themselves_and_with_the_promotion() -> None:
    cluster = cluster_with_ledger(stages=[{"name": "production", "approvals": {"required": 1}}])
    cluster.admission = True
    cluster.version("1", annotations={"modelyard.dev/requested-by": "carol", "modelyard.dev/change": "3f2a"})
    cluster.settle(20)
    cluster.approve("alice", "1", "consent", comment="looks good")
    cluster.settle(20)
    assert ledger_of(cluster).told == ["Registered 1", "Verified 1", "Approved 1", "Promoted 1"]
    for found in (record(cluster, "Approved"), record(cluster, "Promoted")):
        [approval] = found.approvals
        assert (approval.by, approval.comment, approval.name) == ("alice", "looks good", "consent")
    asked = record(cluster, "Promoted").request
    assert asked
    assert (asked.by, asked.change, asked.source) == ("carol", "3f2a", "ModelVersion/fraud-1")


def test_rejections() -> None:
    cluster = cluster_with_ledger(stages=[{"name": "production", "approvals": {"required": 1}}])
    cluster.admission = True
    cluster.version("1")
    cluster.settle(20)
    cluster.approve("bob", "1", reject="biased")
    cluster.settle(20)
    assert ledger_of(cluster).told == ["Registered 1", "Verified 1", "Rejected 1", "Rejected 1"]
    verdict, end = ledger_of(cluster).records[2:]
    assert (verdict.approvals[0].by, verdict.approvals[0].comment) == ("bob", "biased")
    assert "biased" in end.message


def test_failures_and_withdrawals() -> None:
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.settle(20)
    cluster.results["2"] = [{"error": {"reason": "DigestMismatch", "message": "other bytes", "transient": False}}]
    cluster.version("2")
    cluster.slow = True
    cluster.settle(20)
    cluster.version("3")
    cluster.settle(20)
    cluster.delete("ModelVersion", "fraud-3")
    cluster.settle(20)
    told = ledger_of(cluster).told[3:]
    of_3 = ["Registered 3", "Verified 3", "Withdrawn 3"]
    assert sorted(told) == ["Deleted 3", "Failed 2", "Failed 2", "Registered 2", *of_3]
    assert record(cluster, "Withdrawn").message == "the ModelVersion was deleted"
    assert record(cluster, "Failed").reason == "DigestMismatch"


def test_gates_are_told_with_their_numbers() -> None:
    gates = [{"name": "quality", "checks": ["candidate.auc > 0.8"]}]
    cluster = cluster_with_ledger(stages=[{"name": "production", "gates": gates}])
    cluster.version("1", metrics={"auc": 0.9})
    cluster.settle(20)
    cluster.version("2", metrics={"auc": 0.7})
    cluster.settle(20)
    [passed] = record(cluster, "Promoted").gates
    assert (passed.name, passed.result, passed.candidate["auc"]) == ("quality", "Passed", 0.9)
    [failed] = record(cluster, "Failed").gates
    assert (failed.result, failed.checks[0]["result"]) == ("Failed", "Failed")


def test_a_deleted_version_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_with_ledger()
    cluster.version("1", None)
    cluster.settle(20)
    gone = cluster.objects["ModelVersion", "fraud-1"]
    cluster.delete("ModelVersion", "fraud-1")
    seen = cluster.snapshot
    monkeypatch.setattr(cluster, "snapshot", lambda: replace(seen(), deleted=(gone,)))
    for _ in range(3):
        cluster.step()
    monkeypatch.setattr(cluster, "snapshot", seen)
    cluster.settle(20)
    assert ledger_of(cluster).told == ["Registered 1", "Verified 1", "Deleted 1"]


def test_another_process_that_saw_the_same_deletion_does_not_tell_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that takes over saw it go as well, and finds nothing of it in the outbox any more."""
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.settle(20)
    cluster.version("2")
    cluster.settle(20)
    gone = cluster.objects["ModelVersion", "fraud-1"]
    cluster.delete("ModelVersion", "fraud-1")
    cluster.settle(20)
    once = ledger_of(cluster).told
    assert [line for line in once if line.startswith(("Withdrawn", "Deleted"))] == ["Deleted 1", "Withdrawn 1"]
    seen = cluster.snapshot
    monkeypatch.setattr(cluster, "snapshot", lambda: replace(seen(), deleted=(gone,)))
    cluster.settle(20)
    assert ledger_of(cluster).told == once


def test_dozens_that_go_at_once_are_each_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_with_ledger()
    many = [str(number) for number in range(outbox.DELETIONS_KEPT + 8)]
    for version in many:
        cluster.version(version, None)
    cluster.settle(60)
    gone = [cluster.objects["ModelVersion", f"fraud-{version}"] for version in many]
    for version in many:
        cluster.delete("ModelVersion", f"fraud-{version}")
    seen = cluster.snapshot
    monkeypatch.setattr(cluster, "snapshot", lambda: replace(seen(), deleted=tuple(gone)))
    cluster.step()
    monkeypatch.setattr(cluster, "snapshot", seen)
    cluster.settle(20)
    told = [line for line in ledger_of(cluster).told if line.startswith("Deleted")]
    assert sorted(told) == sorted(f"Deleted {version}" for version in many)
    assert len(cluster.status("Model", "fraud")["ledger"]["deleted"]) == outbox.DELETIONS_KEPT


def test_an_undo_is_told_with_what_the_gate_said() -> None:
    after = {"name": "after", "when": "AfterTraffic", "checks": ["candidate.ok == 1"], "job": {"template": SERVER}}
    cluster = cluster_with_ledger(stages=[{"name": "production", "gates": [after]}])
    cluster.version("1")
    cluster.settle(20)
    cluster.outputs["after"] = [{"ok": 0}]
    cluster.version("2")
    cluster.settle(20)
    assert cluster.live() == "1"
    assert sorted(ledger_of(cluster).told[-3:]) == ["Failed 2", "Promoted 2", "Undone 1"]
    undone = record(cluster, "Undone")
    [said] = undone.gates
    assert (said.name, said.result, said.candidate) == ("after", "Failed", {"ok": 0})
    assert undone.request is None
    assert "'after'" in undone.message


def test_a_succession_is_told() -> None:
    cluster = cluster_with_ledger()
    for version in ("1", "2"):
        cluster.version(version)
        cluster.settle(20)
    cluster.version("2", None)
    cluster.settle(20)
    assert ledger_of(cluster).told[-2:] == ["Withdrawn 2", "Succeeded 1"]


def test_a_ledger_configured_later_is_told_what_is_remembered() -> None:
    cluster = Cluster()
    cluster.model(stages=[{"name": "production"}])
    for version in ("1", "2"):
        cluster.version(version)
        cluster.settle(20)
    cluster.ledger = Ledger()
    cluster.settle(20)
    told = cluster.ledger.told
    assert told[:2] == ["Promoted 1", "Promoted 2"]
    assert sorted(told[2:]) == ["Registered 1", "Registered 2", "Verified 1", "Verified 2"]
    first = cluster.ledger.records[0]
    assert first.effective_at
    assert first.message == "it happened before a ledger was configured"


def test_a_status_keeps_fewer_moves_beside_a_ledger_which_is_told_all_of_them_first() -> None:
    cluster = Cluster()
    for number in range(2 * TRANSITIONS_KEPT):
        cluster.model(stages=[{"name": "production", "paused": number % 2 == 0}])
        cluster.settle(1)
    remembered = status(cluster)["transitions"]
    assert len(remembered) == TRANSITIONS_KEPT
    cluster.ledger = Ledger()
    cluster.settle(20)
    assert [format_time(record.at) for record in cluster.ledger.records] == [line["at"] for line in remembered]
    cluster.model(stages=[{"name": "production", "paused": True}])
    cluster.settle(20)
    assert status(cluster)["transitions"][:-1] == remembered[1 - TRANSITIONS_BESIDE_LEDGER :]
    assert len(cluster.ledger.records) == TRANSITIONS_KEPT + 1


def test_a_failed_verification_that_is_tried_again_holds_nothing_up() -> None:
    """The mark that its entry waits for stays until the entry has left, though something else is to be told by then."""
    cluster = cluster_with_ledger()
    cluster.results["1"] = [{"error": {"reason": "ObjectNotFound", "message": "no such key", "transient": False}}]
    cluster.version("1", None)
    cluster.settle(20)
    cluster.results.clear()
    cluster.annotate("1", retry="now")
    cluster.settle(20)
    for version in ("2", "3"):
        cluster.version(version)
        cluster.settle(20)
    told = [f"{kind} {version}" for version in "23" for kind in ALL]
    assert ledger_of(cluster).told == ["Registered 1", "Failed 1", "Verified 1", *told]
    assert waiting(cluster) <= 3
    assert cluster.objects["ModelVersion", "fraud-1"]["status"]["recorded"] == ["Registered", "Verified"]


def test_approvals_from_before_a_ledger_are_told_once() -> None:
    cluster = Cluster()
    cluster.admission = True
    cluster.model(stages=[{"name": "production", "approvals": {"required": 1}}])
    cluster.version("1")
    cluster.settle(20)
    cluster.approve("alice", "1")
    cluster.settle(20)
    cluster.ledger = Ledger()
    cluster.settle(20)
    cluster.version("2")
    cluster.settle(20)
    cluster.approve("bob", "2")
    cluster.settle(20)
    before = ["Promoted 1", "Registered 1", "Verified 1", "Approved 1"]
    assert cluster.ledger.told == [*before, "Registered 2", "Verified 2", "Approved 2", "Promoted 2"]
    assert waiting(cluster) <= 3


def test_files_are_told_with_their_hashes_and_kept_until_then() -> None:
    files = [["model.bin", "ab" * 32, 10], ["empty", "cd" * 32, 0]]
    listed = [{"path": path, "sha256": sha256, "size": size} for path, sha256, size in files]
    cluster = cluster_with_ledger().settle()
    ledger_of(cluster).go_down()
    for number in range(outbox.PATIENT_LIMIT):
        cluster.version(f"other-{number}", None)
    cluster.settle(20, rounds=200)
    cluster.results["1"] = [{"digest": "sha256:" + "1" * 64, "files": files, "fileCount": 2}]
    cluster.version("1", None)
    cluster.settle(20)
    assert cluster.status("ModelVersion", "fraud-1")["artifact"]["files"] == listed
    ledger_of(cluster).come_back()
    cluster.settle(20, rounds=200)
    assert cluster.status("ModelVersion", "fraud-1")["artifact"] == {"fileCount": 2}
    [told] = [r.version for r in ledger_of(cluster).records if r.type == "Verified" and r.version.version == "1"]  # type: ignore[union-attr]
    assert told
    assert (list(told.files), told.file_count) == (listed, 2)


def test_a_lost_status_tells_nothing_twice() -> None:
    cluster = cluster_with_ledger()
    for version in ("1", "2"):
        cluster.version(version)
        cluster.settle(20)
    before = ledger_of(cluster).told
    cluster.wipe_status("Model", "fraud")
    ledger_of(cluster).forget()
    cluster.settle(20)
    cluster.rollback("back", "1")
    cluster.settle(20)
    assert ledger_of(cluster).told == [*before, "RolledBack 1"]


def lose_statuses(cluster: Cluster) -> None:
    """As when a backup was restored: of the Model, its versions, and in the process."""
    for kind, name in list(cluster.objects):
        if kind in ("Model", "ModelVersion"):
            cluster.wipe_status(kind, name)
    ledger_of(cluster).forget()


def test_a_backup_without_statuses_tells_nothing_twice_but_what_happens_twice() -> None:
    cluster = cluster_with_ledger()
    for version in ("1", "2"):
        cluster.version(version)
        cluster.settle(20)
    before = ledger_of(cluster).told
    lose_statuses(cluster)
    cluster.settle(20)
    assert ledger_of(cluster).told == [*before, "Verified 1", "Verified 2"]


def test_a_request_that_was_taken_back_is_so_once_though_its_end_is_only_in_the_ledger() -> None:
    cluster = cluster_with_ledger()
    for version in ("1", "2"):
        cluster.version(version)
        cluster.settle(20)
    cluster.version("1", None)
    cluster.settle(20)
    before = ledger_of(cluster).told
    assert before[-1] == "Withdrawn 1"
    lose_statuses(cluster)
    cluster.settle(20)
    assert ledger_of(cluster).told == [*before, "Verified 2", "Verified 1"]


def test_a_request_that_failed_has_failed_though_its_end_is_only_in_the_ledger() -> None:
    cluster = cluster_with_ledger()
    cluster.version("1")
    cluster.settle(20)
    cluster.broken.add("2")
    cluster.version("2")
    cluster.settle(1)
    cluster.model(serving={"template": {"spec": {"containers": [{"name": "server", "image": "other"}]}}})
    cluster.settle(1)
    assert cluster.request("2")[0] == "Deploying"
    cluster.settle(900)
    before = ledger_of(cluster).told
    assert before[-2:] == ["Reconfigured 1", "Failed 2"]
    lose_statuses(cluster)
    cluster.settle(900)
    assert cluster.request("2") == ("Failed", "ProgressDeadlineExceeded")
    assert ledger_of(cluster).told == [*before, "Verified 1", "Verified 2"]


def test_long_specs_are_told_in_part_and_secrets_not_at_all() -> None:
    cluster = cluster_with_ledger()
    env = [{"name": "TOKEN", "value": "secret"}]
    cluster.version("1", hyperparameters={"table": "x" * 70_000}, author="alice", serving={"env": env})
    cluster.settle(20)
    version = record(cluster, "Registered").version
    assert version
    assert (version.omitted, version.spec["author"]) == (("hyperparameters",), "alice")
    assert version.spec["serving"] == {"env": [{"name": "TOKEN"}]}
    assert all(b"secret" not in raw for raw in ledger_of(cluster).place.objects.values())


def test_what_the_outbox_costs_is_within_the_commit() -> None:
    """One commit with the move, none for having appended it."""
    with_ledger, without = cluster_with_ledger(), Cluster()
    without.model(stages=[{"name": "production"}])
    for cluster in (with_ledger, without):
        cluster.version("1")
        cluster.settle(20)
    commits = [
        [plan.commit for plan in cluster.plans if isinstance(plan.commit, Commit)] for cluster in (with_ledger, without)
    ]
    assert len(commits[0]) == len(commits[1])


def test_a_move_whose_traffic_never_follows_is_told_after_a_while() -> None:
    items = [{"ordinal": 1, "entry": {"type": "Promoted", "at": "2026-01-01T00:00:00Z", "stage": "s", "sequence": 3}}]
    begun, wait = datetime(2026, 1, 1, tzinfo=UTC), outbox.EFFECTIVE_WITHIN
    assert outbox.ready({"ledger": {"outbox": items}}, begun) == ([], begun + wait)
    assert outbox.ready({"ledger": {"outbox": items}}, begun + wait) == (items, None)
    set_forth_at = begun + timedelta(minutes=50)
    assert outbox.ready({"ledger": {"outbox": items}}, set_forth_at, set_forth_at) == ([], set_forth_at + wait)
    later = {"ordinal": 2, "entry": {**items[0]["entry"], "sequence": 4, "effectiveAt": "2026-01-01T00:00:01Z"}}
    assert outbox.ready({"ledger": {"outbox": [*items, later]}}, begun) == ([*items, later], None)
