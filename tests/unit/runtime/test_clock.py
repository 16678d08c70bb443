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
    assert clock.now() == time.wall
    assert clock.turns() == []
    assert clock.set_forth_at is None


@pytest.mark.parametrize("by", [-7200, 90])
def test_a_clock_that_was_turned_is_noticed_once(clock: WatchedClock, time: Time, by: float) -> None:
    time.passes(10, 10 + by)
    assert clock.turns() == pytest.approx([by])
    time.passes(10)
    assert clock.turns() == []


def test_each_reading_notices_and_what_is_noticed_is_told_though_it_comes_to_nothing(
    clock: WatchedClock, time: Time
) -> None:
    time.passes(10, 10 - 2700)
    assert clock.now() == time.wall
    assert clock.set_forth_at is None
    time.passes(10, 10 + 2700)
    set_forth = clock.now()
    time.passes(10)
    clock.now()
    assert clock.set_forth_at == set_forth
    assert clock.turns() == pytest.approx([-2700, 2700])


def test_a_clock_that_was_a_day_ahead_postpones_nothing_by_a_day(clock: WatchedClock, time: Time) -> None:
    time.passes(10, 10 + 86_400)
    clock.now()
    time.passes(10, 10 - 86_400)
    assert clock.now() == clock.set_forth_at == time.wall


def test_a_clock_that_is_slewed_is_noticed_when_it_has_come_far(clock: WatchedClock, time: Time) -> None:
    found = []
    for _ in range(6):
        time.passes(10, 10.3)
        found.append(clock.turns() != [])
    assert found == [False, False, False, True, False, False]
