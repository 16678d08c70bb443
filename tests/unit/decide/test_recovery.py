"""Stories of a cluster that is gone, and of another one that goes on from the ledger."""

import copy
from typing import Any

import pytest
from hypothesis import given

from modelyard.decide import decide
from modelyard.decide.requests import IN_VAIN
from modelyard.ledger.reading import walk
from modelyard.ledger.records import Head
from modelyard.ledger.writing import append
from tests.tries import some, tries
from tests.unit.decide.ledger import FRAUD, Ledger
from tests.unit.decide.simulation import SERVER, Cluster
from tests.unit.decide.test_outbox import LIVES, cluster_with_ledger, ledger_of, live, record, status, synced

QUALITY = {"name": "quality", "checks": ["candidate.ok == 1"], "job": {"template": SERVER}}
GATED = [{"name": "staging"}, {"name": "production", "gates": [QUALITY], "approvals": {"required": 1}}]
MANIFESTS = ("Model", "ModelVersion")


def promote(cluster: Cluster, *versions: str, stage: str = "production", **spec: Any) -> Cluster:
    for version in versions:
        cluster.version(version, stage, **spec)
        cluster.settle(20)
        if ("production", 1) in ((s["name"], s.get("approvals", {}).get("required")) for s in stages_of(cluster)):
            cluster.approve("alice", version)
            cluster.settle(20)
    return cluster


def stages_of(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.objects["Model", "fraud"]["spec"].get("stages", [])
    return found


def elsewhere(old: Cluster, name: str = "new", *recover_from: str) -> Cluster:
    """Another cluster with nothing in it, which writes to the same ledger."""
    cluster = Cluster(first_number=100_000)
    cluster.now = old.now
    cluster.digests = old.digests
    cluster.ledger = Ledger(ledger_of(old).place, name, *(recover_from or (FRAUD.cluster,)))
    return cluster


def sync(old: Cluster, cluster: Cluster, *kinds: str, settle: bool = True) -> Cluster:
    """Apply the manifests of one cluster to another."""
    for (kind, name), obj in list(old.objects.items()):
        if kind in (kinds or MANIFESTS):
            annotations = {k: v for k, v in obj["metadata"]["annotations"].items() if "restarted" not in k}
            cluster.apply(kind, name, copy.deepcopy(obj["spec"]), annotations)
    return cluster.settle(20) if settle else cluster


def stage(cluster: Cluster, name: str = "production") -> dict[str, Any]:
    return next(each for each in status(cluster)["stages"] if each["name"] == name)


def pointers(cluster: Cluster) -> dict[str, tuple[str, str, int]]:
    found = {s["name"]: s["current"] for s in status(cluster)["stages"] if "current" in s}
    return {name: (current["version"], current["revision"], current["sequence"]) for name, current in found.items()}


def test_another_cluster_serves_the_same_without_asking_anybody() -> None:
    old = cluster_with_ledger(stages=GATED)
    promote(old, "1", "2", "3")
    promote(old, "4", stage="staging")
    new = sync(old, elsewhere(old))
    assert pointers(new) == pointers(old)
    assert new.live() == "3"
    assert new.live("staging") == "4"
    assert not new.jobs("quality")
    assert not [obj for kind, obj in new.objects if kind == "Approval"]
    assert [new.request(version)[0] for version in "123"] == ["StandingBy", "StandingBy", "Serving"]
    assert new.request("4")[0] == "Serving"
    assert stage(new)["rollbackTarget"]["version"] == "2"
    assert status(new)["transitions"] == status(old)["transitions"]
    [(_, _, message)] = [event for event in new.events if event[1] == "StateRecovered"]
    assert "production=3 (sequence 3)" in message
    assert "the ledger" in message


def test_it_goes_on_in_the_same_chain_and_counts_on() -> None:
    old = promote(cluster_with_ledger(), "1", "2")
    before = ledger_of(old).told
    new = sync(old, elsewhere(old))
    new.rollback("oops")
    new.settle(20)
    assert new.live() == "1"
    told = ledger_of(old).told
    assert told[: len(before) + 1] == [*before, "Adopted "]
    assert told[-1] == "RolledBack 1"
    assert ledger_of(old).is_intact()
    assert (record(old, "RolledBack").sequence, record(old, "RolledBack").cluster) == (3, "new")
    assert synced(new) == ("True", "Synced")


def test_what_had_ended_does_not_come_back_whenever_its_manifest_arrives() -> None:
    """The bad version's manifest comes a sync wave later than the Model's, and names no dotted number to go by."""
    old = promote(cluster_with_ledger(), "a", "b")
    old.version("c")
    old.rollback("oops")
    old.settle(20)
    old.results["d"] = [{"error": {"reason": "DigestMismatch", "message": "other bytes", "transient": False}}]
    old.version("d")
    old.settle(20)
    promote(old, "e")
    old.rollback("again")
    old.settle(20)
    assert old.live() == "a"
    new = sync(old, elsewhere(old), "Model")
    assert pointers(new) == pointers(old)
    sync(old, new, "ModelVersion")
    assert new.live() == "a"
    ends = {version: new.request(version)[0] for version in "abcde"}
    assert ends == {"a": "Serving", "b": "RolledBack", "c": "RolledBack", "d": "Failed", "e": "RolledBack"}
    ledger_of(new).forget()
    new.delete("ModelVersion", "fraud-e")
    new.settle(20)
    new.version("e")
    new.settle(20)
    assert new.request("e")[0] == "RolledBack"
    new.version("e", annotations={"modelyard.dev/request": "again"})
    new.settle(20)
    assert new.live() == "e"


def test_versions_that_are_new_ask_as_ever() -> None:
    old = promote(cluster_with_ledger(), "1")
    new = sync(old, elsewhere(old))
    promote(new, "2")
    assert (new.live(), pointers(new)["production"][2]) == ("2", 2)


def test_a_request_that_nobody_had_decided_on_is_decided_on_anew() -> None:
    old = promote(cluster_with_ledger(), "1")
    old.slow = True
    old.version("2")
    old.settle(20)
    new = sync(old, elsewhere(old))
    assert new.live() == "2"


@pytest.mark.parametrize("wave", [MANIFESTS, ("ModelVersion", "Model")], ids=["Model first", "versions first"])
def test_whatever_arrives_first(wave: tuple[str, str]) -> None:
    old = promote(cluster_with_ledger(), "1", "2")
    new = elsewhere(old)
    for kind in wave:
        sync(old, new, kind)
    assert pointers(new) == pointers(old)
    assert new.live() == "2"
    assert [new.request(version)[0] for version in "12"] == ["StandingBy", "Serving"]


def test_withdrawing_there_goes_back_to_what_stands() -> None:
    old = promote(cluster_with_ledger(), "1", "2")
    new = sync(old, elsewhere(old))
    new.version("2", None)
    new.settle(20)
    assert (new.live(), stage(new)["current"]["cause"]) == ("1", "Succeeded")


def test_a_rollback_that_comes_with_the_manifests_never_acts() -> None:
    old = promote(cluster_with_ledger(), "1", "2", "3")
    old.rollback("oops")
    old.settle(20)
    promote(old, "4")
    new = sync(old, elsewhere(old))
    sync(old, new, "Rollback")
    assert new.live() == "4"
    assert new.status("Rollback", "oops")["conditions"][0]["reason"] == "PredatesState"


def test_whole_with_the_template_of_its_time() -> None:
    """What was rolled back to serves with its own image, and what today's template makes of it stays held."""
    env = [{"name": "TOKEN", "value": "secret"}]
    templates = [{"spec": {"containers": [{"name": "server", "image": i, "env": env}]}} for i in ("one", "two")]
    old = cluster_with_ledger(serving={"template": templates[0]})
    promote(old, "1")
    old.version("2")
    old.model(stages=[{"name": "production"}], serving={"template": templates[1]})
    old.settle(20)
    old.rollback("oops", "1")
    old.settle(20)
    old.settle(4000)
    assert all(b"secret" not in raw for raw in ledger_of(old).place.objects.values())
    new = sync(old, elsewhere(old))
    assert pointers(new) == pointers(old)
    for cluster in (old, new):
        serving = cluster.serving()
        assert serving
        [server] = serving["spec"]["template"]["spec"]["containers"]
        assert (server["image"], server["env"][0]) == (image_of(old), env[0])
    assert not stage(new).get("candidates")


def image_of(cluster: Cluster) -> str:
    serving = cluster.serving()
    assert serving
    return str(serving["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_template_that_is_not_known_any_more_gives_way_to_todays() -> None:
    old = promote(cluster_with_ledger(), "1")
    new = sync(old, elsewhere(old), settle=False)
    other = {"spec": {"containers": [{"name": "server", "image": "other"}]}}
    new.model(stages=[{"name": "production"}], serving={"template": other, "port": 9000})
    new.settle(20)
    assert (new.live(), image_of(new), stage(new)["current"]["cause"]) == ("1", "other", "Reconfigured")


def test_a_version_that_was_deleted_serves_on_there_too() -> None:
    old = promote(cluster_with_ledger(), "1")
    old.delete("ModelVersion", "fraud-1")
    old.settle(20)
    assert old.live() == "1"
    new = sync(old, elsewhere(old))
    assert new.live() == "1"
    assert pointers(new) == pointers(old)


def test_other_bytes_under_the_same_name_are_found_out() -> None:
    old = promote(cluster_with_ledger(), "1", "2")
    new = elsewhere(old)
    new.digests = {"2": "sha256:" + "e" * 64}
    sync(old, new)
    verified = next(c for c in new.status("ModelVersion", "fraud-2")["conditions"] if c["type"] == "Verified")
    assert (verified["status"], verified["reason"]) == ("False", "DigestConflict")
    assert pointers(new) == pointers(old)


def test_after_a_trial_nobody_is_asked_again_and_during_one_somebody_is() -> None:
    after = {**QUALITY, "when": "AfterTraffic"}
    old = cluster_with_ledger(stages=[{"name": "production", "gates": [after]}])
    promote(old, "1")
    assert ledger_of(old).told[-1] == "Confirmed 1"
    new = sync(old, elsewhere(old))
    assert not new.jobs("quality")
    old.hanging.add("quality")
    promote(old, "2")
    other = sync(old, elsewhere(old, "third", "test", "new"))
    assert [job["metadata"]["labels"]["modelyard.dev/version"] for job in other.jobs("quality")] == ["2"]
    assert record(old, "Confirmed").gates[0].candidate == {"ok": 1}


@pytest.mark.parametrize("lost", [("Model",), ("Model", "ModelVersion")])
def test_a_trial_that_is_over_is_over_though_the_status_is_lost(lost: tuple[str, ...]) -> None:
    after = {**QUALITY, "when": "AfterTraffic"}
    cluster = cluster_with_ledger(stages=[{"name": "production", "gates": [after]}])
    promote(cluster, "1", "2")
    for kind, name in list(cluster.objects):
        if kind in lost:
            cluster.wipe_status(kind, name)
    ledger_of(cluster).forget()
    jobs = len(cluster.jobs("quality"))
    cluster.version("3")
    cluster.settle(20)
    assert [told for told in ledger_of(cluster).told if told.startswith("Confirmed")] == [
        "Confirmed 1", "Confirmed 2", "Confirmed 3",
    ]  # fmt: skip
    assert len(cluster.jobs("quality")) == jobs + 1
    assert stage(cluster)["rollbackTarget"]["version"] == "2"


def test_suspended_stays_suspended_and_is_not_told_again() -> None:
    old = promote(cluster_with_ledger(), "1")
    old.model(stages=[{"name": "production", "suspend": True}])
    old.settle(20)
    new = sync(old, elsewhere(old))
    assert pointers(new) == pointers(old)
    assert ledger_of(old).told.count("Suspended 1") == 1
    assert new.replicas("1") == [0]


def test_the_line_of_the_model() -> None:
    old = cluster_with_ledger(stages=[{"name": "production", "version": "1"}])
    old.version("1", None)
    old.version("2", None)
    old.settle(20)
    old.model(stages=[{"name": "production", "version": "2"}])
    old.settle(20)
    old.rollback("oops")
    old.settle(20)
    assert old.live() == "1"
    new = sync(old, elsewhere(old))
    assert new.live() == "1"
    new.version("3", None)
    for version in ("1", "3", "1"):
        new.model(stages=[{"name": "production", "version": version}])
        new.settle(20)
        assert new.live() == version


def test_killed_after_every_single_write_on_the_way() -> None:
    old = promote(cluster_with_ledger(), "1", "2", "3")
    old.rollback("oops")
    old.settle(20)
    new = sync(old, elsewhere(old), settle=False)
    killed = []
    while True:
        plan = decide(new.snapshot(), new.now)
        for writes in range(int(plan.commit is not None) + len(plan.actions)):
            other = copy.deepcopy(new)
            other.carry_out(plan, writes)
            ledger_of(other).forget()
            killed.append(other)
        if not new.step():
            break
    assert len(killed) > 10
    assert pointers(new) == pointers(old)
    for other in some(killed):
        assert pointers(other.settle()) == pointers(new)
        assert [other.request(version)[0] for version in "123"] == [new.request(version)[0] for version in "123"]
        assert sorted(ledger_of(other).told) == sorted(ledger_of(new).told)
        assert ledger_of(other).is_intact()


@tries(15)
@given(life=LIVES)
def test_whatever_happened_it_goes_on_there(life: list[tuple[str, str]]) -> None:
    """Users, a store that comes and goes, a process that is started anew; and then the cluster is gone."""
    old = cluster_with_ledger()
    for number, (act, version) in enumerate(life):
        live(old, number, act, version)
        old.settle(20)
    ledger_of(old).come_back()
    old.settle(100)
    new = sync(old, elsewhere(old))
    assert pointers(new) == pointers(old)
    assert new.live() == old.live()
    versions = [name.removeprefix("fraud-") for kind, name in old.objects if kind == "ModelVersion"]
    ends = {version: old.request(version)[0] for version in versions if old.request(version)[0] in IN_VAIN}
    assert {version: new.request(version)[0] for version in ends} == ends
    assert stage(new).get("rollbackTarget", {}).get("version") == stage(old).get("rollbackTarget", {}).get("version")
    assert ledger_of(new).is_intact()


def test_what_was_asked_for_anew_while_it_served() -> None:
    """That request moved nothing, so no record tells of it; it is none that was just made."""
    old = cluster_with_ledger()
    for number, version in enumerate(("1", "1", "2")):
        live(old, number, "promote", version)
        old.settle(20)
    assert pointers(sync(old, elsewhere(old))) == pointers(old)


def test_a_version_that_may_have_ended_waits_for_the_ledger() -> None:
    """After a restart the operator does not know any more what had ended in the other cluster."""
    old = promote(cluster_with_ledger(), "1", "2")
    old.rollback("oops")
    old.settle(20)
    new = sync(old, elsewhere(old), "Model")
    ledger_of(new).forget()
    ledger_of(new).go_down()
    sync(old, new)
    new.version("3")
    new.settle(20)
    assert [new.request(version) for version in "123"] == [("", "")] * 3
    assert new.live() == "1"
    ledger_of(new).come_back()
    new.settle(20)
    assert [new.request(version)[0] for version in "123"] == ["StandingBy", "RolledBack", "Serving"]


def test_nothing_moves_until_the_ledger_was_read() -> None:
    cluster = promote(cluster_with_ledger(), "1", "2")
    ledger_of(cluster).go_down()
    cluster.wipe_status("Model", "fraud")
    serving = cluster.serving()
    cluster.rollback("oops")
    cluster.version("3")
    cluster.settle(20)
    assert cluster.serving() == serving
    assert synced(cluster) == ("False", "LedgerUnavailable")
    ready = next(c for c in status(cluster)["conditions"] if c["type"] == "Ready")
    assert (ready["reason"], "connection refused" in ready["message"]) == ("StateUnknown", True)
    assert [reason for _, reason, _ in cluster.events if reason == "StateUnknown"] == ["StateUnknown"]
    assert "stages" not in status(cluster)
    ledger_of(cluster).come_back()
    cluster.settle(20)
    assert cluster.live() == "3"
    assert cluster.status("Rollback", "oops")["conditions"][0]["reason"] == "PredatesState"


@pytest.mark.parametrize("with_status", [True, False])
def test_a_backup_that_is_older_than_the_ledger(with_status: bool) -> None:
    """All as it was before the last promotion: it serves on until what the ledger has is ready."""
    cluster = promote(cluster_with_ledger(), "1", "2")
    backup = copy.deepcopy(cluster.objects)
    promote(cluster, "3")
    after = pointers(cluster)
    cluster.objects = backup | {key: obj for key, obj in cluster.objects.items() if key[0] == "ModelVersion"}
    ledger_of(cluster).forget()
    if not with_status:
        cluster.wipe_status("Model", "fraud")
    cluster.pointed.clear()
    cluster.slow = True
    cluster.settle(20)
    assert pointers(cluster) == after
    assert cluster.live() == "2"
    assert cluster.replicas("2") == [1]
    cluster.slow = False
    cluster.settle(20)
    assert cluster.live() == "3"
    assert len(dict.fromkeys(cluster.pointed)) == 2
    assert ledger_of(cluster).is_intact()


def test_the_former_writer_stops_and_can_still_go_back() -> None:
    old = promote(cluster_with_ledger(), "1", "2")
    new = sync(old, elsewhere(old))
    old.version("3")
    old.settle(20)
    assert synced(old) == ("False", "ChainAdopted")
    told = ledger_of(old).told
    old.version("4")
    old.settle(20)
    request = old.request("4")
    assert request == ("Held", "ChainAdopted")
    old.rollback("oops", "1")
    old.settle(20)
    assert old.live() == "1"
    assert new.live() == "2"
    assert ledger_of(old).told == told
    ledger_of(old).forget()
    promote(new, "5")
    assert ledger_of(old).is_intact()


def test_nobody_takes_over_what_he_is_not_told_to() -> None:
    """A chain of one's own that another cluster went on with."""
    old = promote(cluster_with_ledger(), "1")
    sync(old, elsewhere(old))
    old.wipe_status("Model", "fraud")
    ledger_of(old).forget()
    serving = old.serving()
    old.settle(20)
    assert synced(old) == ("False", "ChainAdopted")
    assert old.serving() == serving
    assert "stages" not in status(old)


def test_both_write_while_one_takes_over() -> None:
    """The former cluster promotes after the chain was read and before it was taken over."""
    old = promote(cluster_with_ledger(), "1")
    new = elsewhere(old)
    ledger_of(new).stopped = True
    sync(old, new)
    promote(old, "2")
    ledger_of(new).stopped = False
    sync(old, new)
    assert new.live() == "2"
    assert pointers(new) == pointers(old)


def test_a_model_that_was_deleted_begins_anew() -> None:
    old = promote(cluster_with_ledger(), "1")
    farewell = {"type": "Deleted", "at": "2026-02-01T00:00:00Z", "uid": "uid-1"}
    append(ledger_of(old).place, FRAUD, [farewell], head_of(old))
    new = sync(old, elsewhere(old), "Model")
    assert pointers(new) == {}
    assert synced(new) == ("True", "Synced")
    promote(new, "1")
    assert pointers(new)["production"][2] == 1


def head_of(cluster: Cluster) -> Head:
    known = ledger_of(cluster).records[-1].number
    [last] = [sealed for sealed in walk(ledger_of(cluster).place, FRAUD) if sealed.number == known]
    return last.head
