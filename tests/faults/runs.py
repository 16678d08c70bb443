"""One run: a scenario is prepared, disturbed while it happens, and compared with the undisturbed end.

    prepare -> quiet -> disturb -> act -> a while -> lift the disturbance -> the end of the undisturbed run -> quiet

Used by the tests (test_ends.py) and by the long form (__main__.py).
"""

import itertools
import queue
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.connections import KeptOpen
from tests.definitions import define, new_group, undefine
from tests.faults.faults import Counted, StopAfter
from tests.faults.forks import Forks
from tests.faults.kubelet import Kubelet, a_node
from tests.faults.ledger import Ledger, a_store
from tests.faults.methods import METHODS
from tests.faults.proxy import Proxy
from tests.faults.recorder import interruptions
from tests.faults.scenarios import SCENARIOS, SERVES_WITHIN, Scenario, Story
from tests.faults.yard import Setup, Yard, wait_until
from tests.kube import Kube
from tests.sharing import UNPROTECTED
from tests.store.proxy import StoreProxy

QUIET = 1.2
"""Seconds without a write after which nothing follows by itself: longer than what follows a switch (operator.py)."""
DISTURBED_FOR = 6.0
"""Seconds at most; less when the stage has come to where it should."""
CONVERGES_WITHIN = 120.0
STORM = 3
"""How many times the writes of an undisturbed run are a storm."""
WATCHES_A_SECOND = 40
"""Watches asked for, beyond which the operator does nothing else. Undisturbed and hurried (operator.py): two."""
STOP = "dies"
"""The method that ends the process after its Nth write; the seed is N."""

numbers = itertools.count(1)


@dataclass(frozen=True)
class Order:
    """Which run: enough to do it again."""

    method: str
    scenario: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method} / {self.scenario} / seed {self.seed}"

    @property
    def replay(self) -> str:
        """The command that does it again."""
        return f"python -m tests.faults --method {self.method!r} --scenario {self.scenario!r} --seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What one run came to."""

    end: dict[str, Any]
    writes: list[str]
    tried: int
    interruptions: list[str]
    faults: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    """What the ledger tells otherwise than it was seen."""
    exits: int = 0
    """How often a process ended by itself."""
    watches_a_second: float = 0
    converged_after: float = 0
    """Seconds from the end of the disturbance."""

    def complaints(self, aim: "Outcome") -> list[str]:
        """What is not as it must be: the same end, on a way that is not much longer, without an interruption."""
        found = [f"ended with {name} {self.end[name]} and not {aim.end[name]}" for name in aim.end
                 if self.end.get(name) != aim.end[name]]  # fmt: skip
        found += [f"interrupted: {what}" for what in self.interruptions]
        if len(self.writes) > STORM * len(aim.writes) + len(self.faults):
            found.append(f"{len(self.writes)} writes, undisturbed {len(aim.writes)}: {self.writes}")
        if self.tried > STORM * len(aim.writes) + 3 * len(self.faults):
            found.append(f"{self.tried} writes tried, undisturbed {len(aim.writes)}, {len(self.faults)} faults")
        found += [f"ledger: {what}" for what in self.untrue]
        if self.watches_a_second > WATCHES_A_SECOND:
            found.append(f"{self.watches_a_second:.0f} watches a second")
        return found


class Ground:
    """Lanes that do not know of each other, and what each scenario comes to when nothing goes wrong."""

    def __init__(self, yards: "queue.Queue[Yard]") -> None:
        self._yards = yards
        self._known: dict[str, Outcome] = {}
        self._finding_out: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def undisturbed(self, scenario: str) -> Outcome:
        """What the scenario comes to by itself, found out once."""
        with self._finding_out[scenario]:
            if scenario not in self._known:
                self._known[scenario] = self._find_out(scenario)
            return self._known[scenario]

    def run(self, order: Order) -> Outcome:
        """One run in a free lane; the end of the undisturbed one is waited for."""
        aim = self.undisturbed(order.scenario)
        with self.story(SCENARIOS[order.scenario]) as story:
            return _dies(story, order, aim) if order.method == STOP else _disturbed(story, order, aim)

    def stops(self, scenario: str) -> list[Order]:
        """A run for every write of a scenario."""
        writes = self.undisturbed(scenario).writes
        return [Order(STOP, scenario, n) for n in range(1, len(writes) + 1)]

    def leftovers(self) -> list[str]:
        """What is still there of Models that were deleted: objects that nobody would ever take away."""
        with suppress(TimeoutError):
            wait_until(lambda: not self._left(), CONVERGES_WITHIN, "all is gone", every=1)
        return self._left()

    def _left(self) -> list[str]:
        return [f"left behind: {what}" for yard in list(self._yards.queue) for what in yard.managed()]

    def _find_out(self, name: str) -> Outcome:
        scenario = SCENARIOS[name]
        with self.story(scenario) as story:
            yard = story.yard
            yard.proxy.faults = before = Counted(story.model)
            _prepare(story, scenario, before)
            yard.proxy.faults = counted = Counted(story.model)
            scenario.act(story)
            wait_until(lambda: _is_over(story, scenario), SERVES_WITHIN, f"{name}: it ends as it should")
            wait_until(story.is_told_to_the_end, CONVERGES_WITHIN, f"{name}: the ledger has it all")
            wait_for_quiet(counted)
            found = _outcome(story, scenario, story.end(), counted)
            assert not found.interruptions, f"{name}: {found.interruptions}"
            assert not found.untrue, f"{name}: {found.untrue}"
            return found

    @contextmanager
    def story(self, scenario: Scenario) -> Iterator[Story]:
        """A Model of its own in a free lane, with the operator as the scenario wants it."""
        yard = self._yards.get()
        story = Story(yard, f"m{next(numbers)}", ledger=scenario.ledger)
        try:
            yard.use(Setup(ledger=scenario.ledger))
            yield story
        except BaseException as error:
            error.add_note(f"the operator said ({yard.log}):\n{yard.log.read_text()[-6000:]}")
            yard.reset()
            raise
        finally:
            story.forget()
            yard.recorder.forget(story.model)
            self._yards.put(yard)


@contextmanager
def a_ground(lanes: int, folder: Path) -> Iterator[Ground]:
    """So many lanes with an operator each, on the cluster of the tests."""
    kube, api, group = Kube.connect(), KeptOpen(), new_group()
    free: queue.Queue[Yard] = queue.Queue()
    with ExitStack() as stack:
        stack.callback(api.close)
        define(kube, group)
        stack.callback(undefine, kube, group)
        forks = Forks(group)
        stack.callback(forks.close)
        node = stack.enter_context(a_node(api))
        gateway = stack.enter_context(a_store(folder))
        for number in range(lanes):
            here = stack.enter_context(kube.own_namespace("faults", UNPROTECTED))
            proxy = stack.enter_context(Proxy(api))
            assert here.namespace
            store = stack.enter_context(StoreProxy(gateway.endpoint))
            ledger = Ledger(gateway, store, partial(getattr, proxy, "faults"))
            kubelet = Kubelet(api, here.namespace, node)
            (folder / f"lane-{number}").mkdir()
            yard = Yard(api, group, kubelet, here.namespace, folder / f"lane-{number}", proxy, ledger, forks)
            stack.callback(yard.close)
            yard.start()
            free.put(yard)
        yield Ground(free)


def _disturbed(story: Story, order: Order, aim: Outcome) -> Outcome:
    yard, scenario, method = story.yard, SCENARIOS[order.scenario], METHODS[order.method]
    yard.proxy.faults = before = Counted(story.model)
    _prepare(story, scenario, before)
    exits, begun = yard.exits, time.monotonic()
    yard.proxy.faults = wrong = method.on_the_wire(story, order.seed, yard.now())
    with _people(story, scenario) as acting:
        try:
            method.meanwhile(story, random.Random(str(order)), wrong)
            with suppress(TimeoutError):
                is_over = partial(_is_over, story, scenario, acting)
                wait_until(is_over, begun + DISTURBED_FOR - time.monotonic(), "it ends as it should")
        finally:
            wrong.lift()
            yard.proxy.faults = after = Counted(story.model)
            lifted = time.monotonic()
            method.afterwards(story)
    end = _settle(story, aim, after)
    took = time.monotonic()
    outcome = _outcome(story, scenario, end, wrong, after)
    watches = (wrong.watches + after.watches) / (took - begun)
    return replace(outcome, exits=yard.exits - exits, watches_a_second=watches, converged_after=took - lifted)


def _dies(story: Story, order: Order, aim: Outcome) -> Outcome:
    yard, scenario = story.yard, SCENARIOS[order.scenario]
    yard.proxy.faults = before = Counted(story.model)
    _prepare(story, scenario, before)
    yard.proxy.faults = first = StopAfter(story.model, order.seed, yard.signal_end)
    with _people(story, scenario) as acting:
        wait_until(
            lambda: first.ended.is_set() or _is_over(story, scenario, acting),
            SERVES_WITHIN,
            "it ends as it should, or the operator dies",
        )
        wait_for_quiet(first)
        yard.proxy.faults = second = Counted(story.model)
        lifted = time.monotonic()
        if first.ended.is_set():
            yard.kill()
            yard.start()
    end = _settle(story, aim, second)
    return replace(_outcome(story, scenario, end, first, second), converged_after=time.monotonic() - lifted)


def _prepare(story: Story, scenario: Scenario, counting: Counted) -> None:
    """What is so before anything goes wrong; none of it waits for the ledger any more."""
    scenario.prepare(story)
    wait_until(story.is_told, CONVERGES_WITHIN, "the ledger has it all")
    wait_for_quiet(counting)


@contextmanager
def _people(story: Story, scenario: Scenario) -> Iterator["Future[None]"]:
    """People do what they do, whatever else happens, and may wait until the operator is back."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(scenario.act, story)
        yield acting
        acting.result()


def _is_over(story: Story, scenario: Scenario, acting: "Future[None] | None" = None) -> bool:
    """Whether people have done all they do, and the stage is where it should be."""
    if acting is not None and not acting.done():
        return False
    if acting is not None and acting.exception():
        return True
    return story.current() == (scenario.ends_with, bool(scenario.ends_with)) and story.is_at_rest()


def _settle(story: Story, aim: Outcome, counting: Counted) -> dict[str, Any]:
    """The end, once it is the undisturbed one and still is after a rest; else, at last, what there is instead.

    What a clock that was ahead made due later may come in between: pods restarted, one more than wanted for a moment.
    """
    deadline = time.monotonic() + CONVERGES_WITHIN
    while True:
        with suppress(TimeoutError):  # the comparison will show the difference
            wait_until(partial(story.has_come_to, aim.end), deadline - time.monotonic(), "the undisturbed end")
            wait_until(story.is_told, CONVERGES_WITHIN, "the ledger has it all")
        wait_for_quiet(counting)
        end = story.end()
        if end == aim.end or time.monotonic() > deadline:
            return end


def _outcome(story: Story, scenario: Scenario, end: dict[str, Any], *counted: Counted) -> Outcome:
    seen = story.yard.recorder.of_model(story.model)
    return Outcome(
        end=end,
        writes=[write for each in counted for write in each.writes],
        tried=sum(each.tried for each in counted),
        interruptions=[] if scenario.may_interrupt else interruptions(seen, f"{story.model}-production"),
        faults=[what for each in counted for what in each.done],
        untrue=story.untrue(scenario.happens_again),
    )


def wait_for_quiet(counting: Counted) -> None:
    """Return when nothing was written for a while, or the process has ended."""
    deadline = time.monotonic() + CONVERGES_WITHIN
    seen, since = -1, time.monotonic()
    while time.monotonic() < since + QUIET and not counting.ended.is_set():
        assert time.monotonic() < deadline, f"does not come to rest: {counting.writes[-10:]}"
        if len(counting.writes) != seen:
            seen, since = len(counting.writes), time.monotonic()
        time.sleep(0.05)
