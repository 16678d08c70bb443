"""The time, and whether the clock was turned.

Decisions say until when to wait by the wall clock, and timers count seconds. Both agree as long as nobody turns the
clock: a node that gets the right time late after its start, a virtual machine that slept. Every reading is held
against a clock that only counts, so that no decision counts what was never waited.
"""

from collections.abc import Callable
from datetime import datetime

TOLERATED = 1.0
"""Seconds: a clock that is set right gently is not turned."""


class WatchedClock:
    """A wall clock, held against one that only counts seconds."""

    def __init__(self, wall: Callable[[], datetime], seconds: Callable[[], float]) -> None:
        self._wall = wall
        self._seconds = seconds
        self._apart = wall().timestamp() - seconds()
        self._turns: list[float] = []
        self.set_forth_at: datetime | None = None
        """When it was last seen to be set forth: what began before has not lasted as long as it looks."""

    def now(self) -> datetime:
        """The time by the wall clock."""
        now = self._wall()
        turned = now.timestamp() - self._seconds() - self._apart
        if abs(turned) >= TOLERATED:
            self._apart += turned
            self._turns.append(turned)
            if turned > 0 or (self.set_forth_at and self.set_forth_at > now):  # by a clock that was ahead, and is right
                self.set_forth_at = now
        return now

    def turns(self) -> list[float]:
        """By how many seconds it was turned, each time since this was last asked."""
        self.now()
        turns, self._turns = self._turns, []
        return turns
