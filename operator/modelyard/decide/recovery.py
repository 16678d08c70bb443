"""What is known of a Model whose status is lost, or older than what happened?

    the stages' Services and ConfigMaps    their state as of the last move of the pointer, if they are there
    the ledger                             all that happened, if one is configured

The highest sequence wins. Until the ledger was read nothing is decided, so nothing moves and what serves serves on.
What moved no pointer since is told by the versions and Rollbacks themselves: how a request ended, what was handled.
Requests recorded in the cluster keep their places and ends. In another cluster all objects are new, and their requests
are known by their versions: what had ended there is placed as ended here (`claimed`), so nothing that was rolled back
comes back, whenever its manifest arrives.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelyard.api import codec, names
from modelyard.api.reasons import RollbackReason, VersionReason
from modelyard.decide import rollback
from modelyard.decide.snapshot import Obj
from modelyard.decide.state import (
    ROLLBACKS_KEPT,
    TRANSITIONS_BESIDE_LEDGER,
    VOIDED_KEPT,
    Current,
    HandledRollback,
    LedgerState,
    ModelState,
    Pointed,
    Request,
    Revision,
    StageState,
    Step,
    Transition,
    Voided,
)
from modelyard.decide.world import World
from modelyard.ledger.memory import Fate, Memory, Served, StageMemory
from modelyard.ledger.records import START, Record

_OVERRULED = frozenset({Step.ROLLED_BACK, Step.REJECTED})


def is_unknown(world: World, state: ModelState) -> bool:
    """Whether there may be more to know than there is in the cluster: nothing is decided until the ledger was read."""
    return world.seen.ledger is not None and not state.stages and world.seen.ledger.memory is None


def recover(world: World, state: ModelState) -> ModelState | None:
    """The state with what others know better; None when its own is all there is to know."""
    memory = world.seen.ledger.memory if world.seen.ledger else None
    ahead = _ahead(memory, state) if memory else {}
    if state.stages:
        return _taken_up(world, memory, ahead, state) if memory and ahead else None
    found = _from_objects(world, state)
    if memory is None or not memory.head.number:
        return found
    found = _taken_up(world, memory, _ahead(memory, found), found)
    for name, remembered in memory.stages.items():
        requests = tuple(_ended_since(found.stages[name], remembered))
        found = found.with_stage(
            replace(found.stages[name], requests=requests, recalled_rollbacks=remembered.rollbacks)
        )
    elsewhere = world.seen.ledger is not None and memory.chain != world.seen.ledger.cluster
    # Of this cluster's own objects the chain has told, though their statuses do not know: the first append compares
    # what is put in now with all of it.
    known = memory.head if elsewhere else START
    ledger = LedgerState(
        number=known.number,
        sha256=known.sha256 if known.number else "",
        count=memory.head.number,  # no ordinal is given out again
        chain=memory.chain if elsewhere else "",
        recalled=memory.head.number if memory.stages else None,
    )
    history = (codec.dump(_line(record)) for record in memory.history)
    return replace(found, ledger=ledger, transitions=tuple(history)[-TRANSITIONS_BESIDE_LEDGER:])


def adopted(world: World) -> Memory | None:
    """The memory of another cluster, when this one takes its chain over with this decision."""
    seen = world.seen.ledger
    if seen is None or seen.memory is None or seen.memory.writer in ("", seen.cluster):
        return None
    return seen.memory


def asks_ledger(world: World) -> bool:
    """Whether new requests cannot be placed before the ledger was read: they may have ended before."""
    seen, known = world.seen.ledger, world.memory.ledger
    return bool(seen and seen.memory is None and known and known.recalled is not None)


def claimed(world: World, stage: StageState, request: Request) -> Request | None:
    """A request that is new to this cluster as the ledger knows it; None when it is new to the ledger as well."""
    seen, known = world.seen.ledger, world.memory.ledger
    if seen is None or seen.memory is None or known is None or known.recalled is None:
        return None
    remembered = seen.memory.stages.get(stage.name)
    fate = remembered.fates.get(request.version) if remembered else None
    if remembered is None or fate is None or _is_anew(request, fate):
        return None
    if request.source == "Model" and _line_was_changed(stage, remembered, request, fate):
        return None
    return _as_fated(replace(request, place=fate.place), fate)


def _line_was_changed(stage: StageState, remembered: StageMemory, request: Request, fate: Fate) -> bool:
    """Whether the Model named another version since: its line is one request until its value changes."""
    if any(known.source == "Model" and known.uid == request.uid for known in stage.requests):
        return True
    return not fate.ended and not _carries(remembered, request.version)


def _carries(remembered: StageMemory, version: str) -> bool:
    return bool(remembered.move and remembered.move.to and remembered.move.to.version == version)


def _is_anew(request: Request, fate: Fate) -> bool:
    """Whether a version's request was made after the one whose fate is known."""
    uid, _, edit = fate.id.partition("/")
    if uid == request.uid:
        return fate.id != request.id
    if request.source == "ModelVersion" and request.generation > 1:
        return True  # its stage was edited in this cluster
    nonce = request.id.partition("/")[2].partition("/")[2]
    return bool(uid) and nonce not in ("", edit.partition("/")[2])


def _as_fated(request: Request, fate: Fate) -> Request:
    if not fate.ended:
        return replace(request, served=True)
    ended = replace(request.end(Step(fate.ended), fate.reason, fate.message, fate.at), recorded=True)  # type: ignore[arg-type]
    return replace(ended, served=bool(fate.place))


def _ahead(memory: Memory, state: ModelState) -> Mapping[str, StageMemory]:
    """The stages of which the ledger knows later moves, or which only it knows."""
    known = {name: stage.sequence for name, stage in state.stages.items()}
    return {name: stage for name, stage in memory.stages.items() if stage.sequence > known.get(name, -1)}


def _taken_up(world: World, memory: Memory, stages: Mapping[str, StageMemory], state: ModelState) -> ModelState:
    for name, remembered in stages.items():
        state = state.with_stage(_stage(world, name, remembered, state.stages.get(name) or StageState(name)))
    if state.ledger:
        state = replace(state, ledger=replace(state.ledger, recalled=memory.head.number))
    return state


def _stage(world: World, name: str, remembered: StageMemory, known: StageState) -> StageState:
    """A stage as the ledger remembers it. `known`: what an earlier state of the cluster says of it."""
    requests = tuple(
        _as_fated(replace(request, place=fate.place), fate) if fate and request.is_open else request
        for request in known.requests
        for fate in (remembered.fates.get(request.version),)
    )
    return replace(
        known,
        current=_current(remembered),
        sequence=remembered.sequence,
        last_place=max([remembered.last_place, known.last_place, *(request.place for request in requests)]),
        requests=requests,
        revisions=tuple(_revisions(world, name, remembered)),
        rollback=None,
        voided=(*known.voided, *_voided(world, remembered)),
        paused=remembered.paused,
        suspended=remembered.suspended,
    )


def _ended_since(known: StageState, remembered: StageMemory) -> Iterator[Request]:
    """The requests of a stage, of which the cluster's own objects tell as of the last move, as the ledger has them."""
    fates = {fate.id: fate for fate in remembered.fates.values() if fate.ended}
    for request in known.requests:
        fate = fates.get(request.id) if request.is_open else None
        yield _as_fated(request, fate) if fate else request


def _current(remembered: StageMemory) -> Current | None:
    move = remembered.move
    if move is None or move.to is None:
        return None
    served = remembered.revisions[move.to.revision]
    before = remembered.revisions.get(move.from_.revision) if move.from_ else None
    return Current(
        version=move.to.version,
        digest=move.to.digest,
        revision=move.to.revision,
        place=served.place,
        sequence=remembered.sequence,
        since=move.at,
        by=move.request.by if move.request else "",
        cause=move.type,
        held_revision=move.held,
        held_reason=VersionReason.ROLLED_BACK.value if move.held else "",
        replaced=Revision(before.to.revision, before.to.version, before.to.digest, before.uri) if before else None,
        on_trial=remembered.on_trial,
    )


def _revisions(world: World, name: str, remembered: StageMemory) -> Iterator[Revision]:
    """What the stage serves and the good ones that it keeps."""
    current = remembered.move.to.revision if remembered.move and remembered.move.to else ""
    limit = next((stage.history_limit for stage in world.stages if stage.name == name), 0)
    good = sorted((s for s in remembered.revisions.values() if s.good), key=lambda served: -served.sequence)
    kept = {served.to.revision for served in [s for s in good if s.to.revision != current][:limit]} | {current}
    yield from (_revision(served) for served in remembered.revisions.values() if served.to.revision in kept)


def _revision(served: Served) -> Revision:
    return Revision(
        hash=served.to.revision,
        version=served.to.version,
        digest=served.to.digest,
        uri=served.uri,
        place=served.place,
        sequence=served.sequence,
        good=served.good,
        served_from=served.since,
        served_until=served.until,
        template=served.template,
    )


def _voided(world: World, remembered: StageMemory) -> Iterator[Voided]:
    """Consent to what was overruled since does not count, though a backup may bring the Approval back as a new one."""
    overruled = [(v, fate) for v, fate in remembered.fates.items() if fate.ended in _OVERRULED]
    overruled.sort(key=lambda found: found[1].at or world.now)
    yield from (Voided(world.now, fate.ended, version) for version, fate in overruled[-VOIDED_KEPT:])


def _line(record: Record) -> Transition:
    """A line of the Model's history."""
    asked = record.request
    return Transition(
        stage=record.stage,
        type=record.type,
        at=record.at,
        sequence=record.sequence or 0,
        from_=Pointed(record.from_.version, record.from_.digest, record.from_.revision) if record.from_ else None,
        to=Pointed(record.to.version, record.to.digest, record.to.revision) if record.to else None,
        by=asked.by if asked else "",
        reason=(asked.reason if asked else "") or record.message,
        ticket=asked.ticket if asked else "",
        requested_at=asked.at if asked else None,
        effective_at=record.effective_at,
    )


def tellers(world: World) -> Iterator[Obj]:
    """The objects by which stages are known whose status is lost."""
    for objects in (world.seen.services, world.seen.configmaps):
        yield from (obj for _, obj in sorted(objects.items()) if _stage_state(obj))


def _from_objects(world: World, state: ModelState) -> ModelState:
    """The state with every stage that it does not know taken from the stage's own objects."""
    for pointer in _remembered(world.seen.services):
        state = state.with_stage(pointer)
    for full in _remembered(world.seen.configmaps):
        pointer = state.stages.get(full.name, full)
        if pointer.sequence > full.sequence:
            full = replace(
                pointer, requests=full.requests, handled_rollbacks=full.handled_rollbacks, voided=full.voided
            )
        state = state.with_stage(full)
    for stage in state.stages.values():
        state = state.with_stage(_with_rollbacks(world, _with_ends(world, stage)))
    return state


def _with_ends(world: World, stage: StageState) -> StageState:
    """The stage with requests that ended since its last move: it moved for none of them, so only versions know."""
    for request in stage.open_requests:
        version = world.versions.get(request.version)
        if version is None or request.source != "ModelVersion" or version.request_id != request.id:
            continue
        told = version.recorded_request
        if version.has_ended and told.get("stage") == stage.name:
            at = codec.parse_time(told["since"]) if told.get("since") else world.now
            ended = request.end(Step(told["step"]), told.get("reason", ""), told.get("message", ""), at)
            stage = stage.with_request(replace(ended, recorded=True))  # with the status, its outbox was lost as well
    return stage


def _with_rollbacks(world: World, stage: StageState) -> StageState:
    """The stage with Rollbacks that were handled since its last move and moved nothing: only they themselves know."""
    known = {handled.uid for handled in stage.handled_rollbacks}
    told = [
        _handled(obj)
        for obj in world.seen.rollbacks
        if obj["spec"]["stage"] == stage.name and rollback.is_final(obj) and obj["metadata"]["uid"] not in known
    ]
    handled = sorted((*stage.handled_rollbacks, *told), key=lambda each: (each.at or world.now, each.uid))
    return replace(stage, handled_rollbacks=tuple(handled)[-ROLLBACKS_KEPT:])


def _handled(obj: Obj) -> HandledRollback:
    """What the status of a Rollback says of its end."""
    status = obj["status"]
    applied: Obj = next((c for c in status.get("conditions") or () if c["type"] == "Applied"), {})
    at = status.get("appliedAt") or applied.get("lastTransitionTime") or obj["metadata"]["creationTimestamp"]
    return HandledRollback(
        uid=obj["metadata"]["uid"],
        outcome=status["outcome"],
        reason=applied.get("reason") or RollbackReason.PREDATES_STATE.value,
        message=applied.get("message", ""),
        from_version=status.get("fromVersion", ""),
        to_version=status.get("toVersion", ""),
        sequence=status.get("sequence", 0),
        at=codec.parse_time(at),
    )


def _remembered(objects: Mapping[str, Obj]) -> Iterator[StageState]:
    for _, obj in sorted(objects.items()):
        stage = _stage_state(obj)
        if stage is not None:
            yield stage


def _stage_state(obj: Obj) -> StageState | None:
    """The stage's state from one object's annotation; None where there is none that can be read."""
    text = (obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REVISION)
    if not text:
        return None
    try:
        found: Any = json.loads(text)
        return codec.load(StageState, found)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
