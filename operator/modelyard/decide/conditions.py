"""Conditions as the Kubernetes API conventions want them, and the ones by which tools judge an object as a whole.

`judged` answers the question of kstatus, and so of Flux, of `helm --wait` and of Argo CD's health checks: is the object
as it was asked for, on its way there, not going to get there, or not for the operator to move?

    Being       Ready    Reconciling   Stalled   Waiting     kstatus       Argo CD
    IN_ORDER    True                                         Current       Healthy
    MOVING      False    True                                InProgress    Progressing
    STUCK       False                  True                  Failed        Degraded
    WAITING                                      True        Current       Healthy

Reconciling, Stalled and Waiting are there only while they are True. While something is WAITING there is no Ready: False
would keep these tools waiting for people, True would tell `kubectl wait --for=condition=Ready` that a version serves
which nobody has approved yet (docs/decisions/0006-conditions-for-tools.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from modelyard.api import codec

MESSAGE_LIMIT = 32_768
"""Characters that the API server takes; a longer message would keep a whole status from being written."""


class Being(Enum):
    """How an object stands towards what was asked of it."""

    IN_ORDER = auto()
    """It is as it was asked for."""
    MOVING = auto()
    """The operator works on it."""
    STUCK = auto()
    """It did not come about, and does not by itself."""
    WAITING = auto()
    """It is not so, and not for the operator to bring about: people, other objects or a later wish decide."""


@dataclass(frozen=True)
class Said:
    """How an object stands, and why."""

    being: Being
    reason: str
    message: str = ""


_TYPES = {
    Being.IN_ORDER: (("Ready", True),),
    Being.MOVING: (("Ready", False), ("Reconciling", True)),
    Being.STUCK: (("Ready", False), ("Stalled", True)),
    Being.WAITING: (("Waiting", True),),
}


def judged(known: Sequence[Mapping[str, Any]], said: Said, *, generation: int, now: datetime) -> list[dict[str, Any]]:
    """The conditions that say how an object stands as a whole. `known`: the conditions there are."""
    return [
        condition(known, kind, status, said.reason, said.message, generation=generation, now=now)
        for kind, status in _TYPES[said.being]
    ]


def condition(
    known: Sequence[Mapping[str, Any]],
    kind: str,
    status: bool | None,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
) -> dict[str, Any]:
    """One condition; `status` None reads Unknown. `known`: the conditions there are, for the transition time."""
    value = "Unknown" if status is None else str(status)
    before = next((c for c in known if c["type"] == kind), None)
    same = before is not None and before["status"] == value
    since = before["lastTransitionTime"] if before and same else codec.format_time(now.replace(microsecond=0))
    return {
        "type": kind,
        "status": value,
        "reason": str(reason),
        "message": message[:MESSAGE_LIMIT],
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }
