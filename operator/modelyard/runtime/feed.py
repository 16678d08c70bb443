"""Where news of the world comes in: from the watches, from sweeps, and from the operator's own writes.

Handlers and the executor call it; it updates the cache and says which Models to look at. An event that tells
nothing new (the echo of an own write) costs one comparison and wakes nobody.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from modelyard.decide.snapshot import Obj
from modelyard.kube.errors import KubeError
from modelyard.observe.cache import Address, Cache, address_of
from modelyard.observe.canary import Canary
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.runtime.logs import fields
from modelyard.runtime.queue import Queue

CONFLICT_LOOK_AGAIN = timedelta(seconds=60)
"""A foreign object in our way is not watched: only looking again shows that it went."""

log = logging.getLogger(__name__)


class Feed:
    """The one way into the cache."""

    def __init__(
        self, cache: Cache, slots: Slots, canary: Canary, queue: Queue[Key], clock: Callable[[], datetime]
    ) -> None:
        self._cache = cache
        self._slots = slots
        self._canary = canary
        self._queue = queue
        self._clock = clock

    def event(self, event: Mapping[str, Any]) -> None:
        """A watch delivered an event."""
        obj = event["object"]
        self._canary.delivered(obj)
        if event["type"] == "DELETED":
            self._canary.gone(address_of(obj))
            self.news(self._cache.remove(obj))
        else:
            self.news(self._cache.put(obj))
        if obj["kind"] == "Job":
            self.wake_line(obj["metadata"]["namespace"])

    def news(self, keys: Iterable[Key]) -> None:
        """These Models have something new to them."""
        for key in keys:
            self._queue.add(key)

    def wake_line(self, namespace: str) -> None:
        """Look again at the Models that wait for a verification Job of the namespace to end."""
        self.news(self._slots.next_in_line(namespace))

    def known(self, kind: str, namespace: str, name: str) -> Obj | None:
        """An object's last known state."""
        return self._cache.get(Address(kind, namespace, name))

    def wrote(self, obj: Obj) -> None:
        """An own write was answered. The caller looks at the Model again by itself."""
        if self._cache.put(obj):
            self._canary.expect(obj)

    def deleted(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """An own deletion took effect."""
        address = Address(kind, namespace, name)
        self._canary.gone(address)
        self._cache.bury(address, uid)

    def conflict(self, namespace: str, model: str, kind: str, name: str) -> None:
        """A needed name is taken."""
        self._cache.conflict(Key(namespace, model), kind, name, self._clock() + CONFLICT_LOOK_AGAIN)
        log.info(
            "name is taken by a foreign object", extra=fields(namespace=namespace, model=model, kind=kind, name=name)
        )

    def refused(self, namespace: str, model: str, kind: str, name: str, why: str) -> None:
        """An object may not be made: whoever waits for it is told why in its status."""
        if self._cache.refused(Key(namespace, model), kind, name, why):
            self._queue.add(Key(namespace, model))

    def absent(self, error: KubeError) -> None:
        """A write had nothing to act on."""
        log.debug("object went away before it was written", extra=fields(error=str(error)))
