"""Ends a helper that gets nowhere: a store may accept a connection and then say one byte a minute.

`harness` starts one for each program. Time-outs of the client count from byte to byte, so they cannot tell a slow
answer from one that never ends; this one asks that every answer, and every megabyte of a file, comes within its time,
and that what lies between two of them does. The process ends at once: its threads wait for what will not come.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelyard.storage.location import Location
from modelyard.storage.store import Body, ObjectStore, StoredObject

STALLED = 300.0
"""Seconds without anything that was waited for; a megabyte in that time is slower than any store that is of use."""

Bark = Callable[[str], None]
"""Told what was being done when nothing came any more. Not expected to return."""


class Watchdog:
    """Barks when nothing was heard for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = clock()
        self._doing = "starting"

    @property
    def patience(self) -> float:
        """Seconds of silence."""
        return float(os.environ.get("MODELYARD_STALLED_SECONDS") or STALLED)

    @contextmanager
    def watching(self, bark: Bark) -> Iterator[None]:
        """Watch until the block ends, in a thread that does not keep the process alive."""
        self.heard("starting")
        ended = threading.Event()
        threading.Thread(target=self._watch, args=(bark, ended), name="watchdog", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def heard(self, doing: str) -> None:
        """Something came; what is waited for next."""
        self._heard, self._doing = self._clock(), doing

    def _watch(self, bark: Bark, ended: threading.Event) -> None:
        while (left := self._heard + self.patience - self._clock()) > 0:
            if ended.wait(left):
                return
        bark(self._doing)


class WatchedStore:
    """A store whose every answer is heard."""

    def __init__(self, store: ObjectStore, watchdog: Watchdog) -> None:
        self._store = store
        self._watchdog = watchdog

    def find(self, location: Location) -> list[StoredObject]:
        """Every file of the artifact."""
        self._watchdog.heard(f"list {location.uri}")
        found = self._store.find(location)
        self._watchdog.heard(f"read {location.uri}")
        return found

    def stat(self, location: Location, path: str, version_id: str | None) -> StoredObject:
        """One file."""
        found = self._store.stat(location, path, version_id)
        self._watchdog.heard(f"look up {location.uri}")
        return found

    def read(self, bucket: str, item: StoredObject, start: int, length: int) -> Body:
        """A range of a file."""
        doing = f"read s3://{bucket}/{item.key}"
        body = self._store.read(bucket, item, start, length)
        self._watchdog.heard(doing)
        return WatchedBody(body, self._watchdog, doing)


class WatchedBody:
    """A range whose every piece is heard."""

    def __init__(self, body: Body, watchdog: Watchdog, doing: str) -> None:
        self._body = body
        self._watchdog = watchdog
        self._doing = doing

    @property
    def version_id(self) -> str | None:
        """The object version these bytes belong to."""
        return self._body.version_id

    def chunks(self, size: int) -> Iterator[bytes]:
        """The bytes, in pieces."""
        for piece in self._body.chunks(size):
            self._watchdog.heard(self._doing)
            yield piece

    def close(self) -> None:
        """Stop reading."""
        self._body.close()
