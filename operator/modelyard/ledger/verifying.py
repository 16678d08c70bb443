"""Is a chain as it was written? Every object of it is read, and the first record that is not as it was is named.

1. read every record by itself, and every copy of it in the segments;
2. judge them as a row (`judging`): each record vouches for all before it, because it carries the hash of the last;
3. compare with *anchors*: heads that were noted elsewhere, such as in the Model's status, in a report, on paper;
4. with public keys: see that somebody who is trusted signed, and compare with the heads that he noted (`heads`).

Only 3 and 4 can show that the end of a chain was cut off, or that a chain was written anew from some point on.
Called for `modelyard ledger verify`, with the caller's own rights. Nothing is written.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from modelyard.ledger.errors import LedgerError
from modelyard.ledger.heads import NotedHead, noted_heads
from modelyard.ledger.judging import Fault, Finding, Row, judge
from modelyard.ledger.layout import LEVELS, ChainName, record_number, segment_range
from modelyard.ledger.place import ReadPlace
from modelyard.ledger.reading import Piece, Sealed, split
from modelyard.ledger.records import START, Head
from modelyard.ledger.signing import Keys

READERS = 16
"""Records read at the same time; they are small."""


@dataclass(frozen=True)
class Report:
    """What was found of one chain."""

    chain: ChainName
    head: Head
    """Where the chain ends; note it elsewhere to be able to tell later whether it was cut or written anew."""
    findings: tuple[Finding, ...] = ()
    """What is wrong, by number; empty when the chain is as it was written."""
    noted: NotedHead | None = None
    """The newest signed head beside the records; None when there is none, or no key was given."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(place: ReadPlace, chain: ChainName, anchors: Iterable[Head] = (), keys: Keys | None = None) -> Report:
    """Read and judge a whole chain; with `keys`, whether it is signed with one of them."""
    names = {number for file, _ in place.files(chain.records) if (number := record_number(file)) is not None}
    copies, unreadable = _copies(place, chain)
    last = max(names | copies.keys(), default=0)
    with ThreadPoolExecutor(READERS, thread_name_prefix="ledger") as pool:
        rows = list(pool.map(lambda number: _row(place, chain, number, number in names, keys), range(1, last + 1)))
    noted, spoiled = noted_heads(place, chain, keys) if keys else ([], [])
    anchors = [*anchors, *(each.head for each in noted)]
    findings = [*judge(chain, rows, copies, anchors, to_be_signed=keys is not None), *unreadable, *spoiled]
    present = [row for row in rows if row.sha256]
    head = Head(present[-1].number, present[-1].sha256) if present else START
    ordered = tuple(sorted(findings, key=lambda finding: finding.number))
    return Report(chain, head, ordered, noted[-1] if noted else None)


def _row(place: ReadPlace, chain: ChainName, number: int, listed: bool, keys: Keys | None) -> Row:
    raw = place.read(chain.record(number)) if listed else None
    return Row(number) if raw is None else _understood(Sealed(number, raw, chain.record(number)), keys)


def _understood(sealed: Sealed, keys: Keys | None = None) -> Row:
    try:
        said = sealed.document
    except ValueError as error:
        return Row(sealed.number, sealed.head.sha256, problem=str(error))
    number, previous = said.get("number"), said.get("previous")
    return Row(
        sealed.number,
        sealed.head.sha256,
        says=number if isinstance(number, int) else None,
        previous=str(previous),
        model=f"{said.get('namespace')}/{said.get('model')}",
        cluster=str(said.get("cluster")),
        type=str(said.get("type")),
        signed=keys is not None and keys.vouch_for(said),
    )


def _copies(place: ReadPlace, chain: ChainName) -> tuple[Mapping[int, tuple[Row, ...]], list[Finding]]:
    """What the segments hold of each record, and the segments that cannot be read."""
    found: dict[int, tuple[Row, ...]] = {}
    unreadable = []
    for piece in _segments(place, chain):
        try:
            copies = split(piece, place.read(piece.name) or b"")
        except LedgerError as error:
            unreadable.append(Finding(piece.first, Fault.SEGMENT, piece.name, str(error)))
            continue
        for sealed in copies:
            found[sealed.number] = (*found.get(sealed.number, ()), _understood(sealed))
    return found, unreadable


def _segments(place: ReadPlace, chain: ChainName) -> Iterator[Piece]:
    for level in LEVELS:
        for file, _ in place.files(chain.segments(level)):
            if found := segment_range(file, level):
                yield Piece(*found, f"{chain.segments(level)}/{file}")
