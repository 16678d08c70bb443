"""However the operator is disturbed, it comes to the same end as undisturbed.

Its process dies after writes of every scenario; and everything of `methods.py` happens to it, by
seeds that begin at MODELYARD_FAULTS_SEED. At no moment has production no ready pod once it had some, or pods of two
revisions, and nothing is written in a storm. A failure names the command that does the same again.
"""

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.methods import METHODS
from tests.faults.runs import Ground, Order, a_ground
from tests.faults.scenarios import SCENARIOS

pytestmark = pytest.mark.faults

LANES = 6
STOPS = 2
"""Of all the writes of a scenario, after how many the process dies."""
TRIED = 8
"""On how many scenarios a method is tried."""
SEED = int(os.environ.get("MODELYARD_FAULTS_SEED", "1"))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """An API group and namespaces of the tests' own, each with its operator."""
    with a_ground(LANES, tmp_path_factory.mktemp("lanes")) as ground:
        yield ground
        assert ground.leftovers() == []


def test_wherever_the_process_dies(ground: Ground) -> None:
    """After so many of its writes that every scenario is tried; the long form tries each."""
    with ThreadPoolExecutor(LANES) as pool:
        every = list(pool.map(ground.stops, SCENARIOS))
    orders = [stops[(SEED + n * len(stops) // STOPS) % len(stops)] for stops in every for n in range(STOPS)]
    everything_ends_as_undisturbed(ground, orders)


@pytest.mark.parametrize("method", METHODS)
def test_whatever_goes_wrong(ground: Ground, method: str) -> None:
    """On some scenarios, others for each method and seed; the long form tries each on all."""
    chosen = random.Random(f"{SEED} {method}").sample(list(SCENARIOS), TRIED)
    everything_ends_as_undisturbed(ground, [Order(method, name, SEED + n) for n, name in enumerate(chosen)])


def everything_ends_as_undisturbed(ground: Ground, orders: Sequence[Order]) -> None:
    def complaints(order: Order) -> list[str]:
        outcome = ground.run(order)
        found = outcome.complaints(ground.undisturbed(order.scenario))
        return [order.replay, *found, *outcome.faults] if found else []

    with ThreadPoolExecutor(LANES) as pool:
        wrong = [found for found in pool.map(complaints, orders) if found]
    assert not wrong, "\n".join("\n  ".join(found) for found in wrong)
