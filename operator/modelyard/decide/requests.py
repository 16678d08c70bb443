"""Who asks for a stage, and in which order?

A request is known by its identity (the object's uid and generation, or the annotation modelyard.dev/request) and
gets its place in the stage's order when first seen. What is no longer asked for is Withdrawn; what ended stays
ended until it is asked for anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard.api import names
from modelyard.api.codec import parse_time
from modelyard.api.ordering import natural_key
from modelyard.api.reasons import VersionReason
from modelyard.decide import outbox, recovery
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import ENDED, ENDED_REQUESTS_KEPT, OPEN_REQUESTS_KEPT, Request, StageState, Step
from modelyard.decide.versions import Version, is_older, is_retried
from modelyard.decide.world import World
from modelyard.ledger.records import ASKED_ANEW

IN_VAIN = frozenset({Step.FAILED, Step.REJECTED, Step.ROLLED_BACK})
"""Ends of a request whose wish still stands: its object asks for what does not come about."""


@dataclass(frozen=True)
class Wish:
    """What an object asks for now."""

    request: Request
    created: datetime
    at_creation: bool
    recorded_step: str = ""
    """What the version's status says of this very request, when the Model's state does not know it."""

    def is_of(self, request: Request) -> bool:
        """Whether a remembered request is this wish."""
        mine = self.request
        if mine.source != request.source:
            return False
        if is_retried(request.ended, request.retry, mine.retry):
            return False
        if mine.source == "Model":
            return mine.version == request.version and _nonce(mine) == _nonce(request)
        # Taking the annotation away asks for nothing new.
        same = (mine.uid, mine.generation) == (request.uid, request.generation)
        return same and (_nonce(mine) in ("", _nonce(request)))


def _nonce(request: Request) -> str:
    return request.id.partition("/")[2].partition("/")[2]


def wishes(world: World, stage: StageSpec) -> tuple[Wish, ...]:
    """What is asked of a stage now: by the Model's own line alone where it has one, else by the versions."""
    if stage.version is not None:
        return (_line_wish(world, stage, stage.version),)
    return tuple(_version_wish(v) for v in world.versions.values() if v.stage == stage.name)


def _line_wish(world: World, stage: StageSpec, version: str) -> Wish:
    metadata = world.model["metadata"]
    annotations = metadata.get("annotations") or {}
    generation = int(metadata.get("generation", 1))
    named = world.versions.get(version)
    nonce = annotations.get(names.ANNOTATION_REQUEST, "")
    request = Request(
        id=f"{world.uid}/{generation}" + (f"/{nonce}" if nonce else ""),
        version=version,
        place=0,
        source="Model",
        uid=world.uid,
        generation=generation,
        requested_by=annotations.get(names.ANNOTATION_REQUESTED_BY, ""),
        requested_at=world.now,
        reason=annotations.get(names.ANNOTATION_REASON, ""),
        retry=named.retry if named else "",
        retried_by=named.retried_by if named else "",
    )
    # The line is an edit of its own even when the Model is created with it: it says what it wants.
    return Wish(request, created=parse_time(metadata["creationTimestamp"]), at_creation=False)


def _version_wish(version: Version) -> Wish:
    recorded = version.recorded_request if version.recorded_request.get("id") == version.request_id else {}
    if recorded.get("step") in ENDED and not version.has_ended:
        recorded = {}  # it failed, and somebody asks for another attempt
    request = Request(
        id=version.request_id,
        version=version.version,
        place=int(recorded.get("place") or 0),
        uid=version.uid,
        generation=version.generation,
        requested_by=version.annotations.get(names.ANNOTATION_REQUESTED_BY, ""),
        requested_at=version.requested_at,
        reason=version.annotations.get(names.ANNOTATION_REASON, ""),
        served=recorded.get("step") in (Step.SERVING, Step.STANDING_BY),
        retry=version.retry,
        retried_by=version.retried_by,
    )
    step = str(recorded.get("step", ""))
    return Wish(request, version.created, version.asked_at_creation, recorded_step=step)


def register(world: World, stage: StageSpec, state: StageState) -> StageState:
    """Withdraw what is no longer asked for and give new requests their places."""
    asked = wishes(world, stage)
    state = _explain(_withdraw(world, stage, state, asked), asked)
    new = _unknown(state, asked)
    if new and not recovery.asks_ledger(world):
        state = _place(world, state, _claim(world, state, new))
    return _bound(world, state)


def _claim(world: World, state: StageState, new: Iterable[Wish]) -> list[Wish]:
    """The same wishes; what the ledger knows of one from another life of the cluster holds for it."""
    known = ((wish, recovery.claimed(world, state, wish.request)) for wish in new)
    return [wish if found is None else replace(wish, request=found) for wish, found in known]


def unplaced(world: World, stage: StageSpec, state: StageState) -> bool:
    """Whether requests still wait for their place: thousands first seen together get theirs in lots."""
    return bool(_unknown(state, wishes(world, stage)))


def _unknown(state: StageState, asked: Iterable[Wish]) -> list[Wish]:
    known: dict[tuple[str, str], list[Request]] = {}
    for request in state.requests:
        known.setdefault((request.source, request.uid), []).append(request)
    return [wish for wish in asked if not _is_known(known.get((wish.request.source, wish.request.uid), ()), wish)]


def _withdraw(world: World, stage: StageSpec, state: StageState, asked: Iterable[Wish]) -> StageState:
    by_object: dict[tuple[str, str], Wish] = {(wish.request.source, wish.request.uid): wish for wish in asked}
    for request in state.open_requests:
        wish = by_object.get((request.source, request.uid))
        if wish is None or not wish.is_of(request):
            message = _why_withdrawn(world, stage, request)
            ended = request.end(Step.WITHDRAWN, VersionReason.WITHDRAWN, message, world.now)
            state = state.with_request(ended)
    return state


def _explain(state: StageState, asked: Iterable[Wish]) -> StageState:
    """Take over what is added to a request after it was made: a reason, which it may wait for, or a retry."""
    given = {(wish.request.source, wish.request.uid): wish.request for wish in asked}
    for request in state.open_requests:
        wish = given.get((request.source, request.uid))
        if wish is None:
            continue
        told = replace(request, reason=request.reason or wish.reason)
        if wish.retry:
            told = replace(told, retry=wish.retry, retried_by=wish.retried_by)
        if told != request:
            state = state.with_request(told)
    return state


def _why_withdrawn(world: World, stage: StageSpec, request: Request) -> str:
    if request.source == "ModelVersion" and stage.version is not None:
        return f"the Model names version {stage.version!r} for stage {stage.name!r} itself"
    if request.source == "Model":
        return f"the Model no longer names version {request.version!r} for stage {stage.name!r}"
    version = world.versions.get(request.version)
    if version is None or version.uid != request.uid:
        return "the ModelVersion was deleted"
    if version.generation == request.generation:
        return ASKED_ANEW
    return f"spec.stage was changed to {version.stage or 'none'!r}"


def _is_known(remembered: Iterable[Request], wish: Wish) -> bool:
    """Whether a wish has been placed, or has ended, before. `remembered`: the requests of the same object."""
    if wish.recorded_step in ENDED:
        return True
    if wish.request.source == "Model":
        # The Model's line, changed and changed back or taken out in between, asks anew: only its last request counts.
        last = max(remembered, key=lambda request: request.place, default=None)
        return last is not None and last.ended != Step.WITHDRAWN and wish.is_of(last)
    return any(wish.is_of(request) for request in remembered)


def _place(world: World, state: StageState, new: list[Wish]) -> StageState:
    """Place new requests behind all others; on a stage that never served, order all of them by version."""
    # Both in an order that does not depend on which object became known first.
    returning = [wish for wish in new if wish.request.place or wish.request.ended]
    returning.sort(key=lambda w: (w.request.place, w.request.id))
    fresh = [wish for wish in new if not (wish.request.place or wish.request.ended)]
    fresh.sort(key=lambda w: _order(w.request, w.created))
    fresh = fresh[:OPEN_REQUESTS_KEPT]
    anew = {wish.request.id for wish in new}  # a retried request keeps its identity, and gets a new place
    requests = [r for r in state.requests if r.id not in anew]
    requests += [wish.request for wish in returning]
    last = max([state.last_place, *(r.place for r in requests), *_places_told(world, state)])
    for wish in fresh:
        last += 1
        requests.append(_placed(world, state, wish, last))
    if state.current is None and state.sequence == 0:
        requests = _reordered(world, requests)
    return replace(state, requests=tuple(requests), last_place=last)


def _places_told(world: World, state: StageState) -> Iterable[int]:
    """Places that versions have on record; higher than what is remembered when the Model's status was lost."""
    told = (version.recorded_request for version in world.versions.values())
    return (int(request.get("place", 0)) for request in told if request.get("stage") == state.name)


def _placed(world: World, state: StageState, wish: Wish, place: int) -> Request:
    request = replace(wish.request, place=place)
    current = state.current
    if current and wish.at_creation and is_older(request.version, than=current.version):
        message = (
            f"version {current.version!r} serves and is higher; to serve this one all the same, set the annotation "
            f"{names.ANNOTATION_REQUEST} to a new value"
        )
        return request.end(Step.SUPERSEDED, VersionReason.OLDER_THAN_CURRENT, message, world.now)
    return request


def _reordered(world: World, requests: list[Request]) -> list[Request]:
    places = sorted(r.place for r in requests if r.is_open)
    created = {v.version: v.created for v in world.versions.values()}
    waiting = sorted((r for r in requests if r.is_open), key=lambda r: _order(r, created.get(r.version, world.now)))
    ended = [r for r in requests if not r.is_open]
    return [*ended, *(replace(r, place=place) for r, place in zip(waiting, places, strict=True))]


def _order(request: Request, created: datetime) -> tuple[tuple[tuple[int, int, str], ...], datetime, str]:
    return natural_key(request.version), created, request.id


def _bound(world: World, state: StageState) -> StageState:
    """Keep the memory of a stage bounded: see the constants in `state`."""
    surplus = [r for r in state.open_requests if not r.served]
    surplus = sorted(surplus, key=lambda r: -r.place)[OPEN_REQUESTS_KEPT:]
    message = f"more than {OPEN_REQUESTS_KEPT} requests were open at this stage; set modelyard.dev/request to ask anew"
    for request in surplus:
        ended = request.end(Step.SUPERSEDED, VersionReason.SUPERSEDED, message, world.now)
        state = state.with_request(ended)
    return state


def forget(world: World, state: StageState) -> StageState:
    """Forget ended requests whose end the version's own status has on record, but for the newest few."""
    ended = sorted((r for r in state.requests if not r.is_open), key=lambda r: -r.place)
    kept = {r.id for r in ended[:ENDED_REQUESTS_KEPT]}
    line = next((r.id for r in ended if r.source == "Model"), None)
    behind = state.current.request_id if state.current else None

    def is_needed(request: Request) -> bool:
        if request.is_open or request.id in kept or request.id in (line, behind):
            return True
        if outbox.keeps(world, request.ended, request.recorded):
            return True
        version = world.versions.get(request.version)
        if version is None or version.uid != request.uid:
            return False
        return version.request_id == request.id and not _is_told(version, request)

    return replace(state, requests=tuple(r for r in state.requests if is_needed(r)))


def _is_told(version: Version, request: Request) -> bool:
    """Whether the version's status has on record all there will ever be to tell of an ended request."""
    recorded = version.recorded_request
    return recorded.get("step") in ENDED and (request.ended not in IN_VAIN or "overtakenBy" in recorded)


def following(state: StageState, place: int) -> Request | None:
    """The request made next after that place, if any was; one that was turned away as too old does not count."""
    later = [r for r in state.requests if r.place > place and r.ended_reason != VersionReason.OLDER_THAN_CURRENT]
    return min(later, key=lambda r: r.place, default=None)
