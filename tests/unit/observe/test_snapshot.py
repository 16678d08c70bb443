"""What a decision gets to see, and that it costs the same with many versions."""

from datetime import UTC, datetime, timedelta

import pytest

from modelyard.decide.snapshot import HelperPods, Settings, Snapshot
from modelyard.observe.cache import Cache
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.observe.snapshot import take_snapshot
from tests.unit.observe.objects import approval, is_settled, managed, model, rollback, verify_job, version

FRAUD = Key("risk", "fraud")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTINGS = Settings(HelperPods(image="modelyard:test"), admission=True, shared_accounts=frozenset({"argocd"}))


class World:
    def __init__(self) -> None:
        self.slots = Slots(4)
        self.cache = Cache(settled=is_settled, slots=self.slots, clock=lambda: 0.0)

    def look(self, now: datetime = NOW) -> Snapshot:
        return take_snapshot(self.cache, self.slots, SETTINGS, FRAUD, now)


@pytest.fixture
def world() -> World:
    world = World()
    world.cache.put(model())
    for number in range(100):
        world.cache.put(version(str(number), settled=number < 98))
    return world


def test_the_first_look_holds_everything(world: World) -> None:
    assert len(world.look().versions) == 100


def test_later_looks_hold_what_can_still_change(world: World) -> None:
    world.look()

    assert set(world.look().versions) == {"fraud-98", "fraud-99"}


def test_a_settled_version_is_shown_once_after_it_changed(world: World) -> None:
    world.look()
    world.cache.put(version("3", rv=50, settled=True))

    assert set(world.look().versions) == {"fraud-3", "fraud-98", "fraud-99"}
    assert set(world.look().versions) == {"fraud-98", "fraud-99"}


def test_a_deleted_version_is_shown_until_the_status_tells_of_it(world: World) -> None:
    gone = version("3", rv=50, settled=True)
    with_ledger = model(rv=60)
    with_ledger["status"]["ledger"] = {"count": 0}
    world.cache.put(with_ledger)
    world.look()
    world.cache.remove(gone)
    for _ in range(2):
        assert [obj["metadata"]["name"] for obj in world.look().deleted] == ["fraud-3"]
    told = model(rv=70)
    item = {"ordinal": 1, "subject": gone["metadata"]["uid"], "mark": "Deleted", "entry": {}}
    told["status"]["ledger"] = {"count": 1, "outbox": [item]}
    world.cache.put(told)
    assert world.look().deleted == ()
    arrived = model(rv=80)
    arrived["status"]["ledger"] = {"count": 1}
    world.cache.put(arrived)
    assert world.look().deleted == ()


def test_without_a_ledger_nobody_asks_for_deleted_versions(world: World) -> None:
    world.look()
    world.cache.remove(version("3", rv=50, settled=True))
    assert world.look().deleted == ()


def test_versions_that_the_status_names_are_always_shown(world: World) -> None:
    stage = {
        "name": "production",
        "current": {"version": "5"},
        "requests": [{"version": "6"}],
        "revisions": [{"version": "5"}, {"version": "7"}, {"version": "gone"}],
    }
    world.cache.put(model(rv=60, stages=[stage]))
    world.look()

    assert set(world.look().versions) == {"fraud-5", "fraud-6", "fraud-7", "fraud-98", "fraud-99"}


def test_a_version_on_its_way_brings_the_last_judged_ones_with_its_bytes(world: World) -> None:
    for number in range(10, 20):
        world.cache.put(version(str(number), rv=50, settled=True, digest="sha256:a", gates=[{"name": "quality"}]))
    world.cache.put(version("20", rv=50, settled=True, digest="sha256:a"))
    world.look()
    assert set(world.look().versions) == {"fraud-98", "fraud-99"}

    world.cache.put(version("98", rv=51, digest="sha256:a"))
    judged = {f"fraud-{number}" for number in range(15, 20)}
    assert set(world.look().versions) == {"fraud-98", "fraud-99"} | judged
    world.cache.put(version("98", rv=52, settled=True, digest="sha256:a"))
    world.look()
    assert set(world.look().versions) == {"fraud-99"}


def test_a_judged_version_that_is_deleted_is_no_longer_shown(world: World) -> None:
    judged = version("10", rv=50, settled=True, digest="sha256:a", gates=[{"name": "quality"}])
    world.cache.put(judged)
    world.cache.put(version("98", rv=51, digest="sha256:a"))
    world.look()
    assert "fraud-10" in world.look().versions
    world.cache.remove(judged)
    assert set(world.look().versions) == {"fraud-98", "fraud-99"}


def test_an_edited_model_shows_everything_until_its_status_follows(world: World) -> None:
    world.look()
    world.cache.put(model(rv=60, generation=2, seen=1))
    assert len(world.look().versions) == 100
    assert len(world.look().versions) == 100

    world.cache.put(model(rv=61, generation=2, seen=2))
    assert len(world.look().versions) == 2


def test_everything_is_shown_again_after_a_failed_turn(world: World) -> None:
    world.look()
    world.cache.show_all(FRAUD)

    assert len(world.look().versions) == 100
    assert len(world.look().versions) == 2


def test_everything_is_shown_when_the_model_comes_back(world: World) -> None:
    world.look()
    world.cache.remove(model(rv=70))
    assert world.look().model is None
    world.cache.put(model(rv=71, uid="second"))

    assert len(world.look().versions) == 100


def test_answered_rollbacks_are_shown_once_after_they_changed(world: World) -> None:
    world.look()
    world.cache.put(rollback("open"))
    world.cache.put(rollback("applied", outcome="Applied"))
    assert [each["metadata"]["name"] for each in world.look().rollbacks] == ["applied", "open"]

    assert [each["metadata"]["name"] for each in world.look().rollbacks] == ["open"]


def test_answered_rollbacks_are_shown_when_the_status_was_lost(world: World) -> None:
    world.cache.put(rollback("applied", outcome="Applied"))
    world.look()
    lost = model(rv=71)
    del lost["status"]
    world.cache.put(lost)
    assert [each["metadata"]["name"] for each in world.look().rollbacks] == ["applied"]


def test_approvals_are_shown_with_the_versions_that_they_judge(world: World) -> None:
    for number in ("3", "98"):
        world.cache.put(approval(f"yes-{number}", number))
        world.cache.put(approval(f"no-{number}", number))
    world.look()
    assert [each["metadata"]["name"] for each in world.look().approvals] == ["no-98", "yes-98"]


def test_a_new_approval_shows_its_version_and_all_that_judge_it(world: World) -> None:
    world.cache.put(approval("first", "3"))
    world.look()
    world.cache.put(approval("second", "3"))

    seen = world.look()

    assert [each["metadata"]["name"] for each in seen.approvals] == ["first", "second"]
    assert set(seen.versions) == {"fraud-3", "fraud-98", "fraud-99"}
    assert world.look().approvals == ()


def test_a_deleted_approval_is_not_shown_and_a_namesake_may_judge_another_version(world: World) -> None:
    world.cache.put(approval("a", "98"))
    world.cache.put(approval("b", "98"))
    world.cache.remove(approval("a", "98"))
    world.cache.put(approval("b", "99", rv=2, uid="second"))
    world.look()

    (seen,) = world.look().approvals
    assert seen["spec"]["version"] == "99"


def test_an_approval_of_a_version_that_does_not_exist_is_shown_once(world: World) -> None:
    world.look()
    world.cache.put(approval("early", "1000"))

    assert len(world.look().approvals) == 1
    assert world.look().approvals == ()


def test_an_object_with_a_versions_name_may_go_without_it(world: World) -> None:
    world.cache.put(approval("fraud-98", "98"))
    world.look()
    world.cache.remove(approval("fraud-98", "98"))

    assert set(world.look().versions) == {"fraud-98", "fraud-99"}


def test_objects_of_other_models_and_namespaces_are_not_shown(world: World) -> None:
    world.cache.put(managed("Service", "churn-production", of="churn"))
    world.cache.put(managed("Service", "fraud-production", namespace="other"))
    world.cache.put(managed("Service", "fraud-staging"))

    assert set(world.look().services) == {"fraud-staging"}


def test_conflicts_are_shown_until_they_are_to_be_looked_at_again(world: World) -> None:
    world.cache.conflict(FRAUD, "Service", "fraud-production", NOW + timedelta(seconds=60))

    assert world.look().conflicts == {("Service", "fraud-production")}
    assert world.look(NOW + timedelta(seconds=60)).conflicts == frozenset()


def test_the_whole_snapshot() -> None:
    world = World()
    world.cache.put(model())
    world.cache.put(approval("yes", "1"))
    world.cache.put(managed("Deployment", "fraud-a"))
    world.cache.put(managed("ConfigMap", "fraud-production"))
    world.cache.put(verify_job("fraud-verify-x"))
    world.cache.put(managed("Pod", "fraud-a-x", spec={"nodeName": "n1", "containers": [{"name": "server"}]}))
    world.cache.put(managed("EndpointSlice", "fraud-production-x"))

    seen = world.look()

    assert seen.namespace == "risk"
    assert seen.name == "fraud"
    assert seen.model is not None
    assert list(seen.deployments) == ["fraud-a"]
    assert list(seen.configmaps) == ["fraud-production"]
    assert list(seen.jobs) == ["fraud-verify-x"]
    assert [each["spec"] for each in seen.pods] == [{"nodeName": "n1"}]
    assert len(seen.approvals) == len(seen.endpointslices) == 1
    assert seen.free_verifications == 3
    assert seen.helper is SETTINGS.helper
    assert (seen.admission, seen.shared_accounts) == (True, frozenset({"argocd"}))
