"""What people ask a ledger, as plain functions: `modelyard ledger verify|export`, `asof` and `history` call these.

A question names a model as `namespace/model` or, where several clusters share a ledger, `cluster/namespace/model`.
Answers are frozen dataclasses; `as_json` makes plain JSON of them. Every function takes the ledger's `LedgerSettings`
(`LedgerSettings("s3://bucket/prefix", StorageSettings.from_env(os.environ))` is enough for a person's own credentials)
or a place that is open already, and raises `LedgerError` with a sentence that says what is wrong. A chain that does not
hold together gives no answer: `BrokenChainError`, and `verify_chains` says where.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from modelyard.api import codec
from modelyard.ledger.asof import Period, Replay, Window, served, window
from modelyard.ledger.errors import BrokenChainError, UnknownChainError
from modelyard.ledger.layout import LEVELS, ChainName
from modelyard.ledger.place import LedgerSettings, ReadPlace, open_to_read
from modelyard.ledger.reading import Sealed, chains, checked, pieces, read, walk
from modelyard.ledger.records import START, Head, Record
from modelyard.ledger.signing import Keys
from modelyard.ledger.verifying import Report, verify

Ledger = LedgerSettings | ReadPlace


@dataclass(frozen=True)
class AsOf:
    """The answer to what a model's stage served at a time."""

    chain: ChainName
    stage: str
    asked: Window
    periods: tuple[Period, ...]
    """What served in that time, in order: none, one, or several when it changed within it."""
    records: int
    """How many records the answer was replayed from; each follows from the one before."""
    head: Head
    """The last of them."""


def asof(ledger: Ledger, model: str, stage: str, when: str) -> list[AsOf]:
    """What the stage of a model served at a time (`2025-11-15`, or `2025-11-15T10:30:00Z`), in each cluster.

    Each period has the version with its lineage (`version.spec`), who asked and why (`move.request`), and who approved
    it and which gates it passed (`origin.approvals`, `origin.gates`). Raises ValueError when the time cannot be read.
    """
    asked = window(when)
    place = _open(ledger)
    return [Reader(place).asof(chain, stage, asked) for chain in find_chains(place, model)]


def history(ledger: Ledger, model: str, *, stage: str | None = None, last: int | None = None) -> list[Record]:
    """The records of a model, oldest first; of one stage alone, and only the last ones, when so asked."""
    place = _open(ledger)
    found = [
        _record(sealed)
        for chain in find_chains(place, model)
        for sealed in checked(walk(place, chain))
        if stage in (None, sealed.document.get("stage"))
    ]
    return found if last is None else found[len(found) - min(last, len(found)) :]


def verify_chains(
    ledger: Ledger, model: str | None = None, anchors: Iterable[Head] = (), keys: Keys | None = None
) -> Iterator[Report]:
    """A report on each chain of a model, or of the whole ledger.

    `anchors` are heads of that model's chain that were noted elsewhere: in the Model's `status.ledger`, on paper. With
    `keys`, every record has to be signed with one of them, or to come before one that is.
    """
    place = _open(ledger)
    noted = tuple(anchors)
    for chain in find_chains(place, model) if model else chains(place):
        yield verify(place, chain, noted, keys)


def export(ledger: Ledger, model: str | None = None) -> Iterator[tuple[ChainName, bytes]]:
    """Every record of a model, or of the whole ledger, with its chain: the very bytes, without a line break.

    Written a line each, a chain can be checked with nothing but sha256sum and jq. Stops with BrokenChainError where a
    record does not follow from the one before.
    """
    place = _open(ledger)
    for chain in find_chains(place, model) if model else chains(place):
        for sealed in checked(walk(place, chain)):
            yield chain, sealed.raw


def find_chains(place: ReadPlace, model: str) -> list[ChainName]:
    """The chains of a model: one for each cluster that recorded it. Raises UnknownChainError when there is none."""
    parts = model.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UnknownChainError(f"look up {model!r}: expected namespace/model or cluster/namespace/model")
    *cluster, namespace, name = parts
    try:
        candidates = [ChainName(each, namespace, name) for each in cluster or place.folders("")]
    except ValueError as error:
        raise UnknownChainError(str(error)) from error
    found = [chain for chain in candidates if next(place.files(chain.records), None)]
    if not found:
        raise UnknownChainError(f"look up {model!r}: the ledger {place.url} has no record of it")
    return found


class Reader:
    """Answers many questions: it keeps what it has replayed and reads only what was appended since."""

    def __init__(self, place: ReadPlace) -> None:
        self._place = place
        self._known: dict[ChainName, tuple[Replay, Head]] = {}

    def asof(self, chain: ChainName, stage: str, asked: Window) -> AsOf:
        """What the stage served in the window, by what the chain holds now."""
        replayed, head = self._refreshed(chain)
        return AsOf(chain, stage, asked, tuple(served(replayed.periods(stage), asked)), head.number, head)

    def _refreshed(self, chain: ChainName) -> tuple[Replay, Head]:
        if chain not in self._known:
            self._known[chain] = Replay(), START
        replayed, head = self._known.pop(chain)  # a chain that turns out to be broken is read from its start next time
        levels = () if head.number else LEVELS  # what was appended since is near the end
        new = pieces(self._place, chain, head.number, levels=levels)
        for sealed in checked(read(self._place, chain, new, head.number), head):
            replayed.feed(_record(sealed))
            head = sealed.head
        self._known[chain] = replayed, head
        return replayed, head


def as_json(answer: Any) -> Any:
    """The plain JSON of an answer, with camelCase names and RFC 3339 times; what is not known is left out."""
    return codec.dump(answer)


def _open(ledger: Ledger) -> ReadPlace:
    return open_to_read(ledger) if isinstance(ledger, LedgerSettings) else ledger


def _record(sealed: Sealed) -> Record:
    try:
        return sealed.record
    except ValueError as error:
        raise BrokenChainError(f"read record {sealed.number} in {sealed.source}: {error}") from error
