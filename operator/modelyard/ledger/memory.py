"""What does a chain tell of a Model whose status is lost? Replayed from its records alone.

Per stage: what it serves, what it could go back to, the counter of its moves, and the *fate* of every version's wish
to carry it. Objects have other identities in another cluster, so a fate is known by the version's name. `decide`
takes a stage's state up from this when nothing in the cluster knows better; `recalling` reads the chain. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from modelyard.ledger.records import MOVES, START, Head, Pointed, Record, RecordType, Request, Version

REVISIONS_KEPT = 100
"""Good revisions of a stage that are remembered; the newest ones."""
HISTORY_KEPT = 50
"""Moves that are remembered one by one."""
ROLLBACKS_KEPT = 20
_SWITCHES = frozenset({RecordType.SUSPENDED, RecordType.RESUMED, RecordType.PAUSED, RecordType.UNPAUSED})
_FORWARD = frozenset({RecordType.PROMOTED, RecordType.RECONFIGURED})


@dataclass(frozen=True)
class Fate:
    """What became of the wish that a version carries a stage."""

    place: int = 0
    ended: str = ""
    """Failed, Rejected, RolledBack or Superseded; empty when it took the stage and stands."""
    reason: str = ""
    message: str = ""
    at: datetime | None = None
    id: str = ""
    """Identity of the request; empty where it was not recorded."""


@dataclass(frozen=True)
class Served:
    """A revision that the stage served."""

    to: Pointed
    sequence: int
    place: int
    good: bool = True
    """Whether one can go back to it: it passed its AfterTraffic gates, and was not undone or rolled away from since."""
    uri: str = ""
    since: datetime | None = None
    until: datetime | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    """As recorded: without values of environment variables. Empty when it was not recorded."""


@dataclass(frozen=True)
class StageMemory:
    """One stage, as of the end of the chain."""

    move: Record | None = None
    """By which it came to serve what it serves; None when it never served anything."""
    sequence: int = 0
    last_place: int = 0
    on_trial: bool = False
    paused: bool = False
    suspended: bool = False
    revisions: Mapping[str, Served] = field(default_factory=dict)
    """By hash: what it serves, and what it served before."""
    fates: Mapping[str, Fate] = field(default_factory=dict)
    """By version."""
    rollbacks: tuple[str, ...] = ()
    """Names of the Rollbacks that have acted, the newest ones."""


@dataclass(frozen=True)
class Memory:
    """One Model, as of the end of its chain."""

    chain: str = ""
    """The cluster that the chain is named after."""
    writer: str = ""
    """The cluster that appended to it last; empty when there is no chain."""
    head: Head = START
    stages: Mapping[str, StageMemory] = field(default_factory=dict)
    history: tuple[Record, ...] = ()
    """The last moves and switches, oldest first."""


def remember(memory: Memory, records: Iterable[tuple[Record, Head]]) -> Memory:
    """The memory after some more records of the chain."""
    replay = _Replay(memory)
    for record, head in records:
        replay.feed(record)
        memory = replace(memory, head=head, writer=record.cluster)
    return replace(memory, stages=replay.stages(), history=tuple(replay.history))


class _Replay:
    """The stages while records are replayed."""

    def __init__(self, memory: Memory) -> None:
        self._stages = dict(memory.stages)
        self._versions: dict[str, Version] = {}
        self.history = list(memory.history)

    def stages(self) -> dict[str, StageMemory]:
        """What is remembered of each stage."""
        return {name: _pruned(stage) for name, stage in self._stages.items()}

    def feed(self, record: Record) -> None:
        """Take in the next record."""
        if record.version and record.version.uri:
            self._versions[record.version.version] = record.version
        if record.type == RecordType.DELETED:
            self._deleted(record)
        elif record.stage:
            stage = self._stages.get(record.stage) or StageMemory()
            self._stages[record.stage] = self._after(stage, record)
        if record.type in MOVES | _SWITCHES and record.stage:
            self.history = [*self.history, record][-HISTORY_KEPT:]

    def _after(self, stage: StageMemory, record: Record) -> StageMemory:
        if record.type in MOVES:
            return self._moved(stage, record) if record.to else stage
        match record.type:
            case RecordType.SUSPENDED | RecordType.RESUMED:
                return replace(stage, suspended=record.type == RecordType.SUSPENDED)
            case RecordType.PAUSED | RecordType.UNPAUSED:
                return replace(stage, paused=record.type == RecordType.PAUSED)
            case RecordType.CONFIRMED:
                return _confirmed(stage, record)
            case RecordType.FAILED | RecordType.REJECTED | RecordType.WITHDRAWN:
                return _ended(stage, record)
        return stage

    def _moved(self, stage: StageMemory, record: Record) -> StageMemory:
        assert record.to
        known = stage.revisions.get(record.to.revision)
        stage = _retired(_with_ends(stage, record), record)
        place = record.place or (known.place if known else 0) or stage.last_place + 1
        sequence = max(record.sequence or 0, stage.sequence)
        said = self._versions.get(record.to.version)
        taken = Served(
            record.to,
            sequence,
            place,
            good=not record.on_trial,
            uri=said.uri if said else "",
            since=record.at,
            template=record.template or (known.template if known else {}),
        )
        fates = dict(stage.fates)
        if record.type == RecordType.PROMOTED:
            fates[record.to.version] = Fate(place, id=record.request.id if record.request else "")
        elif record.to.version in fates and not fates[record.to.version].ended:
            fates[record.to.version] = replace(fates[record.to.version], place=place)
        return replace(
            stage,
            move=record,
            sequence=sequence,
            last_place=max(stage.last_place, place),
            on_trial=bool(record.on_trial),
            revisions={**stage.revisions, record.to.revision: taken},
            fates=fates,
        )

    def _deleted(self, record: Record) -> None:
        """A version that is made again asks anew; a Model that is made again begins anew."""
        if record.version is None:
            self._stages.clear()
            self.history.clear()
            return
        for name, stage in self._stages.items():
            left = {version: fate for version, fate in stage.fates.items() if version != record.version.version}
            self._stages[name] = replace(stage, fates=left)


def _with_ends(stage: StageMemory, record: Record) -> StageMemory:
    """The fates of requests that a move ended."""
    to = record.to.version if record.to else ""
    ends = {end.version: (end.outcome, end.id) for end in record.ended}
    back = record.type == RecordType.ROLLED_BACK
    if back:  # it ends all that stands but its target, said or not
        standing = {version: fate for version, fate in stage.fates.items() if not fate.ended and version != to}
        ends = {version: ("RolledBack", fate.id) for version, fate in standing.items()} | ends
    asked = record.request or Request()
    name = asked.source.removeprefix("Rollback/")
    texts = {
        "RolledBack": f"Rollback {name!r} went back to version {to!r}: {asked.reason}",
        "Superseded": f"version {to!r}, asked for later, took the stage first",
    }
    fates = dict(stage.fates)
    for version, (outcome, request) in ends.items():
        place = fates[version].place if version in fates else 0
        fates[version] = Fate(place, outcome, outcome, texts.get(outcome, ""), record.at, request)
    acted = (name,) if back and name else ()
    return replace(stage, fates=fates, rollbacks=(*stage.rollbacks, *acted)[-ROLLBACKS_KEPT:])


def _retired(stage: StageMemory, record: Record) -> StageMemory:
    """What is replaced stays good, unless it is what one goes back from."""
    before = stage.move.to if stage.move else None
    previous = stage.revisions.get(before.revision) if before else None
    if previous is None:
        return stage
    good = previous.good and record.type in _FORWARD
    retired = replace(previous, good=good, until=record.at)
    return replace(stage, revisions={**stage.revisions, previous.to.revision: retired})


def _confirmed(stage: StageMemory, record: Record) -> StageMemory:
    known = stage.revisions.get(record.to.revision) if record.to else None
    if known is None:
        return stage
    current = stage.move.to if stage.move else None
    here = current is not None and current.revision == known.to.revision
    revisions = {**stage.revisions, known.to.revision: replace(known, good=True)}
    return replace(stage, revisions=revisions, on_trial=stage.on_trial and not here)


def _ended(stage: StageMemory, record: Record) -> StageMemory:
    """A request that failed, was rejected, or was taken back; or a rejection, which ends the next one."""
    if record.version is None:
        return stage
    name = record.version.version
    fates = dict(stage.fates)
    known = fates.get(name)
    if record.approvals and known and not known.ended:
        return stage  # what carries the stage is not touched by a rejection
    if record.type == RecordType.WITHDRAWN:
        fates.pop(name, None)
    else:
        request = record.request.id if record.request else ""
        place = known.place if known else 0
        fates[name] = Fate(place, record.type, record.reason or record.type, record.message, record.at, request)
    return replace(stage, fates=fates)


def _pruned(stage: StageMemory) -> StageMemory:
    current = stage.move.to.revision if stage.move and stage.move.to else ""
    newest = sorted(stage.revisions.values(), key=lambda served: (served.to.revision == current, served.sequence))
    return replace(stage, revisions={served.to.revision: served for served in newest[-REVISIONS_KEPT:]})
