"""Does the revision that has just taken a stage keep it?

It is on trial until the stage's AfterTraffic gates have passed, which are asked once every node routes by the switch.
Only then it is good. When one says no, the stage goes back to its last good revision as soon as that one's pods are
ready; where there is none, it serves on, and the Model's Ready condition says so. `stage` asks at every decision.
"""

from dataclasses import replace

from modelyard.decide import progress, rollback, targets
from modelyard.decide.gates import passage
from modelyard.decide.gates.passage import Way
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Cause, Current, Revision, StageState, Step, Undo
from modelyard.decide.targets import Target
from modelyard.decide.world import World


def is_due(stage: StageSpec, cause: Cause) -> bool:
    """Whether a revision that takes the stage this way is on trial: one that was good before is not."""
    return cause in (Cause.PROMOTED, Cause.RECONFIGURED) and bool(stage.gates_at("AfterTraffic"))


def way(world: World, stage: StageSpec, state: StageState) -> Way | None:
    """How far the trial is; None when there is none, or none yet."""
    current = state.current
    version = world.versions.get(current.version) if current else None
    settled = progress.settled_at(state)
    if current is None or version is None or not current.on_trial or stage.suspend:
        return None
    if settled is None or world.now < settled:
        return None
    return passage.after_traffic(world, stage, state, targets.replace_digest(version, current.digest))


def conclude(world: World, stage: StageSpec, state: StageState) -> StageState:
    """End the trial when its gates have answered."""
    found, current = way(world, stage, state), state.current
    if found is None or current is None or (found.standing and not found.ending):
        return state
    revision = state.revision(current.revision)
    assert revision
    if found.is_open:
        return replace(state, current=replace(current, on_trial=False)).with_revision(replace(revision, good=True))
    assert found.ending
    undo = Undo(found.ending.reason, found.ending.message)
    state = replace(state, current=replace(current, on_trial=False, undo=undo))
    return _end_request(world, state, current, undo).with_revision(replace(revision, good=False))


def _end_request(world: World, state: StageState, current: Current, undo: Undo) -> StageState:
    """The request fails with its revision; a changed template that fails is no fault of the version's."""
    request = state.request(current.request_id)
    if request is None or current.cause != Cause.PROMOTED:
        return state
    return state.with_request(request.end(Step.FAILED, undo.reason, undo.message, world.now))


def good_revision(world: World, stage: StageSpec, state: StageState) -> Revision | None:
    """What the stage goes back to; None when it does not go back, or cannot."""
    if state.current is None or state.current.undo is None:
        return None
    return rollback.default_target(world, stage, state)


def undo(world: World, stage: StageSpec, state: StageState) -> Target | None:
    """The last good revision, and how far its pods are."""
    revision = good_revision(world, stage, state)
    if revision is None:
        return None
    target = targets.of_revision(world, stage, state, Cause.UNDONE, revision)
    request = next((r for r in state.open_requests if r.version == revision.version), None)
    return replace(target, request=request)
