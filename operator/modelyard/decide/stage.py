"""Where does one stage's pointer go, and what follows for its requests and revisions?

1. what was switched on or off by hand (suspend, pause) is recorded;
2. Rollbacks are taken in; a request for the very version that serves stands behind the pointer at once; what has just
   taken the stage is tried by its AfterTraffic gates (see `trial`);
3. of all targets (see `targets`) the first that is ready takes the pointer, one that cannot make it ends;
   and again, until nothing moves;
4. a switch is effective when the Service's endpoints are those of the new revision only; nothing that served
   before it is touched earlier;
5. revisions that are no longer needed are let go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from modelyard.api import names
from modelyard.api.reasons import RollbackReason, VersionReason
from modelyard.decide import outbox, progress, requests, rollback, targets, trial
from modelyard.decide.gates.passage import Way
from modelyard.decide.promotion import Promotion
from modelyard.decide.revisions import build
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Cause, Current, Pointed, Revision, StageState, Standing, Step, Transition
from modelyard.decide.targets import Target
from modelyard.decide.verification import Verdict
from modelyard.decide.world import World


@dataclass(frozen=True)
class StageOutcome:
    """A stage as it will be remembered, and what it works on."""

    spec: StageSpec
    state: StageState
    transitions: tuple[Transition, ...] = ()
    targets: tuple[Target, ...] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    ways: Mapping[str, tuple[Way, ...]] = field(default_factory=dict)
    """By version: what its gates are to do and to have on record."""
    given_up: frozenset[str] = frozenset()
    """Revisions that were not going to start."""
    look_again_at: datetime | None = None


def advance(
    world: World,
    stage: StageSpec,
    states: Mapping[str, StageState],
    verdicts: dict[str, Verdict],
    *,
    fresh: bool,
) -> StageOutcome:
    """Decide one stage. `states`: of every stage. `fresh`: nothing was recorded of this Model before."""
    state, history = _switched_by_hand(world, stage, states[stage.name])
    state = rollback.accept(world, stage, state, fresh=fresh)
    given_up: frozenset[str] = frozenset()
    while True:
        state = _bind(world, stage, state, verdicts)
        state = trial.conclude(world, stage, _effective(world, stage, state))
        promotion = Promotion(world, stage, {**states, stage.name: state}, verdicts)
        found = _targets(world, stage, state, promotion)
        given_up |= targets.hashes(target for target in found if target.progress.failed)
        following, transition = _step(world, stage, state, promotion, found)
        if transition:
            history = (*history, transition)
        if following == state:
            break
        state = following
    ways = _ways(promotion, found, trial.way(world, stage, state), state)
    state = _retain(world, stage, state, found)
    state = requests.forget(world, state)
    moments = [target.progress.look_again_at for target in found]
    moments += [way.look_again_at for of_version in ways.values() for way in of_version]
    moments += _moments(world, stage, state)
    return StageOutcome(stage, state, history, found, promotion.standings, ways, given_up, _earliest(moments))


def _ways(
    promotion: Promotion, found: Iterable[Target], tried: Way | None, state: StageState
) -> dict[str, tuple[Way, ...]]:
    """What gates are asked about, by version: requests, a changed template, and what has just taken the stage."""
    ways = dict(promotion.ways)
    more = [(target.revision.version, target.way) for target in found if target.cause == Cause.RECONFIGURED]
    if tried and state.current:
        more.append((state.current.version, tried))
    for version, way in more:
        ways[version] = (*ways.get(version, ()), way)
    return ways


def _switched_by_hand(world: World, stage: StageSpec, state: StageState) -> tuple[StageState, tuple[Transition, ...]]:
    by = (world.model["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_BY, "")
    history: list[Transition] = []
    if stage.suspend != state.suspended:
        cause = Cause.SUSPENDED if stage.suspend else Cause.RESUMED
        history.append(Transition(stage.name, cause, world.now, by=by, to=_pointed(state.current)))
        state = replace(state, suspended=stage.suspend)
    if stage.paused != state.paused:
        cause = Cause.PAUSED if stage.paused else Cause.UNPAUSED
        history.append(Transition(stage.name, cause, world.now, by=by, to=_pointed(state.current)))
        state = replace(state, paused=stage.paused)
    return state, tuple(history)


def _pointed(current: Current | None) -> Pointed | None:
    return Pointed(current.version, current.digest, current.revision) if current else None


def _bind(world: World, stage: StageSpec, state: StageState, verdicts: dict[str, Verdict]) -> StageState:
    """Let the newest open request for the version that serves stand behind the pointer, unless the stage leaves it."""
    current = state.current
    if current is None or state.rollback or trial.good_revision(world, stage, state):
        return state
    same = [r for r in state.open_requests if r.version == current.version and _same_bytes(r.version, state, verdicts)]
    newest = max(same, key=lambda r: r.place, default=None)
    if newest is None or (newest.id == current.request_id and newest.place <= current.place):
        return state
    bound = replace(current, request_id=newest.id, place=max(newest.place, current.place))
    if current.undo:
        # It failed its trial and there was nothing to go back to: asked for anew, it is tried anew.
        bound = replace(bound, undo=None, on_trial=True)
    state = replace(state, current=bound).with_request(replace(newest, served=True))
    revision = state.revision(current.revision)
    if revision:
        state = state.with_revision(replace(revision, request_id=newest.id, place=bound.place))
    return _supersede_below(world, state, bound)


def _same_bytes(version: str, state: StageState, verdicts: dict[str, Verdict]) -> bool:
    verdict = verdicts.get(version)
    return bool(verdict and verdict.passed and state.current and verdict.digest == state.current.digest)


def _targets(world: World, stage: StageSpec, state: StageState, promotion: Promotion) -> tuple[Target, ...]:
    found: list[Target | None] = [*promotion.targets, rollback.target(world, stage, state)]
    if state.rollback is None:
        found.append(trial.undo(world, stage, state))
    if state.rollback is None and not stage.paused:
        found.append(targets.successor(world, stage, state))
        found.append(targets.reconfigured(world, stage, state))
    return tuple(_unless_unrecorded(world, target) for target in found if target)


def _unless_unrecorded(world: World, target: Target) -> Target:
    """A target that is ready waits while there is no room to record that the stage moved."""
    held = outbox.hold(world, target.cause) if target.may_take_over else None
    return replace(target, way=replace(target.way, standing=held)) if held else target


def _step(
    world: World, stage: StageSpec, state: StageState, promotion: Promotion, found: Iterable[Target]
) -> tuple[StageState, Transition | None]:
    """End what cannot make it, or else move the pointer to the first target that is ready."""
    for request in promotion.failed:
        state = state.with_request(request)
    if promotion.failed:
        return state, None
    for target in found:
        if target.failed:
            return _give_up(world, stage, state, target, target.failed), None
    for target in found:
        if target.may_take_over:
            return _move(world, stage, state, target)
    return state, None


def _give_up(world: World, stage: StageSpec, state: StageState, target: Target, why: Standing) -> StageState:
    if target.cause == Cause.ROLLED_BACK:
        return rollback.target_failed(world, stage, state, target)
    if target.cause in (Cause.SUCCEEDED, Cause.UNDONE):
        # It was good and cannot be started any more: the next good one is asked.
        return state.with_revision(replace(target.revision, good=False))
    if target.cause == Cause.RECONFIGURED:
        assert state.current
        held = replace(
            state.current,
            held_revision=target.revision.hash,
            held_reason=why.reason,
            held_message=why.message,
        )
        return replace(state, current=held)
    assert target.request
    return state.with_request(target.request.end(why.step, why.reason, why.message, world.now))


def _move(world: World, stage: StageSpec, state: StageState, target: Target) -> tuple[StageState, Transition]:
    """Point the stage at a ready target: the one place where a pointer changes."""
    previous = state.current
    pending = state.rollback
    sequence = state.sequence + 1
    request = target.request
    place = request.place if request else target.revision.place
    rolled_back = target.cause == Cause.ROLLED_BACK
    back = rolled_back or target.cause == Cause.UNDONE
    on_trial = trial.is_due(stage, target.cause)
    by = pending.by if rolled_back and pending else (request.requested_by if request else "")
    current = Current(
        version=target.revision.version,
        digest=target.revision.digest,
        revision=target.revision.hash,
        place=place,
        sequence=sequence,
        since=world.now,
        request_id=request.id if request and request.is_open else "",
        by=by,
        cause=target.cause.value,
        replaced=_identity(state, previous),
        on_trial=on_trial,
    )
    if back:
        current = _held_back(world, stage, current, target, previous)
    transition = Transition(
        stage=stage.name,
        type=target.cause.value,
        at=world.now,
        sequence=sequence,
        from_=_pointed(previous),
        to=_pointed(current),
        by=by,
        reason=_why(state, target),
        ticket=pending.ticket if rolled_back and pending else "",
        requested_at=pending.accepted_at if rolled_back and pending else (request.requested_at if request else None),
    )
    state = _retire(world, stage, state, target)
    if rolled_back:
        state = rollback.finish(
            world, state, "Applied", RollbackReason.APPLIED, f"stage {stage.name!r} serves it", current.version
        )
    elif pending and place > pending.place:
        text = f"version {current.version!r}, asked for later, was ready first"
        state = rollback.finish(world, state, "Refused", RollbackReason.SUPERSEDED, text)
    taken = replace(
        target.revision,
        place=place,
        request_id=current.request_id,
        sequence=sequence,
        good=not on_trial,
        served_from=world.now,
        served_until=None,
        warm_until=None,
    )
    state = replace(state, current=current, sequence=sequence).with_revision(taken)
    if request and request.is_open:
        state = state.with_request(replace(request, served=True))
    return _supersede_below(world, state, current), transition


def _why(state: StageState, target: Target) -> str:
    """The reason that goes into the history: a person's own words, or what a gate said."""
    if target.cause == Cause.ROLLED_BACK and state.rollback:
        return state.rollback.reason
    if target.cause == Cause.UNDONE and state.current and state.current.undo:
        return state.current.undo.message
    return target.request.reason if target.request else ""


def _identity(state: StageState, current: Current | None) -> Revision | None:
    """The revision that a pointer names, as far as it is compared with."""
    known = state.revision(current.revision) if current else None
    return Revision(known.hash, known.version, known.digest, known.uri) if known else None


def _held_back(world: World, stage: StageSpec, current: Current, target: Target, previous: Current | None) -> Current:
    """The pointer after going back, which is whole: what the present template makes of the version is not applied."""
    version = world.versions.get(target.revision.version)
    if version is None:
        return current
    built = build(world, stage, targets.replace_digest(version, target.revision.digest))
    if built.revision.hash == target.revision.hash:
        return current
    held = replace(current, held_revision=built.revision.hash, held_reason=VersionReason.ROLLED_BACK.value)
    if previous and previous.undo and previous.revision == built.revision.hash:
        held = replace(held, held_reason=previous.undo.reason, held_message=previous.undo.message)
    return held


def _retire(world: World, stage: StageSpec, state: StageState, target: Target) -> StageState:
    """The revision that is replaced: it stays good and warm, unless it is what one goes back from."""
    previous = state.revision(state.current.revision) if state.current else None
    if previous is None:
        return state
    forward = target.cause in (Cause.PROMOTED, Cause.RECONFIGURED)
    warm_until = world.now + stage.serving.keep_warm_for if forward and stage.serving else None
    retired = replace(previous, good=forward and previous.good, served_until=world.now, warm_until=warm_until)
    return state.with_revision(retired)


def _supersede_below(world: World, state: StageState, current: Current) -> StageState:
    """End the requests below the pointer that never served; those that did stand by."""
    text = f"version {current.version!r}, asked for later, took the stage first"
    for request in state.open_requests:
        if request.place < current.place and not request.served:
            ended = request.end(Step.SUPERSEDED, VersionReason.SUPERSEDED, text, world.now)
            state = state.with_request(ended)
    return state


def _effective(world: World, stage: StageSpec, state: StageState) -> StageState:
    current = state.current
    if current is None or current.effective_since or not _routed(world, stage, current):
        return state
    return replace(state, current=replace(current, effective_since=world.now))


def _routed(world: World, stage: StageSpec, current: Current) -> bool:
    """Whether the Service's endpoints are ready pods of the current revision and of no other."""
    if stage.serving is None or stage.suspend:
        return True
    return progress.is_reached(world, stage, stage.serving.service_name, current.revision)


def _retain(world: World, stage: StageSpec, state: StageState, found: Iterable[Target]) -> StageState:
    """Let go of revisions beyond the history limit and of those that are not good, once nothing routes to them."""
    released = progress.released_at(world, state)
    if state.current is None or released is None or world.now < released:
        return state
    busy = targets.hashes(found) | {state.current.revision}
    if state.rollback:
        busy |= {state.rollback.target}
    if state.current.on_trial and state.current.replaced:
        busy |= {state.current.replaced.hash}
    good = [r for r in state.revisions if r.good and r.hash not in busy]
    good = sorted(good, key=lambda r: -r.sequence)[: stage.history_limit]
    keep = busy | {r.hash for r in good}
    proven = {r.version for r in state.revisions if r.good}
    state = replace(state, revisions=tuple(r for r in state.revisions if r.hash in keep))
    versions = {r.version for r in state.revisions}
    for request in state.open_requests:
        if request.served and request.version not in versions:
            text = f"its revision is no longer kept (revisionHistoryLimit {stage.history_limit})"
            if request.version not in proven:
                text = "it was replaced before its gates in traffic (AfterTraffic) had passed; nothing goes back to it"
            ended = request.end(Step.SUPERSEDED, VersionReason.SUPERSEDED, text, world.now)
            state = state.with_request(ended)
    return state


def _moments(world: World, stage: StageSpec, state: StageState) -> list[datetime | None]:
    """When time alone changes something: the settling, the end of warmth, the restart of warm pods."""
    moments: list[datetime | None] = [progress.settled_at(state), progress.released_at(world, state)]
    moments += [revision.warm_until for revision in state.revisions]
    if state.current and state.current.effective_since and stage.serving:
        moments.append(world.end_of(stage.serving.drain_period, state.current.effective_since))
    return [moment for moment in moments if moment and moment > world.now]


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)
