"""A clock that is turned is noticed once; one that is slewed, only when it has come far."""

from datetime import UTC, datetime, timedelta

import pytest

from modelyard.runtime.clock import WatchedClock


class Time:
    def __init__(self) -> None:
        self.wall = datetime(2025, 1, 1, tzinfo=UTC)
        self.seconds = 0.0

    def passes(self, seconds: float, on_the_wall: float | None = None) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds if on_the_wall is None else on_the_wall)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def clock(time: Time) -> WatchedClock:
    return WatchedClock(lambda: time.wall, lambda: time.seconds)


def test_a_clock_that_goes_right_was_not_turned(clock: WatchedClock, time: Time) -> None:
    time.passes(3600)
    assert clock.turned_by() == 0


@pytest.mark.parametrize("by", [-7200, 90])
def test_a_clock_that_was_turned_is_noticed_once(clock: WatchedClock, time: Time, by: float) -> None:
    time.passes(10, 10 + by)
    assert clock.turned_by() == pytest.approx(by)
    time.passes(10)
    assert clock.turned_by() == 0


def test_a_clock_that_is_slewed_is_noticed_when_it_has_come_far(clock: WatchedClock, time: Time) -> None:
    found = []
    for _ in range(6):
        time.passes(10, 10.3)
        found.append(clock.turned_by() != 0)
    assert found == [False, False, False, True, False, False]
