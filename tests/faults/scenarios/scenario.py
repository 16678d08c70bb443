"""What a scenario says of itself."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.scenarios.story import Story


@dataclass(frozen=True)
class Scenario:
    """`prepare` is not disturbed; `act` is what people do meanwhile, and may wait for what comes of it."""

    prepare: Callable[[Story], None]
    act: Callable[[Story], None]
    ends_with: str
    """The version that serves in the end; empty for none."""
    ledger: bool = False
    """Whether the operator has a ledger."""
    happens_again: frozenset[str] = frozenset()
    """Types of records that the ledger has twice, because what they tell happens twice."""
    may_interrupt: bool = False
    """Whether people accept a moment without service."""


def nothing(story: Story) -> None:
    """Nothing is prepared."""
