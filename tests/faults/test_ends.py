"""However the operator is disturbed, it comes to the same end as undisturbed.

Its process dies after its Nth write, for every N; or calls fail by a seed (MODELYARD_FAULTS_SEED, printed on failure).
At no moment has production no ready pod once it had some, or pods of two revisions, and nothing is written in a storm.
"""

import itertools
import os
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.bench.sightings import Api
from tests.cluster.conftest import UNPROTECTED
from tests.definitions import define, new_group, undefine
from tests.faults.faults import Counted, Errors, StopAfter
from tests.faults.kubelet import Kubelet, a_node
from tests.faults.proxy import Proxy
from tests.faults.scenarios import SCENARIOS, SERVES_WITHIN, Scenario, Story
from tests.faults.yard import Yard, wait_until
from tests.kube import Kube

pytestmark = pytest.mark.faults

LANES = 3
QUIET = 1.5
"""Seconds without a write after which nothing follows by itself: longer than what follows a switch (operator.py)."""
CONVERGES_WITHIN = 60.0
STORM = 3
"""How many times the writes of an undisturbed run are a storm."""

SEEDS = 3
SEED = int(os.environ.get("MODELYARD_FAULTS_SEED", "1"))

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def yards(tmp_path_factory: pytest.TempPathFactory) -> Iterator["queue.Queue[Yard]"]:
    """Lanes that do not know of each other."""
    kube, api, group = Kube.connect(), Api(), new_group()
    free: queue.Queue[Yard] = queue.Queue()
    with ExitStack() as stack:
        define(kube, group)
        stack.callback(undefine, kube, group)
        node = stack.enter_context(a_node(api))
        for number in range(LANES):
            here = stack.enter_context(kube.own_namespace("faults", UNPROTECTED))
            proxy = stack.enter_context(Proxy(api))
            assert here.namespace
            kubelet = Kubelet(api, here.namespace, node)
            yard = Yard(api, group, kubelet, here.namespace, tmp_path_factory.mktemp(f"lane-{number}"), proxy)
            stack.callback(yard.close)
            yard.start()
            free.put(yard)
        yield free


@pytest.fixture(scope="module")
def undisturbed(yards: "queue.Queue[Yard]") -> Callable[[str], "Outcome"]:
    """The end of each scenario when nothing goes wrong, found out once."""

    @cache
    def find_out(name: str) -> Outcome:
        outcome = run(yards, SCENARIOS[name])
        assert outcome.end["serves"] == [SCENARIOS[name].ends_with]
        return outcome

    return find_out


@pytest.mark.parametrize("name", SCENARIOS)
def test_wherever_the_process_dies(
    yards: "queue.Queue[Yard]", undisturbed: Callable[[str], "Outcome"], name: str
) -> None:
    aim = undisturbed(name)

    def die(n: int) -> Outcome:
        return run(yards, SCENARIOS[name], lambda story: StopAfter(story.model, n, story.yard.signal_end), aim)

    stops = range(1, len(aim.writes) + 1)
    with ThreadPoolExecutor(LANES) as pool:
        for n, outcome in zip(stops, pool.map(die, stops), strict=True):
            outcome.must_be_like(aim, f"died after write {n} of {len(stops)}: {aim.writes[n - 1]}")


@pytest.mark.parametrize("name", SCENARIOS)
def test_whichever_calls_fail(yards: "queue.Queue[Yard]", undisturbed: Callable[[str], "Outcome"], name: str) -> None:
    aim = undisturbed(name)

    def fail(seed: int) -> Outcome:
        return run(yards, SCENARIOS[name], lambda story: Errors(story.model, seed), aim)

    seeds = range(SEED, SEED + SEEDS)
    with ThreadPoolExecutor(LANES) as pool:
        for seed, outcome in zip(seeds, pool.map(fail, seeds), strict=True):
            outcome.must_be_like(aim, f"MODELYARD_FAULTS_SEED={seed}: {outcome.faults}")


@dataclass(frozen=True)
class Outcome:
    """What one run came to."""

    end: dict[str, Any]
    writes: list[str]
    interruptions: list[str]
    faults: list[str]

    def must_be_like(self, aim: "Outcome", what: str) -> None:
        """The same end, on a way that is not much longer."""
        assert self.end == aim.end, what
        assert self.interruptions == [], what
        assert len(self.writes) <= STORM * len(aim.writes), (what, self.writes)


def run(
    yards: "queue.Queue[Yard]",
    scenario: Scenario,
    disturbed: Callable[[Story], Counted] = lambda story: Counted(story.model),
    aim: Outcome | None = None,
) -> Outcome:
    """One run in a free lane; the end of `aim` is waited for."""
    yard = yards.get()
    try:
        return _run(Story(yard, f"m{next(numbers)}"), scenario, disturbed, aim)
    except BaseException as error:
        error.add_note(f"the operator said ({yard.log}):\n{yard.log.read_text()[-6000:]}")
        raise
    finally:
        yards.put(yard)


def _run(story: Story, scenario: Scenario, disturbed: Callable[[Story], Counted], aim: Outcome | None) -> Outcome:
    yard = story.yard
    yard.proxy.faults = before = Counted(story.model)
    scenario.prepare(story)
    _wait_for_quiet(before)
    yard.proxy.faults = first = disturbed(story)
    scenario.act(story)
    wait_until(
        lambda: first.ended.is_set() or story.current() == (scenario.ends_with, True),
        SERVES_WITHIN,
        f"{scenario.ends_with} serves, or the operator dies",
    )
    _wait_for_quiet(first)
    yard.proxy.faults = second = Counted(story.model)
    if first.ended.is_set():
        yard.kill()
        yard.start()
        story.serves(scenario.ends_with)
        _wait_for_quiet(second)
    if aim is not None:
        with suppress(TimeoutError):  # the comparison will show the difference
            wait_until(lambda: story.end() == aim.end, CONVERGES_WITHIN, "the same end as undisturbed")
    faults = first.done if isinstance(first, Errors) else []
    outcome = Outcome(story.end(), first.writes + second.writes, interruptions(yard, story.model), faults)
    story.forget()
    return outcome


def _wait_for_quiet(counting: Counted) -> None:
    """Return when nothing was written for a while, or the process has ended."""
    deadline = time.monotonic() + CONVERGES_WITHIN
    seen, since = -1, time.monotonic()
    while time.monotonic() < since + QUIET and not counting.ended.is_set():
        assert time.monotonic() < deadline, f"does not come to rest: {counting.writes[-10:]}"
        if len(counting.writes) != seen:
            seen, since = len(counting.writes), time.monotonic()
        time.sleep(0.05)


def interruptions(yard: Yard, model: str) -> list[str]:
    """Moments at which production had no ready pod after it had some, or pods of two revisions."""
    found, served = [], False
    for _, piece in yard.slices.seen():
        if piece["metadata"]["labels"].get("kubernetes.io/service-name") != f"{model}-production":
            continue
        ready = [e for e in piece.get("endpoints") or () if e["conditions"].get("ready")]
        revisions = {e["targetRef"]["name"].rsplit("-", 2)[0] for e in ready}
        if len(revisions) > 1 or (served and not revisions):
            found.append(f"{sorted(revisions)} at {piece['metadata']['resourceVersion']}")
        served |= bool(revisions)
    return found
