"""The cache: whatever order events come in, it ends up with the newest state and no ghosts."""

import itertools

import pytest

from modelyard.observe.cache import TOMBSTONE_SECONDS, Address, Cache
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from tests.unit.observe.objects import is_settled, managed, model, obj, rollback, verify_job, version

FRAUD = Key("risk", "fraud")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slots() -> Slots:
    return Slots(4)


@pytest.fixture
def cache(clock: Clock, slots: Slots) -> Cache:
    return Cache(settled=is_settled, slots=slots, clock=clock)


def test_news_names_the_model_it_is_news_for(cache: Cache) -> None:
    assert cache.put(model()) == (FRAUD,)
    assert cache.put(version("7")) == (FRAUD,)
    assert cache.put(managed("Service", "fraud-production")) == (FRAUD,)
    assert cache.put(obj("Service", "somebody-elses", 1)) == ()


def test_the_same_state_again_is_no_news(cache: Cache) -> None:
    cache.put(version("7", rv=5))

    assert cache.put(version("7", rv=5)) == ()


def test_resource_versions_compare_as_numbers(cache: Cache) -> None:
    cache.put(version("7", rv=9))

    assert cache.put(version("7", rv=10)) == (FRAUD,)
    assert cache.put(version("7", rv=9)) == ()


def test_a_deleted_object_does_not_come_back(cache: Cache) -> None:
    cache.put(version("7", rv=5))

    assert cache.remove(version("7", rv=6)) == (FRAUD,)
    assert cache.put(version("7", rv=5)) == ()
    assert cache.put(version("7", rv=7)) == ()
    assert cache.get(Address("ModelVersion", "risk", "fraud-7")) is None


def test_a_namesake_made_after_a_deletion_is_another_object(cache: Cache) -> None:
    cache.put(version("7", rv=5))
    cache.remove(version("7", rv=6))
    cache.put(version("7", rv=8, uid="second"))

    assert cache.remove(version("7", rv=6)) == (), "a late deletion of the first one"
    assert cache.get(Address("ModelVersion", "risk", "fraud-7")) is not None


def test_tombstones_do_not_pile_up(cache: Cache, clock: Clock) -> None:
    cache.remove(version("7", rv=6))
    clock.now = TOMBSTONE_SECONDS + 1
    cache.prune()

    assert cache.put(version("7", rv=5)) == (FRAUD,)


EVENTS = [
    ("put", version("7", rv=1)),
    ("put", version("7", rv=3, settled=True)),
    ("put", version("7", rv=20, uid="second")),
    ("remove", version("7", rv=9)),
]


@pytest.mark.parametrize("order", [*itertools.permutations(range(len(EVENTS)))], ids=str)
def test_the_end_does_not_depend_on_the_order_of_events(cache: Cache, order: tuple[int, ...]) -> None:
    for act, each in (EVENTS[position] for position in order):
        getattr(cache, act)(each)

    kept = cache.get(Address("ModelVersion", "risk", "fraud-7"))
    assert kept is not None
    assert kept["metadata"]["uid"] == "second"
    assert cache.holding(FRAUD).live == {"fraud-7"}


def test_an_object_that_changes_its_model_is_news_for_both(cache: Cache) -> None:
    cache.put(managed("Service", "shared", rv=1, of="fraud"))

    assert set(cache.put(managed("Service", "shared", rv=2, of="churn"))) == {FRAUD, Key("risk", "churn")}
    assert cache.keys() == (Key("risk", "churn"),)


def test_an_object_that_belongs_to_nobody_any_more_is_forgotten(cache: Cache) -> None:
    cache.put(managed("Service", "shared", rv=1))

    assert cache.put(obj("Service", "shared", 2)) == (FRAUD,)
    assert cache.keys() == ()


def test_nothing_is_kept_of_a_model_that_is_gone(cache: Cache) -> None:
    objects = [model(), version("7"), rollback("back"), managed("Deployment", "fraud-a"), verify_job("verify")]
    for each in objects:
        cache.put(each)
    for each in objects:
        cache.remove(each)

    assert cache.keys() == ()
    assert [kind for kind in ("Model", "ModelVersion", "Rollback", "Deployment", "Job") if cache.count(kind)] == []


def test_running_verifications_are_counted_exactly(cache: Cache, slots: Slots) -> None:
    cache.put(verify_job("a", rv=1))
    cache.put(verify_job("b", rv=1))
    cache.put(verify_job("b", rv=1))
    cache.put(managed("Job", "check", job="check", status={}))
    assert slots.free("risk") == 2

    cache.put(verify_job("a", rv=2, ended="Complete"))
    assert slots.free("risk") == 3
    cache.put(verify_job("a", rv=1))
    assert slots.free("risk") == 3, "an older state changes nothing"
    cache.remove(verify_job("b", rv=3))
    assert slots.free("risk") == 4
    assert slots.free("other") == 4
