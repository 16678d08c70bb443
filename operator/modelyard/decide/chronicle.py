"""What happened, as the ledger tells it: entries that need neither the cluster nor anything else to be understood.

`outbox` asks for them when something happened. A version's lineage goes in when it is registered, and once more with a
promotion of a version whose registration is not on record yet. See `modelyard.ledger.records` for what each field
means to whoever reads it later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.api import codec, names
from modelyard.api.reasons import ApprovalReason
from modelyard.decide import approvals, manifests, particulars
from modelyard.decide.gates import results
from modelyard.decide.objections import Finding
from modelyard.decide.state import Cause, Current, Request, StageState, Step, Transition
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World
from modelyard.ledger import records
from modelyard.ledger.memory import Memory
from modelyard.ledger.records import RecordType

ENDS = {Step.FAILED: RecordType.FAILED, Step.REJECTED: RecordType.REJECTED, Step.WITHDRAWN: RecordType.WITHDRAWN}
"""Ends of requests that are recorded by themselves. The others are told by the move that brought them about."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Move:
    """A move of a stage's pointer, or a switch by hand, with what is told beside it."""

    moved: Transition
    previous: Current | None
    rollback: str
    """Name of the Rollback that brought it about."""
    registered: bool
    """Whether the version's lineage is on record already."""
    current: Current | None = None
    """The pointer after it; None when the stage has moved on since, in the same decision."""
    ended: tuple[Request, ...] = ()
    """Requests whose end is told with it."""


def of_move(world: World, move: Move) -> Entry:
    """A stage serves something else from now on, or was switched by hand."""
    moved = move.moved
    version = world.versions.get(moved.to.version) if moved.to else None
    forward = moved.type in (Cause.PROMOTED, Cause.RECONFIGURED)
    back = moved.type in (Cause.ROLLED_BACK, Cause.SUCCEEDED, Cause.UNDONE)
    spec = next((stage for stage in world.stages if stage.name == moved.stage), None)
    told = particulars.of_version(version, moved.to.digest if moved.to else "", lineage=forward and not move.registered)
    return _entry(
        world,
        type_=moved.type,
        at=moved.at,
        stage=moved.stage,
        sequence=moved.sequence or None,
        from_=_pointed(moved.from_, move.previous),
        to=_pointed(moved.to, None),
        version=told if forward or back else None,
        request=_request_of(world, move, version),
        approvals=tuple(_consents(world, moved, version)) if moved.type == Cause.PROMOTED else (),
        gates=tuple(_gates(world, moved)),
        message=moved.reason if moved.type == Cause.UNDONE else "",
        endpoint=manifests.endpoint(world, spec) if spec else "",
        place=move.current.place if move.current else None,
        template=particulars.of_template(world, spec, moved) if spec and forward else {},
        on_trial=move.current.on_trial or None if move.current else None,
        held=move.current.held_revision if move.current else "",
        ended=tuple(records.Ended(request.version, request.ended, request.id) for request in move.ended),
    )


def of_confirmation(world: World, stage: StageState, confirmed: Current) -> Entry:
    """What had taken the stage passed its AfterTraffic gates."""
    version = world.versions.get(confirmed.version)
    lines = results.recorded(version) if version else ()
    said = (particulars.of_gate(line) for line in lines if line.stage == stage.name and line.when == "AfterTraffic")
    pointed = records.Pointed(confirmed.version, confirmed.digest, confirmed.revision, confirmed.since)
    return _entry(
        world, RecordType.CONFIRMED, world.now, stage=stage.name, sequence=None, to=pointed, gates=tuple(said)
    )


def of_adoption(world: World, found: Memory) -> Entry:
    """This cluster takes over the chain of another one; its records follow."""
    text = f"taken over at record {found.head.number}, the last one written by cluster {found.writer!r}"
    return _entry(world, RecordType.ADOPTED, world.now, message=text)


def of_history(world: World, line: Mapping[str, Any]) -> Entry:
    """A line of the history from before a ledger was configured: what little is known of it."""
    moved = codec.load(Transition, line)
    return _entry(
        world,
        type_=moved.type,
        at=moved.at,
        stage=moved.stage,
        sequence=moved.sequence or None,
        from_=_pointed(moved.from_, None),
        to=_pointed(moved.to, None),
        request=records.Request(by=moved.by, at=moved.requested_at, reason=moved.reason, ticket=moved.ticket),
        message="it happened before a ledger was configured",
        effective_at=moved.effective_at,
    )


def of_end(world: World, stage: str, request: Request) -> Entry:
    """A request that came to its end without carrying the stage, or was taken back."""
    version = world.versions.get(request.version)
    judged = version if request.ended == Step.FAILED and version and version.uid == request.uid else None
    recorded = results.recorded(judged) if judged else ()
    return _entry(
        world,
        type_=ENDS[Step(request.ended)],
        at=request.ended_at or world.now,
        stage=stage,
        version=particulars.of_version(version, "", lineage=False) or records.Version(request.version),
        request=particulars.of_request(world, request, version),
        gates=tuple(particulars.of_gate(line) for line in recorded if line.stage == stage or not line.passes),
        reason=request.ended_reason,
        message=request.ended_message,
    )


def of_registration(world: World, version: Version) -> Entry:
    """A version came."""
    return _entry(
        world,
        type_=RecordType.REGISTERED,
        at=version.created,
        version=particulars.of_version(version, "", lineage=True),
    )


def of_verdict(world: World, version: Version, verdict: Verdict) -> Entry:
    """A version's bytes were read, and are or are not what they should be."""
    found = particulars.of_version(version, verdict.digest, lineage=False, artifact=verdict.artifact)
    return _entry(
        world,
        type_=RecordType.VERIFIED if verdict.passed else RecordType.FAILED,
        at=codec.parse_time(verdict.finished_at) if verdict.finished_at else world.now,
        version=found,
        reason=str(verdict.reason),
        message=verdict.message,
    )


def of_deletion(world: World, version: Version) -> Entry:
    """A version was deleted. It may serve on: revisions are the Model's."""
    registered = "Registered" in (version.status.get("recorded") or ())
    told = particulars.of_version(version, "", lineage=not registered)
    return _entry(world, RecordType.DELETED, world.now, version=told, message="the ModelVersion was deleted")


def of_disappearance(world: World, request: Request) -> Entry:
    """A version that somebody had asked for is gone, and nobody is left who saw it go: less is known of it."""
    told = records.Version(request.version, uid=request.uid)
    return _entry(world, RecordType.DELETED, world.now, version=told, message="the ModelVersion was deleted")


def of_approval(world: World, finding: Finding) -> Entry:
    """A person approved a version, or rejected it."""
    spec = finding.obj["spec"]
    rejects = finding.reason == ApprovalReason.REJECTED
    return _entry(
        world,
        type_=RecordType.REJECTED if rejects else RecordType.APPROVED,
        at=codec.parse_time(finding.obj["metadata"]["creationTimestamp"]),
        stage=spec["stage"],
        version=records.Version(spec["version"], digest=spec["digest"]),
        approvals=(particulars.of_approval(finding),),
    )


def _entry(world: World, type_: str, at: datetime, **fields: Any) -> Entry:
    assert world.seen.ledger
    entry: Entry = codec.dump(records.Entry(str(type_), at, world.uid, world.seen.ledger.operator, **fields))
    return entry


def _pointed(side: Any, previous: Current | None) -> records.Pointed | None:
    if side is None:
        return None
    return records.Pointed(side.version, side.digest, side.revision, previous.since if previous else None)


def _request_of(world: World, move: Move, version: Version | None) -> records.Request | None:
    """Who wanted it, and why."""
    moved = move.moved
    if moved.type == Cause.UNDONE:
        return None  # a gate did
    if moved.type == Cause.ROLLED_BACK:
        source = f"Rollback/{move.rollback}" if move.rollback else ""
        return records.Request(moved.by, moved.requested_at, moved.reason, ticket=moved.ticket, source=source)
    if moved.type in (Cause.PROMOTED, Cause.SUCCEEDED):
        request = _standing_behind(world, moved)
        return (
            particulars.of_request(world, request, version)
            if request
            else records.Request(moved.by, moved.requested_at)
        )
    by = particulars.annotation(world.model, names.ANNOTATION_REQUESTED_BY)
    change = particulars.annotation(world.model, names.ANNOTATION_CHANGE)
    return records.Request(by, reason=moved.reason, change=change, source=f"Model/{world.seen.name}")


def _standing_behind(world: World, moved: Transition) -> Request | None:
    stage = world.memory.stages.get(moved.stage)
    asking = [r for r in stage.requests if moved.to and r.version == moved.to.version] if stage else []
    same = [r for r in asking if r.requested_at == moved.requested_at] or asking
    return max(same, key=lambda request: request.place, default=None)


def _consents(world: World, moved: Transition, version: Version | None) -> Iterator[records.Approval]:
    """The approvals that counted on the way, stage by stage."""
    request = _standing_behind(world, moved)
    if version is None or request is None or moved.to is None:
        return
    for stage in world.stages:
        counted = approvals.tally(world, stage, request, version, moved.to.digest)
        yield from (particulars.of_approval(f) for f in counted.findings if f.reason == ApprovalReason.COUNTED)
        if stage.name == moved.stage:
            return


def _gates(world: World, moved: Transition) -> Iterator[records.Gate]:
    """What gates have said of a version on its way to the stage or, of one that was undone, against it."""
    undone = moved.type == Cause.UNDONE
    judged = moved.from_ if undone else moved.to
    version = world.versions.get(judged.version) if judged else None
    if version is None or moved.type not in (Cause.PROMOTED, Cause.RECONFIGURED, Cause.UNDONE):
        return
    order = [stage.name for stage in world.stages]
    on_the_way = order[: order.index(moved.stage) + 1] if moved.stage in order else [moved.stage]
    for line in results.recorded(version):
        if line.stage in on_the_way and (not undone or line.when == "AfterTraffic"):
            yield particulars.of_gate(line)
