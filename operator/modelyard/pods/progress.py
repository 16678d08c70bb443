"""A few lines in a helper pod's log that say how far it is: at the start, and every quarter or ten seconds."""

import json
import threading
import time
from collections.abc import Callable

from modelyard.storage.store import StoredObject

INTERVAL = 10.0


class ProgressLog:
    """Tells how many bytes of how many were read. Called from several threads."""

    def __init__(
        self,
        doing: str,
        uri: str,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda line: print(line, flush=True),
    ) -> None:
        self._doing = doing
        self._uri = uri
        self._clock = clock
        self._say = say
        self._lock = threading.Lock()
        self._started = self._told_at = clock()
        self._quarters = 0
        self._line()

    def __call__(self, item: StoredObject, done: int, total: int) -> None:
        """Take note of the bytes read so far, and say so when it is worth a line."""
        with self._lock:
            now = self._clock()
            quarters = 4 * done // max(total, 1)
            if quarters == self._quarters and now - self._told_at < INTERVAL:
                return
            self._told_at = now
            self._quarters = quarters
            self._line(bytesRead=done, bytesTotal=total, seconds=round(now - self._started, 2))

    def _line(self, **fields: object) -> None:
        self._say(json.dumps({"message": self._doing, "uri": self._uri, **fields}))
