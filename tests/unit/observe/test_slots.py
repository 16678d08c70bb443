"""Verification slots: never more Jobs than the limit, and everybody gets a turn."""

from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots

A, B, C = (Key("risk", name) for name in "abc")


def test_reserved_jobs_count_until_the_block_ends() -> None:
    slots = Slots(2)
    with slots.reserved("risk", ["one"]):
        assert slots.free("risk") == 1
        with slots.reserved("risk", ["two"]):
            assert slots.free("risk") == 0
        assert slots.free("risk") == 1
    assert slots.free("risk") == 2


def test_a_reserved_job_that_runs_is_one_job() -> None:
    slots = Slots(2)
    with slots.reserved("risk", ["one"]):
        slots.running("risk", "one", True)
        assert slots.free("risk") == 1
    assert slots.free("risk") == 1


def test_more_jobs_than_the_limit_leave_no_negative_room() -> None:
    slots = Slots(1)
    slots.running("risk", "one", True)
    slots.running("risk", "two", True)
    assert slots.free("risk") == 0


def test_the_line_is_served_in_order_of_arrival_as_far_as_slots_go() -> None:
    slots = Slots(2)
    for key in (A, B, C):
        slots.wait(key, True)
    assert slots.next_in_line("risk") == [A, B]

    slots.running("risk", "one", True)
    slots.wait(A, True)
    assert slots.next_in_line("risk") == [A], "whoever still waits keeps the place"
    slots.wait(A, False)
    assert slots.next_in_line("risk") == [B]
