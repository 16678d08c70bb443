"""The queue: one worker per key, no change overlooked, delays and backoff. All on virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.runtime.queue import Backoff, Queue
from tests.tries import tries
from tests.unit.runtime.virtual_time import run

STEADY = Backoff(first=1, cap=60, spread=lambda: 1.0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def take(queue: Queue[str]) -> tuple[str | None, float]:
    key = await queue.take()
    return key, now()


def test_keys_come_in_the_order_they_were_added_each_once() -> None:
    async def scenario() -> list[str | None]:
        queue = Queue[str]()
        for key in ("a", "b", "a", "c", "b"):
            queue.add(key)
        return [await queue.take() for _ in range(len(queue))]

    assert run(scenario()) == ["a", "b", "c"]


def test_a_key_added_while_a_worker_has_it_comes_back_afterwards_once() -> None:
    async def scenario() -> list[int]:
        queue = Queue[str]()
        queue.add("a")
        await queue.take()
        queue.add("a")
        queue.add("a")
        during = len(queue)
        queue.done("a")
        after = len(queue)
        await queue.take()
        queue.done("a")
        return [during, after, len(queue)]

    assert run(scenario()) == [0, 1, 0]


def test_a_delayed_key_comes_when_it_is_due() -> None:
    async def scenario() -> tuple[str | None, float]:
        queue = Queue[str]()
        queue.add_later("a", 30)
        return await take(queue)

    assert run(scenario()) == ("a", 30.0)


def test_a_later_wish_replaces_an_earlier_one_and_may_be_cancelled() -> None:
    async def scenario() -> list[Any]:
        queue = Queue[str]()
        queue.add_later("a", 5)
        queue.add_later("a", 50)
        queue.add_later("b", 1)
        queue.cancel_later("b")
        seen = [await take(queue)]
        queue.add_later("c", -1)
        return [*seen, await take(queue)]

    assert run(scenario()) == [("a", 50.0), ("c", 50.0)]


def test_failures_in_a_row_wait_twice_as_long_up_to_the_cap_and_success_forgets_them() -> None:
    async def scenario() -> list[float]:
        queue = Queue[str](STEADY)
        delays = [queue.failed("a") for _ in range(8)]
        queue.succeeded("a")
        return [*delays, queue.failed("a"), queue.failed("b")]

    assert run(scenario()) == [1, 2, 4, 8, 16, 32, 60, 60, 1, 1]


def test_a_failed_key_comes_back_after_its_delay_but_not_before_the_server_allows() -> None:
    async def scenario() -> list[Any]:
        queue = Queue[str](STEADY)
        queue.failed("a")
        first = await take(queue)
        queue.done("a")
        queue.failed("a", at_least=45)
        return [first, await take(queue)]

    assert run(scenario()) == [("a", 1.0), ("a", 46.0)]


def test_news_do_not_wait_for_a_backoff_to_pass() -> None:
    async def scenario() -> tuple[str | None, float]:
        queue = Queue[str](STEADY)
        queue.failed("a", at_least=300)
        queue.add("a")
        return await take(queue)

    assert run(scenario()) == ("a", 0.0)


def test_delays_are_spread() -> None:
    delays = {Backoff().delay(3) for _ in range(50)}

    assert len(delays) > 10
    assert all(0.8 * 0.8 <= delay <= 0.8 * 1.2 for delay in delays)


def test_a_closed_queue_lets_every_worker_go_and_forgets_delayed_keys() -> None:
    async def scenario() -> list[Any]:
        queue = Queue[str]()
        workers = [asyncio.create_task(queue.take()) for _ in range(3)]
        queue.add_later("late", 100)
        await asyncio.sleep(1)
        queue.close()
        queue.add("too late")
        return [*(await asyncio.gather(*workers)), await queue.take()]

    assert run(scenario()) == [None, None, None, None]


def test_how_long_a_key_waited_is_told() -> None:
    waits: list[float] = []

    async def scenario() -> None:
        queue = Queue[str](on_taken=waits.append)
        queue.add("a")
        await asyncio.sleep(2)
        await queue.take()
        queue.add("a")  # comes back; has waited since now, not since it was given back
        await asyncio.sleep(3)
        queue.done("a")
        await queue.take()

    run(scenario())
    assert waits == [2.0, 3.0]


KEYS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.just(0)),
        st.tuples(st.just("later"), KEYS, st.integers(0, 9)),
        st.tuples(st.just("pass"), st.just(""), st.integers(1, 9)),
    ),
    max_size=40,
)


class Workshop:
    """Workers that note who has what when, and fail now and then."""

    def __init__(self, queue: Queue[str], fails: Callable[[str], bool]) -> None:
        self.queue = queue
        self.fails = fails
        self.busy: set[str] = set()
        self.finished: dict[str, list[float]] = {key: [] for key in "abc"}

    async def work(self) -> None:
        while (key := await self.queue.take()) is not None:
            assert key not in self.busy, "two workers on one key"
            self.busy.add(key)
            started = now()
            await asyncio.sleep(2)
            self.busy.discard(key)
            if self.fails(key):
                self.queue.failed(key)
            else:
                self.queue.succeeded(key)
                self.finished[key].append(started)
            self.queue.done(key)


@given(steps=STEPS, failures=st.lists(st.booleans(), max_size=5))
@tries(200)
def test_never_two_workers_on_a_key_and_every_addition_is_followed_by_a_whole_turn(
    steps: list[tuple[str, str, int]], failures: list[bool]
) -> None:
    async def scenario() -> None:
        queue = Queue[str](STEADY)
        workshop = Workshop(queue, lambda key: bool(failures and failures.pop()))
        workers = [asyncio.create_task(workshop.work()) for _ in range(2)]
        last_added: dict[str, float] = {}
        for step, key, amount in steps:
            match step:
                case "add":
                    queue.add(key)
                    last_added[key] = now()
                case "later":
                    queue.add_later(key, amount)
                case "pass":
                    await asyncio.sleep(amount)
        await asyncio.sleep(1000)
        for key, added in last_added.items():
            assert workshop.finished[key], key
            assert workshop.finished[key][-1] >= added, "the last turn began before the last change"
        queue.close()
        await asyncio.gather(*workers)

    run(scenario())


def test_one_key_that_always_has_news_does_not_starve_another() -> None:
    async def scenario() -> list[str | None]:
        queue = Queue[str]()
        queue.add("busy")
        order = []
        for turn in range(4):
            key = await queue.take()
            order.append(key)
            queue.add("busy")
            if turn == 0:
                queue.add("other")
            queue.done(key or "")
        return order

    assert run(scenario())[:3] == ["busy", "other", "busy"]


@pytest.mark.parametrize("failures", [1, 50, 5000])
def test_the_cap_holds_however_often_a_key_failed(failures: int) -> None:
    assert STEADY.delay(failures) <= 60


def first(key: str) -> str:
    return key[0]


async def order(queue: "Queue[str]", count: int) -> list[str | None]:
    """Take and give back so many keys."""
    taken = []
    for _ in range(count):
        taken.append(key := await queue.take())
        assert key
        queue.done(key)
    return taken


def test_lanes_take_turns_however_many_keys_one_of_them_has() -> None:
    async def scenario() -> list[str | None]:
        queue = Queue[str](lane=first)
        for number in range(2000):
            queue.add(f"a{number}")
        queue.add("b0")
        queue.add("c0")
        queue.add("b1")
        return await order(queue, 7)

    assert run(scenario()) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_a_lane_that_comes_back_again_and_again_is_not_before_the_others() -> None:
    async def scenario() -> list[str | None]:
        queue = Queue[str](lane=first)
        taken = []
        queue.add("a")
        queue.add("b")
        for _ in range(6):
            taken.append(key := await queue.take())
            assert key
            queue.add(key)
            queue.done(key)
        return taken

    assert run(scenario()) == ["a", "b"] * 3


def test_a_lane_never_has_more_than_its_share_of_the_workers() -> None:
    async def scenario() -> list[Any]:
        queue = Queue[str](lane=first, share=2)
        for number in range(9):
            queue.add(f"a{number}")
        mine = [await queue.take(), await queue.take()]
        third = asyncio.create_task(queue.take())
        await asyncio.sleep(1)
        waited = third.done()
        queue.add("b0")
        other = await third
        queue.done("a0")
        return [*mine, waited, other, await queue.take(), len(queue)]

    assert run(scenario()) == ["a0", "a1", False, "b0", "a2", 6]


@given(st.lists(st.sampled_from(["a0", "a1", "a2", "b0", "b1", "c0", "take", "done"]), max_size=60), st.integers(1, 3))
def test_whatever_happens_no_key_is_lost_and_no_lane_has_more_than_its_share(steps: list[str], share: int) -> None:
    async def scenario() -> None:
        queue = Queue[str](lane=first, share=share)
        added: set[str] = set()
        taken: list[str] = []
        for step in steps:
            if step == "done" and taken:
                queue.done(taken.pop(0))
            elif step == "take":
                taking = asyncio.create_task(queue.take())
                await asyncio.sleep(0)
                if taking.done() and (key := taking.result()):
                    taken.append(key)
                    added.discard(key)
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
            elif step not in ("done", "take"):
                queue.add(step)
                added.add(step)
            assert all(count <= share for count in Counter(map(first, taken)).values())
            assert len(set(taken)) == len(taken)
        for key in taken:
            queue.done(key)
        assert len(queue) == len(added)
        assert set(await order(queue, len(added))) == added

    run(scenario())
