"""Was the clock turned? The process looks now and then.

Decisions say until when to wait by the wall clock, and timers count seconds. Both agree as long as nobody turns the
clock: a node that gets the right time late after its start, a virtual machine that slept.
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
        self._apart = self._look()

    def turned_by(self) -> float:
        """By how many seconds the clock was turned since the last time that this was not 0."""
        apart = self._look()
        turned = apart - self._apart
        if abs(turned) < TOLERATED:
            return 0.0
        self._apart = apart
        return turned

    def _look(self) -> float:
        return self._wall().timestamp() - self._seconds()
