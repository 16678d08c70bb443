"""Appending to a chain: each number is given out once, whatever dies in between.

    1. see that the chain still goes as far as is known, and what was appended since (`_tail`)
    2. leave out the entries that are there already: appended by whoever died before he could say so
    3. seal each of the others with the next number and the hash of the record before, and create it

Nothing is remembered from one call to the next, so it makes no difference who called before. A create whose answer was
lost is recognised by what lies under that number. If that is somebody else's record, nothing is appended: the next
call begins again at 1. One process at a time appends, the holder of the operator's Lease; the conditional create is
what holds when one believes for too long that it is still the holder.

Called by the operator in a thread, with the entries of one Model in the order in which they were committed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.ledger.canonical import canonical
from modelyard.ledger.errors import AdoptedError, BrokenChainError, ForeignRecordError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import Place
from modelyard.ledger.reading import Sealed, checked, pieces, read, read_record
from modelyard.ledger.records import SCHEMA, START, Head, RecordType, identity
from modelyard.ledger.signing import Signer

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Appended:
    """How far the chain goes after an append."""

    head: Head
    """The chain's end. All entries are at or before it."""
    heads: tuple[Head, ...] = ()
    """Of each entry, in their order: where it is in the chain."""
    foreign: tuple[Sealed, ...] = ()
    """Records after `known` that are none of the entries: the chain knows more than the Model's status."""


def append(
    place: Place,
    chain: ChainName,
    entries: Sequence[Entry],
    known: Head = START,
    cluster: str = "",
    signer: Signer | None = None,
) -> Appended:
    """Append those of the entries that are not in the chain yet; return when all are there, durably.

    Without entries it only looks what came after `known`.

    `known` is the last record that the Model's status knows to be appended; no entry may lie before it. `cluster` is
    who appends, when that is not who began the chain. With a `signer` each record is signed.
    """
    writer = cluster or chain.cluster
    known_record, tail = _tail(place, chain, known)
    last = tail[-1] if tail else known_record
    owner = last.document.get("cluster", writer) if last else writer
    head = last.head if last else known
    there = {identity(sealed.document): sealed.head for sealed in tail}
    ours = [identity(entry) for entry in entries]
    adopted = AdoptedError(
        f"append to {chain}: cluster {owner!r} has taken this chain over; cluster {writer!r} appends no more"
    )
    if not entries and owner != writer:
        raise adopted
    for key, entry in zip(ours, entries, strict=True):
        if key in there:
            continue
        if owner != writer and entry.get("type") != RecordType.ADOPTED:
            raise adopted
        owner = writer
        raw = _sealed(entry, chain, head, writer, signer)
        head = there[key] = _create(place, chain, raw, head.number + 1)
    foreign = tuple(sealed for sealed in tail if identity(sealed.document) not in ours)
    return Appended(head, tuple(there[key] for key in ours), foreign)


def _tail(place: Place, chain: ChainName, known: Head) -> tuple[Sealed | None, list[Sealed]]:
    """The last record that is known, and those appended since; raises when the chain does not go on from it."""
    if not known.number:
        return None, list(checked(read(place, chain, pieces(place, chain))))
    last = read_record(place, chain, known.number)
    if last is None or last.head != known:
        what = "is missing" if last is None else "is not the one that was appended"
        raise BrokenChainError(
            f"append to {chain}: record {known.number} {what}; put it back (an earlier version of the object, a "
            "backup): nothing is appended until then"
        )
    since = read(place, chain, pieces(place, chain, known.number, levels=()), known.number)
    return last, list(checked(since, known))


def _create(place: Place, chain: ChainName, raw: bytes, number: int) -> Head:
    sealed = Sealed(number, raw, chain.record(number))
    if not place.create(sealed.source, raw):
        found = read_record(place, chain, number)
        if found is None or found.raw != raw:
            raise ForeignRecordError(
                f"append to {chain}: somebody else wrote record {number} at the same time; looked at again"
            )
    return sealed.head


def _sealed(entry: Entry, chain: ChainName, head: Head, cluster: str, signer: Signer | None) -> bytes:
    """The bytes of the record that follows the head."""
    seal = {
        "schema": SCHEMA, "cluster": cluster, "namespace": chain.namespace, "model": chain.model,
        "number": head.number + 1, "previous": head.sha256,
    }  # fmt: skip
    record = {**entry, **seal}
    return signer.signed(record) if signer else canonical(record)
