"""When did a watcher see what it waited for? One watch in a thread, a time stamp at every event."""

import json
import threading
import time
from collections.abc import Callable

from tests.connections import Api, Obj

WATCHED = 3600
"""Seconds that a watch lasts, however quiet."""


class Sightings:
    """A watch on a collection; `when` says at what moment an object first satisfied a condition."""

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path
        self._seen: list[tuple[float, Obj]] = []
        self._news = threading.Condition()
        version = api.call("GET", path)["metadata"]["resourceVersion"]
        watch = f"{path}?watch=1&resourceVersion={version}&timeoutSeconds={WATCHED}"
        self._response = api.request("GET", watch, timeout=WATCHED)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._response:
            moment = time.perf_counter()
            with self._news:
                self._seen.append((moment, json.loads(line)["object"]))
                self._news.notify_all()

    def seen(self) -> list[tuple[float, Obj]]:
        """Everything so far: the moment, and the object as it was then."""
        with self._news:
            return list(self._seen)

    def when(self, holds: Callable[[Obj], bool], since: float, timeout: float = 120) -> float:
        """The moment (perf_counter) of the first event after `since` whose object satisfies the condition."""
        deadline = time.monotonic() + timeout
        start = 0
        with self._news:
            while True:
                for moment, obj in self._seen[start:]:
                    if moment >= since and holds(obj):
                        return moment
                start = len(self._seen)
                if not self._news.wait(timeout=max(0, deadline - time.monotonic())):
                    raise TimeoutError(f"nothing like that was seen at {self._path} within {timeout:g} s")
