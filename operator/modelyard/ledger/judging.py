"""Which record of a chain is not as it was written? Pure: what was found goes in, findings come out. See `verifying`.

A record's bytes are right when the next record carries their hash. When two neighbours do not fit together, one of
them was changed: the earlier one, if the later one still fits the record after it. A copy in a segment is a witness:
where record and copy differ, the one that the next record vouches for is right.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelyard.ledger.layout import ChainName
from modelyard.ledger.records import NOTHING_BEFORE, Head, RecordType


class Fault(StrEnum):
    """What is wrong."""

    ALTERED = "Altered"
    """The record's bytes are not those that were appended."""
    MISSING = "Missing"
    """There is no record of that number, and there are or were later ones."""
    REORDERED = "Reordered"
    """Another record of the same chain lies in this place."""
    MISPLACED = "Misplaced"
    """A record of another chain lies in this place."""
    CUT = "Cut"
    """The chain ends before the place that it is known to have reached."""
    REWRITTEN = "Rewritten"
    """The records fit together and are not those that were there when the head was noted."""
    UNSIGNED = "Unsigned"
    """Neither this record nor any after it is signed with a key that is trusted."""
    HEAD = "Head"
    """A head that was noted beside the records is not as it was signed."""
    SEGMENT = "Segment"
    """A segment does not hold what the records hold. The records themselves are not touched by that."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    number: int
    fault: Fault
    object: str
    """The object to look at, relative to the ledger's URL."""
    message: str


@dataclass(frozen=True)
class Row:
    """What was found in a record's place, or in a copy of it."""

    number: int
    sha256: str = ""
    """Empty when there is nothing."""
    says: int | None = None
    """The number that the record itself gives."""
    previous: str = ""
    model: str = ""
    cluster: str = ""
    type: str = ""
    signed: bool = False
    """Whether a key that is trusted signed it as it is."""
    problem: str = ""
    """Why it cannot be read."""


Copies = Mapping[int, tuple[Row, ...]]


def judge(
    chain: ChainName, rows: Sequence[Row], copies: Copies, anchors: Iterable[Head], *, to_be_signed: bool = False
) -> list[Finding]:
    """What is wrong with a chain whose records are 1, 2, 3 and so on.

    `to_be_signed`: whether somebody who is trusted has to vouch for each of them.
    """
    found: dict[int, Finding] = {}
    for row in rows:
        if problem := _by_itself(chain, row, rows, copies):
            found[row.number] = problem
    for number, message in _links(rows, copies):
        if number not in found and number - 1 not in found:
            found[number] = Finding(number, Fault.ALTERED, chain.record(number), message)
    findings = [*found.values(), *_segments(chain, rows, copies, found)]
    findings += _anchored(chain, rows, anchors, found)
    if to_be_signed and not found:
        findings += _unsigned(chain, rows)
    return sorted(findings, key=lambda finding: finding.number)


def _by_itself(chain: ChainName, row: Row, rows: Sequence[Row], copies: Copies) -> Finding | None:
    name = chain.record(row.number)
    expected = f"{chain.namespace}/{chain.model}"
    if not row.sha256:
        has = "; a segment holds its bytes" if copies.get(row.number) else ""
        return Finding(row.number, Fault.MISSING, name, f"record {row.number} is missing{has}")
    if row.problem:
        return Finding(row.number, Fault.ALTERED, name, f"record {row.number} cannot be read: {row.problem}")
    if row.model != expected:
        message = f"in the place of record {row.number} lies a record of {row.model}; expected one of {expected}"
        return Finding(row.number, Fault.MISPLACED, name, message)
    if row.says != row.number:
        message = f"in the place of record {row.number} lies one that says it is number {row.says}"
        return Finding(row.number, Fault.REORDERED, name, message)
    if row.number == 1 and row.previous != NOTHING_BEFORE:
        return Finding(1, Fault.ALTERED, name, "record 1 claims that a record comes before it")
    before = rows[row.number - 2].cluster if row.number > 1 else chain.cluster
    if row.cluster != before and row.type != RecordType.ADOPTED and row.model == expected:
        message = f"record {row.number} was written by cluster {row.cluster!r}, which had not adopted the chain"
        return Finding(row.number, Fault.MISPLACED, name, message)
    if _witnessed(row, rows, copies) is False:
        message = f"record {row.number} was altered: a segment holds other bytes, and those fit the chain"
        return Finding(row.number, Fault.ALTERED, name, message)
    return None


def _links(rows: Sequence[Row], copies: Copies) -> Iterator[tuple[int, str]]:
    """Neighbours that do not fit together, and which of them is to blame."""
    for before, row, after in zip(rows, rows[1:], [*rows[2:], None], strict=False):
        if row.previous == before.sha256 or not before.sha256 or not row.sha256:
            continue
        row_fits = after is None or after.previous == row.sha256 or _witnessed(row, rows, copies) is True
        to_blame, other = (before, row) if row_fits else (row, before)
        yield (
            to_blame.number,
            (
                f"record {to_blame.number} was altered: it and record {other.number} do not fit together "
                f"(record {row.number} was appended to one with the hash {row.previous})"
            ),
        )


def _witnessed(row: Row, rows: Sequence[Row], copies: Copies) -> bool | None:
    """Whether the copies speak for the record (True) or against it (False); None when there is no telling."""
    others = {copy.sha256 for copy in copies.get(row.number, ())}
    if not others:
        return None
    if row.sha256 in others:
        return True
    vouched = {copy.previous for copy in copies.get(row.number + 1, ())}
    if row.number < len(rows):
        vouched.add(rows[row.number].previous)
    if row.sha256 in vouched:
        return None
    return False if others & vouched or not vouched else None


def _segments(chain: ChainName, rows: Sequence[Row], copies: Copies, found: Mapping[int, Finding]) -> Iterator[Finding]:
    for number, others in copies.items():
        if number in found or all(copy.sha256 == rows[number - 1].sha256 for copy in others):
            continue
        message = f"a segment holds other bytes for record {number} than the record, which fits the chain"
        yield Finding(number, Fault.SEGMENT, f"{chain}/segments", message)


def _unsigned(chain: ChainName, rows: Sequence[Row]) -> Iterator[Finding]:
    """The first record after the last that is signed: a signature vouches for all before it as well."""
    last = max((row.number for row in rows if row.signed), default=0)
    if last < len(rows):
        after = f"; record {last} is the last" if last else ""
        message = f"neither record {last + 1} nor any after it is signed with a key that was given{after}"
        yield Finding(last + 1, Fault.UNSIGNED, chain.record(last + 1), message)


def _anchored(
    chain: ChainName, rows: Sequence[Row], anchors: Iterable[Head], found: Mapping[int, Finding]
) -> Iterator[Finding]:
    last = max((row.number for row in rows if row.sha256), default=0)
    for anchor in sorted(anchors, key=lambda head: head.number):
        if anchor.number > last:
            message = f"the chain ends at record {last}; it is known to have reached {anchor.number}"
            yield Finding(last + 1, Fault.CUT, chain.record(last + 1), message)
            return
        if anchor.number and rows[anchor.number - 1].sha256 != anchor.sha256 and not found:
            message = (
                f"record {anchor.number} fits the chain and is not the one whose hash was noted ({anchor.sha256}): it "
                "or one before it was written anew"
            )
            yield Finding(anchor.number, Fault.REWRITTEN, chain.record(anchor.number), message)
            return
