"""How far a chain had come on a day: heads that the operator signs and puts beside the records, once a day.

    <cluster>/<namespace>/<model>/heads/2026-11-21.json

A record cannot tell that those after it were cut off. A signed head can, and nobody but the holder of the key can make
one; who cuts a chain has to remove the heads since then as well, and then the last one is old. There is one a day for
each Model, whether anything happened or not, so that this shows. Appending costs nothing more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.api import codec
from modelyard.ledger.canonical import parse
from modelyard.ledger.judging import Fault, Finding
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import Place, ReadPlace
from modelyard.ledger.records import Head
from modelyard.ledger.signing import Keys, Signer

SCHEMA = "modelyard.dev/ledger/head/v1"


@dataclass(frozen=True)
class NotedHead:
    """How far the chain had come when it was noted."""

    number: int
    sha256: str
    at: datetime
    cluster: str
    namespace: str
    model: str
    schema: str = SCHEMA

    @property
    def head(self) -> Head:
        """The record."""
        return Head(self.number, self.sha256)


def note(place: Place, chain: ChainName, head: Head, at: datetime, signer: Signer) -> bool:
    """Note the chain's head of today; False when today's is noted already."""
    noted = NotedHead(head.number, head.sha256, at, chain.cluster, chain.namespace, chain.model)
    return place.create(f"{chain.heads}/{at.date().isoformat()}.json", signer.signed(codec.dump(noted)))


def noted_heads(place: ReadPlace, chain: ChainName, keys: Keys) -> tuple[list[NotedHead], list[Finding]]:
    """The heads that were noted with one of the keys, oldest first, and what is wrong with some.

    Heads that say they are by another key are passed over: keys change.
    """
    good, bad = [], []
    for name, document in _documents(place, chain):
        problem = _problem(chain, document, keys)
        if problem is None:
            good.append(codec.load(NotedHead, document))
        elif problem:
            number = document.get("number")
            bad.append(Finding(number if isinstance(number, int) else 0, Fault.HEAD, name, problem))
    return sorted(good, key=lambda noted: noted.at), bad


def _documents(place: ReadPlace, chain: ChainName) -> Iterator[tuple[str, dict[str, Any]]]:
    for file, _ in place.files(chain.heads):
        name = f"{chain.heads}/{file}"
        try:
            yield name, parse(place.read(name) or b"")
        except ValueError:
            yield name, {}


def _problem(chain: ChainName, document: dict[str, Any], keys: Keys) -> str | None:
    """Why the document is no head of this chain; None when it is one, empty when another key would know."""
    if document and not keys.have(document):
        return ""
    if not keys.vouch_for(document):
        return "a noted head is not as it was signed"
    where = tuple(document.get(name) for name in ("schema", "cluster", "namespace", "model"))
    if where != (SCHEMA, chain.cluster, chain.namespace, chain.model):
        return f"a noted head is that of {where[1]}/{where[2]}/{where[3]}"
    return None
