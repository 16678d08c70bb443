"""What did a stage serve when, on which data and code, and who approved it? Replayed from a chain's records alone.

A *period* begins with a record that moves the stage and ends with the next one. It begins when all traffic had moved
where that is recorded, otherwise when the move was decided; never before the record ahead of it, whatever the clocks
of two operator processes said. What is known of a version (where it came from, its digest) is gathered from all
records that speak of it, so the answer does not need the version, the Model or the cluster to exist any more.

Pure: `queries` reads the chain and checks it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from modelyard.ledger.records import MOVES, Pointed, Record, RecordType, Version


@dataclass(frozen=True)
class Period:
    """A time in which a stage served one thing."""

    stage: str
    serves: Pointed
    since: datetime
    until: datetime | None
    """None when it still does, as far as the chain goes."""
    suspended: bool
    """Scaled to zero on purpose: the stage carried the version, and nothing answered."""
    move: Record
    """The record by which it came to serve this."""
    origin: Record | None
    """The record by which these bytes first passed the stage's gates and approvals: `move` itself for a promotion, an
    earlier one after a rollback."""
    version: Version
    """All that is recorded of the version: source, data, run, metrics, hyperparameters, digest."""

    def overlaps(self, window: "Window") -> bool:
        """Whether it served at some time in the window."""
        return self.since < window.end and (self.until is None or self.until > window.start)


@dataclass(frozen=True)
class Window:
    """A time span: from `start` on, up to and without `end`."""

    start: datetime
    end: datetime


def window(text: str) -> Window:
    """The span that a person means by a date (the whole day in UTC) or by a time (that moment).

    Raises ValueError on anything else. A time without a zone is taken as UTC.
    """
    try:
        if len(text) <= len("2025-11-15"):
            start = datetime.combine(date.fromisoformat(text), time(), UTC)
            return Window(start, start + timedelta(days=1))
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"understand the time {text!r}: expected 2025-11-15 or 2025-11-15T10:30:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Window(moment, moment + timedelta(microseconds=1))


@dataclass
class _Stage:
    """A stage while its records are replayed."""

    serves: Pointed | None = None
    since: datetime | None = None
    suspended: bool = False
    move: Record | None = None


class Replay:
    """The periods of a chain, built up record by record."""

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}
        self._ended: list[Period] = []
        self._origins: dict[tuple[str, str, str], Record] = {}
        self._versions: dict[tuple[str, str], Version] = {}
        self._latest = datetime.min.replace(tzinfo=UTC)

    def feed(self, record: Record) -> None:
        """Take in the next record of the chain."""
        self._learn(record)
        at = self._latest = max(self._latest, record.effective_at or record.at)
        if record.type == RecordType.DELETED and record.version is None:  # the Model, not one of its versions
            for name in self._stages:
                self._begin(name, at, None, None, suspended=False)
        elif record.type in MOVES and record.to:
            if record.type == RecordType.PROMOTED:
                self._origins[record.stage, record.to.version, record.to.digest] = record
            self._begin(record.stage, at, record.to, record, suspended=self._stage(record).suspended)
        elif record.type in (RecordType.SUSPENDED, RecordType.RESUMED):
            stage = self._stage(record)
            suspended = record.type == RecordType.SUSPENDED
            self._begin(record.stage, at, stage.serves, stage.move, suspended=suspended)

    def periods(self, stage: str | None = None) -> list[Period]:
        """All periods so far, of one stage or of all, in the order in which they began."""
        running = [self._period(name, state, None) for name, state in self._stages.items()]
        found = [*self._ended, *(period for period in running if period)]
        found = [replace(p, version=self._known(p.serves)) for p in found if stage in (None, p.stage)]
        return sorted(found, key=lambda period: period.since)

    def _begin(self, name: str, at: datetime, serves: Pointed | None, move: Record | None, *, suspended: bool) -> None:
        if (state := self._stages.get(name)) and (period := self._period(name, state, at)):
            self._ended.append(period)
        self._stages[name] = _Stage(serves, at, suspended, move)

    def _period(self, name: str, state: _Stage, until: datetime | None) -> Period | None:
        if state.serves is None or state.since is None or state.move is None or state.since == until:
            return None
        origin = self._origins.get((name, state.serves.version, state.serves.digest))
        known = self._known(state.serves)
        return Period(name, state.serves, state.since, until, state.suspended, state.move, origin, known)

    def _stage(self, record: Record) -> _Stage:
        return self._stages.setdefault(record.stage, _Stage())

    def _learn(self, record: Record) -> None:
        """Gather what the record says of its version; what is known stays known."""
        said = record.version
        if said is None:
            return
        known = self._versions.get((said.version, ""))
        if known is None or (said.uid and known.uid and said.uid != known.uid):
            known = Version(said.version)  # the first, or one made anew under the name of a deleted one
        known = _merged(known, said)
        self._versions[said.version, ""] = known
        self._versions[said.version, known.digest] = known

    def _known(self, serves: Pointed) -> Version:
        nothing = Version(serves.version)
        named = self._versions.get((serves.version, ""), nothing)
        exact = self._versions.get((serves.version, serves.digest), nothing if named.digest else named)
        return replace(exact, digest=serves.digest)


def _merged(known: Version, said: Version) -> Version:
    """What is said, and for the rest what was known."""
    fields = {name: getattr(said, name) or getattr(known, name) for name in Version.__dataclass_fields__}
    return Version(**fields)


def replay(records: Iterable[Record]) -> Replay:
    """The periods of those records, in the order of the chain."""
    done = Replay()
    for record in records:
        done.feed(record)
    return done


def served(periods: Sequence[Period], asked: Window) -> list[Period]:
    """The periods that overlap the window: one for a moment, or none; several for a day on which it changed."""
    return [period for period in periods if period.overlaps(asked)]
