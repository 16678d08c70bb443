"""Which Rollback is to be carried out, to which revision, and what does it end?

A Rollback acts once, by its uid: its acceptance is remembered in the Model's state in the same write that ends
the requests placed before it. What becomes of its own status, or of the object, changes nothing after that.
"""

from dataclasses import replace

from modelyard.api import names
from modelyard.api.codec import parse_time
from modelyard.api.reasons import RollbackReason, VersionReason
from modelyard.decide import approvals, targets
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import (
    ROLLBACKS_KEPT,
    Cause,
    HandledRollback,
    PendingRollback,
    Revision,
    StageState,
    Step,
)
from modelyard.decide.targets import Target
from modelyard.decide.world import World


def accept(world: World, stage: StageSpec, state: StageState, *, fresh: bool) -> StageState:
    """Take in the Rollbacks of this stage that were not handled yet, oldest first.

    `fresh`: the Model had no recorded state, so every Rollback there is predates what is known.
    """
    handled = {h.uid for h in state.handled_rollbacks}
    pending = state.rollback.uid if state.rollback else None
    for obj in sorted(world.seen.rollbacks, key=_age):
        uid = obj["metadata"]["uid"]
        if obj["spec"]["stage"] != stage.name or uid in handled or uid == pending or is_final(obj):
            continue
        if fresh or obj["metadata"]["name"] in state.recalled_rollbacks or _forgotten(state, obj):
            text = "it is older than the state recorded of this Model; create a new Rollback if it is still wanted"
            state = _refuse(world, state, obj, RollbackReason.PREDATES_STATE, text)
        else:
            state = _accept(world, stage, state, obj)
    return state


def is_final(obj: Obj) -> bool:
    """Whether a Rollback says itself that it was handled."""
    return (obj.get("status") or {}).get("outcome") in ("Applied", "Refused")


def _forgotten(state: StageState, obj: Obj) -> bool:
    """Whether a Rollback is older than all that are remembered: it was handled, or is older than what is known."""
    times = [entry.at for entry in state.handled_rollbacks if entry.at]
    full = len(state.handled_rollbacks) >= ROLLBACKS_KEPT
    return full and parse_time(obj["metadata"]["creationTimestamp"]) < min(times)


def _age(obj: Obj) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["uid"]


def _accept(world: World, stage: StageSpec, state: StageState, obj: Obj) -> StageState:
    spec = obj["spec"]
    wanted = spec.get("toVersion")
    if state.current is None:
        return _refuse(world, state, obj, RollbackReason.NO_TARGET, f"stage {stage.name!r} carries no version")
    if wanted == state.current.version:
        text = f"version {wanted!r} carries stage {stage.name!r} already"
        return _refuse(world, state, obj, RollbackReason.ALREADY_SERVING, text)
    target = default_target(world, stage, state) if wanted is None else _named(world, stage, state, wanted)
    if target is None and wanted is None:
        text = f"no good version was served at stage {stage.name!r} before version {state.current.version!r}"
        return _refuse(world, state, obj, RollbackReason.NO_TARGET, text)
    if target is None:
        good = sorted({r.version for r in state.revisions if r.good and kept_beside(state, r)})
        text = (
            f"version {wanted!r} was never good at stage {stage.name!r}, was rolled back, or is no longer kept "
            f"(revisionHistoryLimit); eligible: {', '.join(good) or 'none'}"
        )
        return _refuse(world, state, obj, RollbackReason.NOT_ELIGIBLE, text)
    place = state.last_place + 1
    pending = PendingRollback(
        uid=obj["metadata"]["uid"],
        name=obj["metadata"]["name"],
        place=place,
        target=target.hash,
        accepted_at=world.now,
        explicit=wanted is not None,
        by=(obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_BY, ""),
        reason=str(spec.get("reason", "")),
        ticket=str(spec.get("ticket", "")),
    )
    left = {request.version for request in state.open_requests} | {state.current.version}
    state = _supersede(world, state)
    created = parse_time(obj["metadata"]["creationTimestamp"])
    state = approvals.void(state, left - {target.version}, max(world.now, created), Step.ROLLED_BACK)
    state = _end_requests(world, replace(state, last_place=place), target, pending)
    return replace(state, rollback=pending)


def kept_beside(state: StageState, revision: Revision) -> bool:
    """Whether a revision is another than the current one."""
    return state.current is None or revision.hash != state.current.revision


def _end_requests(world: World, state: StageState, target: Revision, pending: PendingRollback) -> StageState:
    """End every request placed before the Rollback but its target's."""
    text = f"Rollback {pending.name!r} went back to version {target.version!r}: {pending.reason}"
    for request in state.open_requests:
        if request.version != target.version:
            ended = request.end(Step.ROLLED_BACK, VersionReason.ROLLED_BACK, text, world.now)
            state = state.with_request(ended)
    return state


def default_target(world: World, stage: StageSpec, state: StageState, without: tuple[str, ...] = ()) -> Revision | None:
    """The good revision placed last before the incumbent; of one version, the one that served last."""
    current = state.current
    if current is None:
        return None
    candidates = [
        revision
        for revision in state.revisions
        if revision.good
        and revision.hash != current.revision
        and revision.hash not in without
        and (revision.place, revision.sequence) < (current.place, current.sequence)
        and targets.kept(world, stage, revision)
    ]
    return max(candidates, key=lambda r: (r.place, r.sequence), default=None)


def _named(world: World, stage: StageSpec, state: StageState, version: str) -> Revision | None:
    candidates = [r for r in state.revisions if r.good and r.version == version and targets.kept(world, stage, r)]
    return max(candidates, key=lambda r: r.sequence, default=None)


def target(world: World, stage: StageSpec, state: StageState) -> Target | None:
    """What the accepted Rollback goes back to, and how far that is."""
    if state.rollback is None:
        return None
    revision = state.revision(state.rollback.target)
    if revision is None:
        return None
    found = targets.of_revision(world, stage, state, Cause.ROLLED_BACK, revision)
    request = next((r for r in state.open_requests if r.version == revision.version), None)
    return replace(found, request=request)


def target_failed(world: World, stage: StageSpec, state: StageState, failed: Target) -> StageState:
    """A target that cannot be started gives way to the next good one, unless it was named."""
    pending = state.rollback
    assert pending is not None
    tried = (*pending.failed, failed.revision.hash)
    following = None if pending.explicit else default_target(world, stage, state, without=tried)
    if following is None:
        text = f"version {failed.revision.version!r} could not be started: {failed.progress.message}"
        return finish(world, state, "Refused", RollbackReason.TARGET_FAILED, text)
    return replace(state, rollback=replace(pending, target=following.hash, failed=tried))


def _supersede(world: World, state: StageState) -> StageState:
    if state.rollback is None:
        return state
    return finish(world, state, "Refused", RollbackReason.SUPERSEDED, "a later Rollback or promotion took its turn")


def finish(
    world: World, state: StageState, outcome: str, reason: RollbackReason, message: str, to_version: str = ""
) -> StageState:
    """Close the accepted Rollback."""
    pending = state.rollback
    if pending is None:
        return state
    entry = HandledRollback(
        uid=pending.uid,
        outcome=outcome,
        reason=reason.value,
        message=message,
        from_version=state.current.version if state.current else "",
        to_version=to_version,
        sequence=state.sequence + 1 if outcome == "Applied" else 0,
        at=world.now,
    )
    return replace(state, rollback=None, handled_rollbacks=(*state.handled_rollbacks, entry)[-ROLLBACKS_KEPT:])


def _refuse(world: World, state: StageState, obj: Obj, reason: RollbackReason, message: str) -> StageState:
    entry = HandledRollback(
        uid=obj["metadata"]["uid"], outcome="Refused", reason=reason.value, message=message, at=world.now
    )
    return replace(state, handled_rollbacks=(*state.handled_rollbacks, entry)[-ROLLBACKS_KEPT:])
