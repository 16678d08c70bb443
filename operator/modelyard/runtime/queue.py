"""Which Model is looked at next: a deduplicating queue with delays and backoff.

Handlers add keys, workers take them. A key is in the queue once however often it is added; while a worker has it,
adding it makes it come back afterwards, so no two workers ever have the same key and no change is overlooked.
Keys of one lane (the namespace) are taken in the order in which they came, and the lanes take turns: ten thousand keys
of one keep a key of another waiting for no longer than one of them takes. A lane has at most its share of the workers,
so that even that is not waited for as long as only one is busy. One event loop only.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Backoff:
    """How long to wait after the nth failure in a row: doubling, up to a cap, spread so that keys do not align."""

    first: float = 0.2
    cap: float = 300.0
    spread: Callable[[], float] = lambda: random.uniform(0.8, 1.2)

    def delay(self, failures: int) -> float:
        """Seconds to wait after this many failures."""
        return min(self.cap, self.first * 2.0 ** min(failures - 1, 30)) * self.spread()


class Queue(Generic[K]):
    """Keys that wait for a worker."""

    def __init__(
        self,
        backoff: Backoff | None = None,
        on_taken: Callable[[float], None] = lambda waited: None,
        lane: Callable[[K], str] = lambda key: "",
        share: int | None = None,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._on_taken = on_taken
        self._lane = lane
        self._share = share
        self._ready: dict[str, deque[K]] = {}  # lanes with waiting keys, the one whose turn it is first
        self._since: dict[K, float] = {}  # keys in _ready, and since when they wait
        self._taken: set[K] = set()
        self._busy: Counter[str] = Counter()  # lanes of the taken keys
        self._again: dict[K, float] = {}  # keys that came while a worker had them
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._arrived = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._since)

    def add(self, key: K) -> None:
        """Let a worker look at the key soon."""
        now = asyncio.get_running_loop().time()
        if key in self._taken:
            self._again.setdefault(key, now)
        elif key not in self._since:
            self._since[key] = now
            self._ready.setdefault(self._lane(key), deque()).append(key)
            self._arrived.set()

    def add_later(self, key: K, delay: float) -> None:
        """Let a worker look at the key after so many seconds; replaces an earlier such wish for it."""
        self.cancel_later(key)
        self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, delay), self._due, key)

    def cancel_later(self, key: K) -> None:
        """Forget a delayed wish."""
        if timer := self._timers.pop(key, None):
            timer.cancel()

    async def take(self) -> K | None:
        """Wait for a key and take it; None when the queue was closed."""
        while not self._closed:
            if (lane := self._next_lane()) is not None:
                return self._take_from(lane)
            self._arrived.clear()
            await self._arrived.wait()
        return None

    def _next_lane(self) -> str | None:
        """The lane whose turn it is, of those that have not their share of workers yet."""
        free = (lane for lane in self._ready if self._share is None or self._busy[lane] < self._share)
        return next(free, None)

    def _take_from(self, lane: str) -> K:
        waiting = self._ready.pop(lane)
        key = waiting.popleft()
        if waiting:
            self._ready[lane] = waiting  # behind the others
        self._busy[lane] += 1
        self._taken.add(key)
        self._on_taken(asyncio.get_running_loop().time() - self._since.pop(key))
        return key

    def done(self, key: K) -> None:
        """Give a taken key back."""
        lane = self._lane(key)
        self._taken.discard(key)
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]
        if lane in self._ready:
            self._arrived.set()  # it may have waited for its share
        if (came := self._again.pop(key, None)) is not None:
            self.add(key)
            self._since[key] = came

    def failed(self, key: K, at_least: float = 0.0) -> float:
        """Count a failure, let the key come back after its backoff, and say after how many seconds."""
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(failures))
        self.add_later(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def close(self) -> None:
        """Hand out no more keys."""
        self._closed = True
        for key in list(self._timers):
            self.cancel_later(key)
        self._arrived.set()

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)
