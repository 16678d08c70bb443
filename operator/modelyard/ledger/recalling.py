"""Which chain is a Model's, and what does it tell of it? Asked for a Model that has no status, or an old one.

1. the chain that was taken over from another cluster before, as the Model's status says;
2. the chain that bears this cluster's name, if it has records;
3. the first that there is of the clusters that this one is told to recover from.

A chain whose last writer is another cluster is only read when that one is named too: whoever takes it over makes the
other one stop. What does not hold together is not taken up. Called by the operator in a thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from modelyard.ledger.errors import AdoptedError, BrokenChainError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.memory import Memory, remember
from modelyard.ledger.place import ReadPlace
from modelyard.ledger.reading import Sealed, checked, walk
from modelyard.ledger.records import Head, Record


def recall(place: ReadPlace, own: ChainName, recover_from: Sequence[str] = (), taken: str = "") -> Memory:
    """What the Model's chain tells; of a Model without a chain, nothing.

    `own`: the chain of this cluster's name. `taken`: the cluster after which the one that was taken over is named.
    """
    clusters = dict.fromkeys((own.cluster, *recover_from))
    for cluster in (taken,) if taken else clusters:
        chain = replace(own, cluster=cluster)
        memory = remember(Memory(chain=cluster), _records(checked(walk(place, chain))))
        if not memory.writer:
            continue
        if memory.writer not in clusters:
            raise AdoptedError(
                f"recover from {chain}: cluster {memory.writer!r} has taken this chain over; to take it over from "
                "there, name that cluster in ledger.recoverFrom"
            )
        return memory
    return Memory(chain=own.cluster)


def _records(found: Iterator[Sealed]) -> Iterator[tuple[Record, Head]]:
    for sealed in found:
        try:
            yield sealed.record, sealed.head
        except ValueError as error:
            raise BrokenChainError(f"read record {sealed.number} in {sealed.source}: {error}") from error
