"""The ways in which a run is disturbed: what goes wrong on the wire, and what else happens meanwhile.

`METHODS` is their table. A method is given a story and a seed; the same seed makes the same things go wrong.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import faults
from tests.faults.faults import Counted
from tests.faults.scenarios import Story
from tests.faults.yard import SECOND, wait_until

LEADS_WITHIN = 40.0
MINUTE = 60.0


def _nothing(story: Story, chance: random.Random, wrong: Counted) -> None:
    """Beside what goes wrong on the wire."""


@dataclass(frozen=True)
class Method:
    """One way to disturb."""

    said: str
    """What is done, for the table."""
    on_the_wire: Callable[[Story, int, str], Counted]
    """Given the moment before the user acted, as the API server counts."""
    meanwhile: Callable[[Story, random.Random, Counted], None] = _nothing
    """After the user acted."""
    afterwards: Callable[[Story], None] = lambda story: None
    """When nothing goes wrong any more."""


def _restart(story: Story, chance: random.Random, wrong: Counted) -> None:
    """Kill the process somewhere on the way, and start it again."""
    time.sleep(chance.uniform(0, 1.5))
    story.yard.kill()
    story.yard.start()


def _die_twice(story: Story, chance: random.Random, wrong: Counted) -> None:
    _restart(story, chance, wrong)
    _restart(story, chance, wrong)


def _second_leader(story: Story, chance: random.Random, wrong: Counted) -> None:
    """Another process takes the Lease, which the first cannot renew, and does not know of yet."""
    story.yard.start(SECOND)
    wait_until(lambda: _holder(story) == SECOND, LEADS_WITHIN, "the second process leads")


def _hand_back(story: Story) -> None:
    story.yard.stop(SECOND)
    wait_until(lambda: _holder(story) not in ("", SECOND), LEADS_WITHIN, "the first process leads again")


def _holder(story: Story) -> str:
    lease = story.yard.find("Lease", "modelyard") or {"spec": {}}
    return str(lease["spec"].get("holderIdentity", ""))


def _turn_clock(story: Story, chance: random.Random, wrong: Counted) -> None:
    """Back by less than what is kept warm, and forth by less than what is waited for, at random moments."""
    for _ in range(4):
        seconds = chance.choice([chance.uniform(-50 * MINUTE, 0), chance.uniform(0, MINUTE / 2)])
        story.yard.turn_clock(seconds)
        wrong.done.append(f"clock turned by {seconds:.0f} s")
        time.sleep(chance.uniform(0.1, 0.8))


def _right_clock(story: Story) -> None:
    story.yard.turn_clock(0)


def _wrong_clock_and_restart(story: Story, chance: random.Random, wrong: Counted) -> None:
    _turn_clock(story, chance, wrong)
    _restart(story, chance, wrong)


def _everything(story: Story, seed: int, moment: str) -> Counted:
    parts = [
        faults.Answers(story.model, seed, 0.15),
        faults.Events(story.model, seed, 0.2),
        faults.Endings(story.model, seed, 0.05),
        faults.Overtaken(story.model, seed, 0.1),
    ]
    return faults.Together(story.model, *parts)


METHODS = {
    "answers": Method(
        "calls answered with 409, 410, 422, 429, 500, 503, late, by half or not at all, before or after their effect",
        lambda story, seed, moment: faults.Answers(story.model, seed),
    ),
    "events": Method(
        "watch events dropped, held back, repeated, swapped and summed up; deletions lost across a 410",
        lambda story, seed, moment: faults.Events(story.model, seed),
    ),
    "watches": Method(
        "watches ended by 410 and 500, closed, cut within a line, broken off; refused when asked for again",
        lambda story, seed, moment: faults.Endings(story.model, seed),
    ),
    "silence": Method(
        "watches that fall silent or are never answered, without an end",
        lambda story, seed, moment: faults.Silent(story.model, seed),
    ),
    "hanging": Method(
        "calls that hang until they are given up, before or after they took effect",
        lambda story, seed, moment: faults.Hanging(story.model, seed),
    ),
    "overtaken": Method(
        "writes that take effect seconds after their sender was told that the connection broke",
        lambda story, seed, moment: faults.Overtaken(story.model, seed),
    ),
    "stale": Method(
        "killed and started again, with lists of some kinds as of before",
        lambda story, seed, moment: faults.Stale(story.model, seed, moment),
        _die_twice,
    ),
    "leaders": Method(
        "the leader cannot renew its Lease, while its writes get through late; a second takes over, and hands back",
        lambda story, seed, moment: faults.CutOff(story.model, seed),
        _second_leader,
        _hand_back,
    ),
    "clock": Method(
        "the clock turned back by up to 50 minutes and forth by up to half a minute, again and again",
        lambda story, seed, moment: Counted(story.model),
        _turn_clock,
        _right_clock,
    ),
    "clock and restart": Method(
        "the same, and the process killed and started again while its clock is wrong",
        lambda story, seed, moment: Counted(story.model),
        _wrong_clock_and_restart,
        _right_clock,
    ),
    "everything": Method(
        "answers, events, watches and overtaken writes at once, and the process killed and started again",
        _everything,
        _restart,
    ),
}
"""Beside dying after every single write (`runs.stops`)."""
