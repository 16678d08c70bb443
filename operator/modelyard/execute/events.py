"""Publishing Kubernetes Events, the same one again as a higher count rather than a new object.

The executor calls it after everything else was written. An Event that cannot be published is reported to the
caller as the error it is; it never holds anything up.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelyard.decide.plan import EventNote
from modelyard.execute.writer import Writer
from modelyard.kube.errors import AlreadyExistsError, NotFoundError
from modelyard.kube.kinds import EVENT, KINDS

REMEMBERED = 1000
MESSAGE_LIMIT = 1024  # the API server refuses longer ones


@dataclass
class _Published:
    name: str
    count: int


class EventPublisher:
    """Remembers what it published lately, so that repeats are counted."""

    def __init__(self, writer: Writer, *, instance: str, clock: Callable[[], datetime]) -> None:
        self._writer = writer
        self._instance = instance
        self._clock = clock
        self._recent: OrderedDict[tuple[str, EventNote], _Published] = OrderedDict()

    async def publish(self, namespace: str, note: EventNote) -> None:
        """Publish an Event about an object of the namespace."""
        identity = (namespace, note)
        known = self._recent.get(identity)
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if known is not None:
            try:
                body = {"count": known.count + 1, "lastTimestamp": now}
                await self._writer.patch(EVENT, namespace, known.name, body)
            except NotFoundError:  # Events live for an hour
                del self._recent[identity]
            else:
                known.count += 1
                self._recent.move_to_end(identity)
                return
        manifest = self._manifest(namespace, note, now)
        with suppress(AlreadyExistsError):  # the answer to an earlier attempt was lost
            await self._writer.create(manifest)
        self._recent[identity] = _Published(manifest["metadata"]["name"], 1)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _manifest(self, namespace: str, note: EventNote, now: str) -> dict[str, Any]:
        kind = KINDS[note.kind]
        what = "\0".join((note.uid, note.type, note.reason, note.message, now))
        digest = hashlib.sha256(what.encode()).hexdigest()
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": f"{note.name}.{digest[:16]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": kind.api_version,
                "kind": note.kind,
                "namespace": namespace,
                "name": note.name,
                "uid": note.uid,
            },
            "type": note.type,
            "reason": note.reason,
            "message": _shortened(note.message),
            "source": {"component": "modelyard"},
            "reportingComponent": "modelyard.dev/operator",
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }


def _shortened(message: str) -> str:
    if len(message.encode()) <= MESSAGE_LIMIT:
        return message
    return message.encode()[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "…"
