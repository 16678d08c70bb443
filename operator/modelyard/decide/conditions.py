"""Conditions as the Kubernetes API conventions want them: a type is positive, its time moves with its status."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from modelyard.api import codec


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
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }
