"""What is worth telling? Kubernetes Events from the difference between two states, published after the write."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from modelyard.api.reasons import ApprovalReason, EventReason, ModelReason
from modelyard.decide.plan import EventNote, ReplaceStatus
from modelyard.decide.snapshot import Obj
from modelyard.decide.state import Cause, ModelState, Request, StageState, Step, Transition
from modelyard.decide.world import World

_REASONS = {
    Cause.PROMOTED: EventReason.VERSION_PROMOTED,
    Cause.ROLLED_BACK: EventReason.VERSION_ROLLED_BACK,
    Cause.SUCCEEDED: EventReason.SUCCESSOR_TOOK_OVER,
    Cause.RECONFIGURED: EventReason.VERSION_RECONFIGURED,
    Cause.UNDONE: EventReason.VERSION_UNDONE,
    Cause.SUSPENDED: EventReason.STAGE_SUSPENDED,
    Cause.RESUMED: EventReason.STAGE_RESUMED,
    Cause.PAUSED: EventReason.STAGE_PAUSED,
    Cause.UNPAUSED: EventReason.STAGE_UNPAUSED,
}


def events(
    world: World,
    before: ModelState,
    after: ModelState,
    transitions: Iterable[Transition],
    statuses: Iterable[ReplaceStatus],
    *,
    recovered: ModelState | None,
) -> Iterator[EventNote]:
    """Everything that happened in this decision, in order. `recovered`: what was found of a status that was lost."""
    if recovered:
        yield from _of_recovery(world, recovered)
    for transition in transitions:
        yield from _of_transition(world, transition)
    for stage in after.stages.values():
        yield from _of_requests(world, before.stages.get(stage.name), stage)
        yield from _of_rollbacks(world, before.stages.get(stage.name), stage)
    approvals = {obj["metadata"]["uid"]: obj for obj in world.seen.approvals}
    for write in statuses:
        if write.kind == "ModelVersion":
            yield from _of_version(world, write)
        if write.kind == "Approval":
            yield from _of_approval(world, approvals[write.uid], write)


def of_ledger(world: World, status: Mapping[str, Any]) -> tuple[EventNote, ...]:
    """That the ledger cannot be written, or can again. `status`: the Model's, as it will be."""
    before = _ledger_synced(world.model.get("status") or {})
    after = _ledger_synced(status)
    if after is None or before is None or after["reason"] == before["reason"]:
        return ()
    if after["status"] == "True":
        return (_on_model(world, "Normal", EventReason.LEDGER_SYNCED, after["message"]),)
    if after["reason"] == ModelReason.LEDGER_NOT_CONFIGURED:
        return ()
    return (_on_model(world, "Warning", EventReason.LEDGER_UNAVAILABLE, f"{after['reason']}: {after['message']}"),)


def _ledger_synced(status: Mapping[str, Any]) -> Mapping[str, str] | None:
    return next((c for c in status.get("conditions") or () if c["type"] == "LedgerSynced"), None)


def _of_recovery(world: World, recovered: ModelState) -> Iterator[EventNote]:
    pointers = [(stage.name, stage.current) for stage in recovered.stages.values() if stage.current]
    if pointers:
        found = ", ".join(f"{name}={current.version} (sequence {current.sequence})" for name, current in pointers)
        source = "the stages' own objects"
        if recovered.ledger and recovered.ledger.recalled is not None:
            source = f"the ledger (record {recovered.ledger.recalled})"
        text = f"the status was lost; taken up again from {source}: {found}; what served serves on"
        yield _on_model(world, "Warning", EventReason.STATE_RECOVERED, text)


def _of_transition(world: World, moved: Transition) -> Iterator[EventNote]:
    to = moved.to.version if moved.to else "none"
    origin = f" after version {moved.from_.version!r}" if moved.from_ else ""
    texts = {
        Cause.PROMOTED: f"stage {moved.stage!r} serves version {to!r}{origin}",
        Cause.ROLLED_BACK: f"stage {moved.stage!r} went back to version {to!r}{origin}: {moved.reason}",
        Cause.SUCCEEDED: f"stage {moved.stage!r} went to version {to!r}{origin}, which nobody asks for any more",
        Cause.RECONFIGURED: f"stage {moved.stage!r} serves version {to!r} with the changed template",
        Cause.UNDONE: f"stage {moved.stage!r} went back to version {to!r}{origin}: {moved.reason}",
        Cause.SUSPENDED: f"stage {moved.stage!r} is suspended and scaled to zero",
        Cause.RESUMED: f"stage {moved.stage!r} is resumed",
        Cause.PAUSED: f"stage {moved.stage!r} is paused: its version changes by rollback only",
        Cause.UNPAUSED: f"stage {moved.stage!r} is no longer paused",
    }
    cause = Cause(moved.type)
    kind: Literal["Normal", "Warning"] = "Warning" if cause == Cause.UNDONE else "Normal"
    yield _on_model(world, kind, _REASONS[cause], texts[cause])
    version = world.versions.get(to)
    if version and cause in (Cause.PROMOTED, Cause.ROLLED_BACK, Cause.SUCCEEDED, Cause.UNDONE):
        yield EventNote("ModelVersion", version.name, version.uid, kind, _REASONS[cause], texts[cause])


def _of_requests(world: World, before: StageState | None, after: StageState) -> Iterator[EventNote]:
    known: Mapping[str, Request] = {r.id: r for r in before.requests} if before else {}
    for request in after.requests:
        previous = known.get(request.id)
        version = world.versions.get(request.version)
        if (previous is None or previous.ended) and request.is_open and version:
            text = f"version {request.version!r} asks for stage {after.name!r} (place {request.place})"
            yield EventNote("ModelVersion", version.name, version.uid, "Normal", EventReason.STAGE_REQUESTED, text)
        if request.is_open or (previous and previous.ended):
            continue
        bad = request.ended in (Step.FAILED, Step.REJECTED, Step.ROLLED_BACK)
        kind: Literal["Normal", "Warning"] = "Warning" if bad else "Normal"
        text = (
            f"the request of version {request.version!r} for stage {after.name!r} ended: {request.ended} "
            f"({request.ended_reason}): {request.ended_message}"
        )
        if version and version.uid == request.uid:
            yield EventNote("ModelVersion", version.name, version.uid, kind, EventReason.REQUEST_ENDED, text)
        else:
            yield _on_model(world, kind, EventReason.REQUEST_ENDED, text)


def _of_rollbacks(world: World, before: StageState | None, after: StageState) -> Iterator[EventNote]:
    handled = {h.uid for h in before.handled_rollbacks} if before else set()
    objects = {obj["metadata"]["uid"]: obj["metadata"]["name"] for obj in world.seen.rollbacks}
    for entry in after.handled_rollbacks:
        if entry.uid in handled or entry.uid not in objects:
            continue
        name = objects[entry.uid]
        if entry.outcome == "Applied":
            text = f"stage {after.name!r} went from version {entry.from_version!r} to {entry.to_version!r}"
            yield EventNote("Rollback", name, entry.uid, "Normal", EventReason.VERSION_ROLLED_BACK, text)
        else:
            text = f"{entry.reason}: {entry.message}"
            yield EventNote("Rollback", name, entry.uid, "Warning", EventReason.ROLLBACK_REFUSED, text)
    pending = after.rollback
    if pending and pending.uid in objects and (before is None or before.rollback != pending):
        text = f"stage {after.name!r} goes back as soon as the target's pods are ready; the present version serves on"
        yield EventNote("Rollback", pending.name, pending.uid, "Normal", EventReason.ROLLBACK_ACCEPTED, text)


def _of_version(world: World, write: ReplaceStatus) -> Iterator[EventNote]:
    version = world.versions.get(write.name.removeprefix(f"{world.seen.name}-"))
    before = version.status if version else {}
    old, new = before.get("verification") or {}, write.status.get("verification") or {}

    def note(kind: Literal["Normal", "Warning"], reason: EventReason, text: str) -> EventNote:
        return EventNote("ModelVersion", write.name, write.uid, kind, reason, text)

    if new.get("state") != old.get("state") and new.get("state") == "Passed":
        text = f"{new.get('message', 'verified')}: {write.status.get('digest')}"
        yield note("Normal", EventReason.VERSION_VERIFIED, text)
    if new.get("state") != old.get("state") and new.get("state") == "Failed":
        text = f"{new.get('reason')}: {new.get('message')}"
        yield note("Warning", EventReason.VERIFICATION_FAILED, text)
    if new.get("attempt", 0) > old.get("attempt", 0) and new.get("state") == "Pending":
        text = f"{new.get('reason')}: {new.get('message')}"
        yield note("Warning", EventReason.VERIFICATION_RETRIED, text)
    for text, gate_reason in _gates_answered(before, write.status):
        yield note("Normal" if gate_reason == EventReason.GATE_PASSED else "Warning", gate_reason, text)
    request, known = write.status.get("request") or {}, before.get("request") or {}
    held = request.get("step") in (Step.HELD, Step.AWAITING_APPROVAL)
    if held and (known.get("step"), known.get("reason")) != (request["step"], request.get("reason")):
        text = f"{request.get('reason')}: {request.get('message', '')}"
        yield note("Warning", EventReason.REQUEST_HELD, text)


def _gates_answered(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, EventReason]]:
    """What gates have said since the last status."""
    known = before.get("gates") or ()
    reasons = {"Passed": EventReason.GATE_PASSED, "Skipped": EventReason.GATE_PASSED}
    reasons |= {"Failed": EventReason.GATE_FAILED, "Error": EventReason.GATE_ERROR}
    for line in after.get("gates") or ():
        if line["result"] in reasons and line not in known:
            text = f"gate {line['name']!r} of stage {line['stage']!r}: {line['result']}"
            yield f"{text} ({line.get('reason', '')}): {line.get('message', '')}", reasons[line["result"]]


def _of_approval(world: World, obj: Obj, write: ReplaceStatus) -> Iterator[EventNote]:
    """Told where people look: consent and refusal on the version, what does not count on the Approval itself."""
    (counted,) = write.status["conditions"]
    known: Mapping[str, str] = next(iter((obj.get("status") or {}).get("conditions") or ()), {})
    if (known.get("status"), known.get("reason")) == (counted["status"], counted["reason"]):
        return
    version = world.versions.get(obj["spec"]["version"])
    by, where = write.status.get("by"), f"version {obj['spec']['version']!r} for stage {obj['spec']['stage']!r}"
    if counted["status"] == "False":
        text = f"{counted['reason']}: {counted['message']}"
        yield EventNote("Approval", write.name, write.uid, "Warning", EventReason.APPROVAL_IGNORED, text)
    elif version and counted["reason"] == ApprovalReason.REJECTED:
        text = counted["message"]
        yield EventNote("ModelVersion", version.name, version.uid, "Warning", EventReason.VERSION_REJECTED, text)
    elif version and counted["reason"] == ApprovalReason.COUNTED:
        comment = obj["spec"].get("comment")
        text = f"{by} approved {where}" + (f": {comment}" if comment else "")
        yield EventNote("ModelVersion", version.name, version.uid, "Normal", EventReason.APPROVAL_COUNTED, text)


def _on_model(world: World, kind: Literal["Normal", "Warning"], reason: EventReason, text: str) -> EventNote:
    return EventNote("Model", world.seen.name, world.uid, kind, reason, text)
