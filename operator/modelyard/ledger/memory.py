"""What does a chain tell of a Model whose status is lost? Replayed from its records alone.

Per stage: what it serves, what it could go back to, the counter of its moves, and the *fate* of every version's wish
to carry it. Objects have other identities in another cluster, so a fate is known by the version's name. `decide`
takes a stage's state up from this when nothing in the cluster knows better; `recalling` reads the chain. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from modelyard.ledger.records import ASKED_ANEW, MOVES, START, Head, Pointed, Record, RecordType, Request

REVISIONS_KEPT = 100
"""Good revisions of a stage that are remembered; the newest ones."""
HISTORY_KEPT = 50
"""Moves that are remembered one by one."""
ROLLBACKS_KEPT = 20
_SWITCHES = frozenset({RecordType.SUSPENDED, RecordType.RESUMED, RecordType.PAUSED, RecordType.UNPAUSED})
_TOLD = MOVES | _SWITCHES
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
    head, writer = memory.head, memory.writer
    for record, place in records:
        replay.feed(record)
        head, writer = place, record.cluster
    return replace(memory, head=head, writer=writer, stages=replay.stages(), history=tuple(replay.history))


@dataclass
class _Stage:
    """A stage while its records are replayed."""

    move: Record | None
    sequence: int
    last_place: int
    on_trial: bool
    paused: bool
    suspended: bool
    revisions: dict[str, Served]
    fates: dict[str, Fate]
    rollbacks: list[str]

    @classmethod
    def of(cls, known: StageMemory) -> "_Stage":
        """As it is remembered."""
        fields = {name: getattr(known, name) for name in StageMemory.__dataclass_fields__}
        parts = {
            "revisions": dict(known.revisions),
            "fates": dict(known.fates),
            "rollbacks": list(known.rollbacks),
        }
        return cls(**{**fields, **parts})

    @property
    def serves(self) -> str:
        """Hash of what it serves; empty for nothing."""
        return self.move.to.revision if self.move and self.move.to else ""

    def memory(self) -> StageMemory:
        """What is remembered of it."""
        newest = sorted(self.revisions.values(), key=lambda s: (s.to.revision == self.serves, s.sequence))
        kept = {served.to.revision: served for served in newest[-REVISIONS_KEPT:]}
        rollbacks = tuple(self.rollbacks[-ROLLBACKS_KEPT:])
        return StageMemory(**{**vars(self), "revisions": kept, "fates": dict(self.fates), "rollbacks": rollbacks})

    def take(self, record: Record, to: Pointed, uri: str) -> None:
        """A move: it serves something else from now on."""
        self._end(record, to)
        self._retire(record)
        known, fate = self.revisions.get(to.revision), self.fates.get(to.version)
        place = record.place or (known.place if known else 0) or self.last_place + 1
        self.sequence = max(record.sequence or 0, self.sequence)
        self.last_place = max(self.last_place, place)
        self.move, self.on_trial = record, bool(record.on_trial)
        self.revisions[to.revision] = Served(
            to,
            self.sequence,
            place,
            good=not record.on_trial,
            uri=uri,
            since=record.at,
            template=record.template or (known.template if known else {}),
        )
        if record.type == RecordType.PROMOTED:
            self.fates[to.version] = Fate(place, id=record.request.id if record.request else "")
        elif fate and not fate.ended:
            self.fates[to.version] = replace(fate, place=place)

    def confirm(self, record: Record) -> None:
        """What had taken it passed its AfterTraffic gates."""
        known = self.revisions.get(record.to.revision) if record.to else None
        if known is None:
            return
        self.revisions[known.to.revision] = replace(known, good=True)
        self.on_trial = self.on_trial and self.serves != known.to.revision

    def end(self, record: Record) -> None:
        """A request failed, was rejected, or was taken back; or a rejection, which ends the next one."""
        if record.version is None:
            return
        name = record.version.version
        known = self.fates.get(name)
        if record.approvals and known and not known.ended:
            return  # what carries the stage is not touched by a rejection
        if record.type == RecordType.WITHDRAWN:
            serves = bool(self.move and self.move.to and self.move.to.version == name)
            if serves and known and record.message == ASKED_ANEW:
                self.fates[name] = replace(known, id="")  # it stands, by a request that moved nothing and has no record
            else:
                self.fates.pop(name, None)
            return
        request = record.request.id if record.request else ""
        place = known.place if known else 0
        self.fates[name] = Fate(place, record.type, record.reason or record.type, record.message, record.at, request)

    def _end(self, record: Record, to: Pointed) -> None:
        """The requests that a move ended."""
        ends = {end.version: (end.outcome, end.id) for end in record.ended}
        asked = record.request or Request()
        name = asked.source.removeprefix("Rollback/")
        if record.type == RecordType.ROLLED_BACK:  # it ends all that stands but its target, said or not
            standing = {v: fate for v, fate in self.fates.items() if not fate.ended and v != to.version}
            ends = {version: ("RolledBack", fate.id) for version, fate in standing.items()} | ends
            self.rollbacks += [name] if name else []
        texts = {
            "RolledBack": f"Rollback {name!r} went back to version {to.version!r}: {asked.reason}",
            "Superseded": f"version {to.version!r}, asked for later, took the stage first",
        }
        for version, (outcome, request) in ends.items():
            place = self.fates[version].place if version in self.fates else 0
            self.fates[version] = Fate(place, outcome, outcome, texts.get(outcome, ""), record.at, request)

    def _retire(self, record: Record) -> None:
        """What is replaced stays good, unless it is what one goes back from."""
        previous = self.revisions.get(self.serves)
        if previous:
            good = previous.good and record.type in _FORWARD
            self.revisions[self.serves] = replace(previous, good=good, until=record.at)


class _Replay:
    """The stages of a Model while its records are replayed."""

    def __init__(self, memory: Memory) -> None:
        self._stages = {name: _Stage.of(stage) for name, stage in memory.stages.items()}
        self._uris: dict[str, str] = {}
        self.history = list(memory.history)

    def stages(self) -> dict[str, StageMemory]:
        """What is remembered of each stage."""
        return {name: stage.memory() for name, stage in self._stages.items()}

    def feed(self, record: Record) -> None:
        """Take in the next record."""
        if record.version and record.version.uri:
            self._uris[record.version.version] = record.version.uri
        if record.type == RecordType.DELETED:
            self._delete(record)
        elif record.stage:
            self._change(self._stages.setdefault(record.stage, _Stage.of(StageMemory())), record)
            if record.type in _TOLD:
                self.history = [*self.history[1 - HISTORY_KEPT :], record]

    def _change(self, stage: _Stage, record: Record) -> None:
        match record.type:
            case kind if kind in MOVES and record.to:
                stage.take(record, record.to, self._uris.get(record.to.version, ""))
            case RecordType.SUSPENDED | RecordType.RESUMED:
                stage.suspended = record.type == RecordType.SUSPENDED
            case RecordType.PAUSED | RecordType.UNPAUSED:
                stage.paused = record.type == RecordType.PAUSED
            case RecordType.CONFIRMED:
                stage.confirm(record)
            case RecordType.FAILED | RecordType.REJECTED | RecordType.WITHDRAWN:
                stage.end(record)

    def _delete(self, record: Record) -> None:
        """A version that is made again asks anew; a Model that is made again begins anew."""
        if record.version is None:
            self._stages.clear()
            self.history.clear()
            return
        for stage in self._stages.values():
            stage.fates.pop(record.version.version, None)
