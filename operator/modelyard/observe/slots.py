"""How many verification Jobs run in each namespace, and who waits for one to end.

The cache reports every verify Job; the reconciler reserves the Jobs a plan is about to create before it first
awaits, so two Models decided at the same time never share one slot. It must never be updated across an await.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from modelyard.api import names
from modelyard.decide.snapshot import Obj
from modelyard.observe.keys import Key


class Slots:
    """The verification Jobs of every namespace against one limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: dict[str, set[str]] = defaultdict(set)
        self._reserved: dict[str, set[str]] = defaultdict(set)
        self._waiting: dict[str, dict[Key, None]] = defaultdict(dict)  # a dict keeps the order of arrival

    def free(self, namespace: str) -> int:
        """How many more verification Jobs may be created in the namespace now."""
        return max(0, self._limit - len(self._running[namespace] | self._reserved[namespace]))

    def running(self, namespace: str, name: str, is_running: bool) -> None:
        """Take note of a verify Job."""
        if is_running:
            self._running[namespace].add(name)
        else:
            self._running[namespace].discard(name)

    @contextmanager
    def reserved(self, namespace: str, names: Iterable[str]) -> Iterator[None]:
        """Count these Jobs as running until the block ends; by then the cache knows those that were created."""
        mine = set(names) - self._reserved[namespace]
        self._reserved[namespace] |= mine
        try:
            yield
        finally:
            self._reserved[namespace] -= mine

    def wait(self, key: Key, waits: bool) -> None:
        """Put a Model into its namespace's line, keeping its place when it is in it; or take it out."""
        if waits:
            self._waiting[key.namespace].setdefault(key)
        else:
            self._waiting[key.namespace].pop(key, None)

    def next_in_line(self, namespace: str) -> list[Key]:
        """The Models to look at again now that slots are free: as many as there are slots, first come first."""
        line = self._waiting[namespace]
        return [key for key, _ in zip(list(line), range(self.free(namespace)), strict=False)]


def is_running_verification(job: Obj) -> bool:
    """Whether a Job takes up a slot: it verifies and has neither completed nor failed."""
    if job["metadata"].get("labels", {}).get(names.LABEL_JOB) != "verify":
        return False
    conditions = (job.get("status") or {}).get("conditions") or ()
    return not any(c.get("type") in ("Complete", "Failed") and c.get("status") == "True" for c in conditions)
