"""Reading a chain from end to end with few requests, and finding out where it ends.

    segments of 8000 | of 400 | of 20 | single records

The largest are taken first, and smaller ones for what they do not cover. What is read is only as good as the chain:
`checked` stops at the first record that does not follow from the one before it.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from modelyard.ledger.canonical import parse, sha256_of
from modelyard.ledger.errors import BrokenChainError
from modelyard.ledger.layout import LEVELS, ChainName, record_number, segment_range
from modelyard.ledger.place import ReadPlace
from modelyard.ledger.records import START, Head, Record, load_record

AT_ONCE = 8
"""Objects read at the same time: segments may be some megabytes each."""


@dataclass(frozen=True)
class Sealed:
    """A record as it is stored."""

    number: int
    """By its place in the chain; what the record itself says may differ."""
    raw: bytes
    source: str
    """The object that it was read from."""

    @cached_property
    def document(self) -> dict[str, Any]:
        """Its JSON. Raises ValueError when it is none."""
        return parse(self.raw)

    @cached_property
    def head(self) -> Head:
        """The chain as far as this record."""
        return Head(self.number, sha256_of(self.raw))

    @property
    def record(self) -> Record:
        """What it says. Raises ValueError when it is no record."""
        return load_record(self.document)


@dataclass(frozen=True)
class Piece:
    """An object that holds some consecutive records."""

    first: int
    last: int
    name: str


def chains(place: ReadPlace) -> Iterator[ChainName]:
    """Every chain of the ledger."""
    for cluster in place.folders(""):
        for namespace in place.folders(cluster):
            for model in place.folders(f"{cluster}/{namespace}"):
                yield ChainName(cluster, namespace, model)


def pieces(
    place: ReadPlace, chain: ChainName, after: int = 0, until: int | None = None, levels: Sequence[int] = LEVELS
) -> Iterator[Piece]:
    """The objects from which the records after one number, up to another, are read: few, and in order.

    A segment that is missing is made up for by smaller ones, and those by single records.
    """
    if not levels:
        yield from _singles(place, chain, after, until)
        return
    *smaller, level = levels
    covered = after
    for file, _ in place.files(chain.segments(level), after=_file_before(after)):
        found = segment_range(file, level)
        if found is None:
            continue
        if until is not None and found[1] > until:
            break
        if found[0] > covered + 1:
            yield from pieces(place, chain, covered, found[0] - 1, smaller)
        yield Piece(*found, f"{chain.segments(level)}/{file}")
        covered = found[1]
    if until is None or covered < until:
        yield from pieces(place, chain, covered, until, smaller)


def _singles(place: ReadPlace, chain: ChainName, after: int, until: int | None) -> Iterator[Piece]:
    for file, _ in place.files(chain.records, after=_file_before(after)):
        number = record_number(file)
        if until is not None and number is not None and number > until:
            break
        if number is not None:
            yield Piece(number, number, chain.record(number))


def walk(place: ReadPlace, chain: ChainName) -> Iterator[Sealed]:
    """All records, in order, as they lie there; nothing is checked but that each can be found."""
    return read(place, chain, pieces(place, chain))


def read(place: ReadPlace, chain: ChainName, found: Iterable[Piece], after: int = 0) -> Iterator[Sealed]:
    """The records after that number, out of those objects."""
    wanted = after + 1
    for piece, raw in _read_ahead(place, iter(found)):
        if piece.first != wanted:
            raise BrokenChainError(f"read {chain}: record {wanted} is missing, and there are later ones")
        if raw is None:
            raise BrokenChainError(f"read {chain}: {piece.name} was listed and cannot be found")
        yield from split(piece, raw)
        wanted = piece.last + 1


def split(piece: Piece, raw: bytes) -> list[Sealed]:
    """The records in an object."""
    if piece.first == piece.last:
        return [Sealed(piece.first, raw, piece.name)]
    lines = raw.removesuffix(b"\n").split(b"\n")
    if len(lines) != piece.last - piece.first + 1:
        raise BrokenChainError(
            f"read {piece.name}: it holds {len(lines)} records; its name says {piece.first} to {piece.last}"
        )
    return [Sealed(number, line, piece.name) for number, line in enumerate(lines, piece.first)]


def checked(records: Iterable[Sealed], head: Head = START) -> Iterator[Sealed]:
    """The same records, as long as each follows from the one before."""
    for sealed in records:
        try:
            number, previous = sealed.document.get("number"), sealed.document.get("previous")
        except ValueError as error:
            raise BrokenChainError(f"read record {sealed.number} in {sealed.source}: {error}") from error
        if number != head.number + 1 or previous != head.sha256:
            raise BrokenChainError(
                f"read record {sealed.number} in {sealed.source}: it does not follow from record {head.number} as that "
                "is now; `modelyard ledger verify` says which record is not as it was written"
            )
        head = sealed.head
        yield sealed


def read_record(place: ReadPlace, chain: ChainName, number: int) -> Sealed | None:
    """One record as it was appended; None when there is none of that number."""
    raw = place.read(chain.record(number))
    return None if raw is None else Sealed(number, raw, chain.record(number))


def _file_before(number: int) -> str:
    """A name that sorts before the names of everything that begins after that number."""
    return f"{max(number, 0) + 1:012}"


def _read_ahead(place: ReadPlace, found: Iterator[Piece]) -> Iterator[tuple[Piece, bytes | None]]:
    """Each piece with its bytes, in order, some read at the same time."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ledger") as pool:

        def ask(piece: Piece) -> tuple[Piece, Future[bytes | None]]:
            return piece, pool.submit(place.read, piece.name)

        yield from _in_flight(map(ask, found))


def _in_flight(asked: Iterator[tuple[Piece, "Future[bytes | None]"]]) -> Iterator[tuple[Piece, bytes | None]]:
    waiting = list(islice(asked, AT_ONCE))
    while waiting:
        piece, answer = waiting.pop(0)
        waiting += islice(asked, 1)
        yield piece, answer.result()
