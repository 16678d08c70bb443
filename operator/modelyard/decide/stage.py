"""Where does one stage's pointer go, and what follows for its requests and revisions?

1. what was switched on or off by hand (suspend, pause) is recorded;
2. Rollbacks are taken in; a request for the very version that serves stands behind the pointer at once;
3. of all targets (see `targets`) the first that is ready takes the pointer, one that cannot make it ends;
   and again, until nothing moves;
4. a switch is effective when the Service's endpoints are those of the new revision only; nothing that served
   before it is touched earlier;
5. revisions that are no longer needed are let go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelyard.api import names
from modelyard.api.reasons import RollbackReason, VersionReason
from modelyard.decide import requests, rollback, targets
from modelyard.decide.revisions import build
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Cause, Current, Pointed, StageState, Step, Transition
from modelyard.decide.targets import Promotion, Standing, Target
from modelyard.decide.verification import Verdict
from modelyard.decide.world import World

SETTLE = timedelta(seconds=5)
"""From the endpoints' change until every node routes by them: kube-proxy syncs at most once a second."""


@dataclass(frozen=True)
class StageOutcome:
    """A stage as it will be remembered, and what it works on."""

    spec: StageSpec
    state: StageState
    transitions: tuple[Transition, ...] = ()
    targets: tuple[Target, ...] = ()
    standings: Mapping[str, Standing] | None = None
    look_again_at: datetime | None = None


def advance(
    world: World, stage: StageSpec, state: StageState, verdicts: dict[str, Verdict], *, fresh: bool
) -> StageOutcome:
    """Decide one stage. `fresh`: nothing was recorded of this Model before."""
    state, history = _switched_by_hand(world, stage, state)
    state = rollback.accept(world, stage, state, fresh=fresh)
    while True:
        state = _bind(world, state, verdicts)
        promotion = Promotion(world, stage, state, verdicts)
        found = _targets(world, stage, state, promotion)
        following, transition = _step(world, stage, state, promotion, found)
        if transition:
            history = (*history, transition)
        if following == state:
            break
        state = following
    state = _effective(world, stage, state)
    state = _retain(world, stage, state, found)
    state = requests.forget(world, state)
    moments = [target.progress.look_again_at for target in found]
    return StageOutcome(
        stage, state, history, found, promotion.standings, _earliest([*moments, *_moments(world, stage, state)])
    )


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


def _bind(world: World, state: StageState, verdicts: dict[str, Verdict]) -> StageState:
    """Let the newest open request for the version that serves stand behind the pointer."""
    current = state.current
    if current is None:
        return state
    same = [r for r in state.open_requests if r.version == current.version and _same_bytes(r.version, state, verdicts)]
    newest = max(same, key=lambda r: r.place, default=None)
    if newest is None or newest.id == current.request_id:
        return state
    bound = replace(current, request_id=newest.id, place=max(newest.place, current.place))
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
    if state.rollback is None and not stage.paused:
        found.append(targets.successor(world, stage, state))
        found.append(targets.reconfigured(world, stage, state))
    return tuple(target for target in found if target)


def _step(
    world: World, stage: StageSpec, state: StageState, promotion: Promotion, found: Iterable[Target]
) -> tuple[StageState, Transition | None]:
    """End what cannot make it, or else move the pointer to the first target that is ready."""
    for request in promotion.failed:
        state = state.with_request(request)
    if promotion.failed:
        return state, None
    for target in found:
        if target.progress.failed:
            return _give_up(world, stage, state, target), None
    for target in found:
        if target.progress.ready:
            return _move(world, stage, state, target)
    return state, None


def _give_up(world: World, stage: StageSpec, state: StageState, target: Target) -> StageState:
    why = target.progress
    if target.cause == Cause.ROLLED_BACK:
        return rollback.target_failed(world, stage, state, target)
    if target.cause == Cause.SUCCEEDED:
        # It was good and cannot be started any more: the next good one is asked.
        return state.with_revision(replace(target.revision, good=False))
    if target.cause == Cause.RECONFIGURED:
        assert state.current
        held = replace(
            state.current,
            held_revision=target.revision.hash,
            held_reason=str(why.reason),
            held_message=why.message,
        )
        return replace(state, current=held)
    assert target.request
    return state.with_request(target.request.end(Step.FAILED, why.reason, why.message, world.now))


def _move(world: World, stage: StageSpec, state: StageState, target: Target) -> tuple[StageState, Transition]:
    """Point the stage at a ready target: the one place where a pointer changes."""
    previous = state.current
    pending = state.rollback
    sequence = state.sequence + 1
    request = target.request
    place = request.place if request else target.revision.place
    rolled_back = target.cause == Cause.ROLLED_BACK
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
        held_revision=_held_revision(world, stage, target) if rolled_back else "",
        held_reason=VersionReason.ROLLED_BACK.value if rolled_back else "",
    )
    transition = Transition(
        stage=stage.name,
        type=target.cause.value,
        at=world.now,
        sequence=sequence,
        from_=_pointed(previous),
        to=_pointed(current),
        by=by,
        reason=pending.reason if rolled_back and pending else (request.reason if request else ""),
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
        good=True,
        served_from=world.now,
        served_until=None,
        warm_until=None,
    )
    state = replace(state, current=current, sequence=sequence).with_revision(taken)
    if request and request.is_open:
        state = state.with_request(replace(request, served=True))
    return _supersede_below(world, state, current), transition


def _held_revision(world: World, stage: StageSpec, target: Target) -> str:
    """What the present template makes of a rolled-back-to version; a rollback is whole, so it is not applied."""
    version = world.versions.get(target.revision.version)
    if version is None:
        return ""
    built = build(world, stage, targets.replace_digest(version, target.revision.digest))
    return "" if built.revision.hash == target.revision.hash else built.revision.hash


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
    """Whether the Service's EndpointSlices hold ready pods of the current revision and of no other."""
    if stage.serving is None or stage.suspend:
        return True
    service = world.seen.services.get(stage.serving.service_name)
    if service is None or service["spec"]["selector"].get(names.LABEL_REVISION) != current.revision:
        return False
    ours = {pod["metadata"]["name"] for pod in world.pods_of(stage, current.revision)}
    ready = 0
    for piece in world.seen.endpointslices:
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != stage.serving.service_name:
            continue
        for endpoint in piece.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready") is False:
                continue
            if (endpoint.get("targetRef") or {}).get("name") not in ours:
                return False
            ready += 1
    return ready > 0


def settled_at(state: StageState) -> datetime | None:
    """From when what served before may be touched; None while the switch is not effective."""
    if state.current is None or state.current.effective_since is None:
        return None
    return state.current.effective_since + SETTLE


def _retain(world: World, stage: StageSpec, state: StageState, found: Iterable[Target]) -> StageState:
    """Let go of revisions beyond the history limit and of those that are not good, once nothing routes to them."""
    settled = settled_at(state)
    if state.current is None or settled is None or world.now < settled:
        return state
    busy = targets.hashes(found) | {state.current.revision}
    if state.rollback:
        busy |= {state.rollback.target}
    good = [r for r in state.revisions if r.good and r.hash not in busy]
    good = sorted(good, key=lambda r: -r.sequence)[: stage.history_limit]
    keep = busy | {r.hash for r in good}
    state = replace(state, revisions=tuple(r for r in state.revisions if r.hash in keep))
    versions = {r.version for r in state.revisions}
    for request in state.open_requests:
        if request.served and request.version not in versions:
            text = f"its revision is no longer kept (revisionHistoryLimit {stage.history_limit})"
            ended = request.end(Step.SUPERSEDED, VersionReason.SUPERSEDED, text, world.now)
            state = state.with_request(ended)
    return state


def _moments(world: World, stage: StageSpec, state: StageState) -> list[datetime | None]:
    """When time alone changes something: the settling, the end of warmth, the restart of warm pods."""
    moments: list[datetime | None] = [settled_at(state)]
    moments += [revision.warm_until for revision in state.revisions]
    if state.current and state.current.effective_since and stage.serving:
        moments.append(state.current.effective_since + stage.serving.drain_period)
    return [moment for moment in moments if moment and moment > world.now]


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)
