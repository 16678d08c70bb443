"""The canary: it tells a watch that went silent from one that has nothing to say."""

import pytest

from modelyard.observe.cache import address_of
from modelyard.observe.canary import Canary
from tests.unit.observe.objects import managed, version


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def canary(clock: Clock) -> Canary:
    canary = Canary(clock)
    canary.expect(version("7", rv=10))
    clock.now = 100
    return canary


def test_a_watch_that_owes_an_event_is_overdue(canary: Canary) -> None:
    assert canary.overdue(99) == ["ModelVersion"]
    assert canary.overdue(101) == []


def test_nothing_expected_is_nothing_overdue(clock: Clock) -> None:
    clock.now = 1e6
    assert Canary(clock).overdue(1) == []


@pytest.mark.parametrize("rv", [10, 11])
def test_the_state_itself_or_a_later_one_satisfies(canary: Canary, rv: int) -> None:
    canary.delivered(version("7", rv=rv))
    assert canary.overdue(1) == []


def test_an_earlier_state_or_another_object_does_not(canary: Canary) -> None:
    canary.delivered(version("7", rv=9))
    canary.delivered(version("8", rv=99))
    canary.delivered(managed("Service", "fraud-7", rv=99))
    assert canary.overdue(1) == ["ModelVersion"]


def test_nothing_is_expected_of_an_object_that_is_gone(canary: Canary) -> None:
    canary.gone(address_of(version("7")))
    assert canary.overdue(1) == []


def test_later_writes_do_not_reset_the_time(canary: Canary) -> None:
    canary.expect(version("7", rv=20))
    assert canary.overdue(99) == ["ModelVersion"]
