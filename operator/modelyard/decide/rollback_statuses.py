"""What do the statuses of Rollbacks say? Derived from what the Model remembers of them; nothing is decided on them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from modelyard.api import codec, names
from modelyard.api.reasons import RollbackReason
from modelyard.decide.conditions import Being, Said, condition, judged
from modelyard.decide.plan import ReplaceStatus
from modelyard.decide.rollback import is_final
from modelyard.decide.snapshot import Obj
from modelyard.decide.state import HandledRollback, ModelState, PendingRollback
from modelyard.decide.world import World

_MOOT = (RollbackReason.PREDATES_STATE, RollbackReason.SUPERSEDED, RollbackReason.ALREADY_SERVING)
"""Refusals that leave nothing to be done: it came too late, or the stage is where it was to go."""


def rollback_statuses(world: World, state: ModelState) -> Iterator[ReplaceStatus]:
    """The statuses of Rollbacks that differ from what they should be."""
    for obj in world.seen.rollbacks:
        stage = state.stages.get(obj["spec"]["stage"])
        uid = obj["metadata"]["uid"]
        handled = next((h for h in stage.handled_rollbacks if h.uid == uid), None) if stage else None
        if stage is not None and handled is not None:
            status = _handled_status(world, obj, handled)
        elif stage is not None and stage.rollback and stage.rollback.uid == uid:
            status = _pending_status(world, obj, state, stage.rollback)
        elif stage is None and not is_final(obj):
            known = ", ".join(s.name for s in world.stages)
            text = f"Model {world.seen.name!r} has no stage {obj['spec']['stage']!r}; it has: {known}"
            status = rollback_status(obj, world.now, "Refused", RollbackReason.STAGE_UNKNOWN, text)
        else:
            continue
        if status != obj.get("status"):
            yield ReplaceStatus("Rollback", obj["metadata"]["name"], uid, status)


def _handled_status(world: World, obj: Obj, handled: HandledRollback) -> dict[str, Any]:
    extra: dict[str, Any] = {
        "fromVersion": handled.from_version,
        "toVersion": handled.to_version,
        "sequence": handled.sequence,
        "appliedAt": codec.format_time(handled.at) if handled.at and handled.outcome == "Applied" else "",
        "by": (obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_BY, ""),
    }
    return rollback_status(obj, world.now, handled.outcome, handled.reason, handled.message, extra)


def _pending_status(world: World, obj: Obj, state: ModelState, pending: PendingRollback) -> dict[str, Any]:
    stage = state.stages[obj["spec"]["stage"]]
    target = stage.revision(pending.target)
    text = "the target's pods are starting; the present version serves on"
    extra = {"toVersion": target.version if target else "", "by": pending.by}
    return rollback_status(obj, world.now, "Pending", RollbackReason.WAITING_FOR_PODS, text, extra)


def rollback_status(
    obj: Obj,
    now: datetime,
    outcome: str,
    reason: str,
    message: str,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A Rollback's whole status."""
    known = (obj.get("status") or {}).get("conditions") or ()
    generation = obj["metadata"].get("generation", 1)
    went_back = {"Applied": True, "Refused": False}.get(outcome)
    applied = condition(known, "Applied", went_back, reason, message, generation=generation, now=now)
    whole = judged(known, Said(_being(outcome, reason), reason, message), generation=generation, now=now)
    found = {"observedGeneration": generation, "outcome": outcome, **(extra or {}), "conditions": [applied, *whole]}
    return {key: value for key, value in found.items() if value not in ("", None, 0)}


def _being(outcome: str, reason: str) -> Being:
    if outcome == "Refused":
        return Being.WAITING if reason in _MOOT else Being.STUCK
    return Being.IN_ORDER if outcome == "Applied" else Being.MOVING
