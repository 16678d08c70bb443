"""Putting records together into segments, so that a long chain is read with few requests.

Segments are made of records that follow from each other, are never changed, and hold nothing that the records do not:
without them everything is still there, only slower to read. Two processes that make the same one make the same bytes.
Called by the operator after appending, and by whoever finds that segments are missing.
"""

from modelyard.ledger.errors import BrokenChainError
from modelyard.ledger.layout import LEVELS, ChainName, complete_segments, segment_range
from modelyard.ledger.place import Place
from modelyard.ledger.reading import checked, pieces, read, read_record
from modelyard.ledger.records import START, Head


def compact(place: Place, chain: ChainName, head: int, after: int = 0) -> int:
    """Make the missing segments that end after one number and not after another; return how many were made."""
    made = 0
    for index, level in enumerate(LEVELS):
        if head // level == after // level:
            break  # none of this level ends in between, so none of a larger one does
        there = {segment_range(file, level) for file, _ in place.files(chain.segments(level))}
        for first in complete_segments(level, after, head):
            if (first, first + level - 1) not in there:
                content = _segment(place, chain, first - 1, first + level - 1, LEVELS[:index])
                made += place.create(chain.segment(level, first), content)
    return made


def _segment(place: Place, chain: ChainName, after: int, until: int, smaller: tuple[int, ...]) -> bytes:
    """The records after one number, up to another, a line each."""
    parts = pieces(place, chain, after, until, smaller)
    lines = [sealed.raw for sealed in checked(read(place, chain, parts, after), _head_at(place, chain, after))]
    if len(lines) != until - after:
        raise BrokenChainError(f"make a segment of {chain}: record {after + len(lines) + 1} is missing")
    return b"\n".join([*lines, b""])


def _head_at(place: Place, chain: ChainName, number: int) -> Head:
    if number == 0:
        return START
    sealed = read_record(place, chain, number)
    if sealed is None:
        raise BrokenChainError(f"make a segment of {chain}: record {number} is missing")
    return sealed.head
