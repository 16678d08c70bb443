"""A ledger for the simulated cluster: what the operator's process does with the outbox, over a store in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelyard.decide import outbox
from modelyard.decide.snapshot import LedgerSeen
from modelyard.ledger.errors import LedgerError, PlaceError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.recalling import recall
from modelyard.ledger.records import START, Head, Record
from modelyard.ledger.verifying import verify
from modelyard.ledger.writing import append
from tests.unit.ledger.places import MemoryPlace

if TYPE_CHECKING:
    from modelyard.ledger.memory import Memory

FRAUD = ChainName("test", "risk", "fraud")


class Ledger:
    """The chain of the one Model, as one cluster sees it."""

    def __init__(self, place: MemoryPlace | None = None, cluster: str = FRAUD.cluster, *recover_from: str) -> None:
        self.place = place or MemoryPlace()
        self.stopped = False
        """Whether nobody appends, as when the process is busy or was just started."""
        self._cluster = cluster
        self._recover_from = recover_from
        self._forget()

    def _forget(self) -> None:
        self._appended: dict[int, tuple[int, str]] = {}
        self._reason = self._problem = ""
        self._memory: Memory | None = None
        self._compared = self._served = False
        self._taken = ""

    def go_down(self) -> None:
        """The store cannot be reached."""

        def refuse(verb: str, name: str) -> None:
            raise PlaceError("write the ledger: connection refused", transient=True)

        self.place.before = refuse

    def come_back(self) -> None:
        self.place.calm()

    def forget(self) -> None:
        """The operator's process was started anew."""
        self._forget()

    def seen(self, model: dict[str, Any] | None) -> LedgerSeen:
        serves = bool((model or {}).get("status", {}).get("stages"))
        if self._served and not serves:
            self._memory = None  # what was read is from before the status was lost
        self._served = serves
        self._taken = str((model or {}).get("status", {}).get("ledger", {}).get("chain", ""))
        return LedgerSeen("9.9", self._cluster, dict(self._appended), self._reason, self._problem, self._memory)

    def recall(self) -> None:
        """Read the chain, because a decision asks for it."""
        with self._problems():
            recover_from = () if self._served else self._recover_from
            self._memory = recall(self.place, replace(FRAUD, cluster=self._cluster), recover_from, self._taken)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
            self._reason = self._problem = ""
        except LedgerError as error:
            self._reason, self._problem = error.reason, str(error)

    def drain(self, model: dict[str, Any] | None, now: datetime) -> None:
        """Append what may be appended and is not yet."""
        status = (model or {}).get("status") or {}
        items, _ = outbox.ready(status, now)
        known = status.get("ledger") or {}
        self._appended = {i["ordinal"]: self._appended[i["ordinal"]] for i in items if i["ordinal"] in self._appended}
        new = [item for item in items if item["ordinal"] not in self._appended]
        if self.stopped or not (new or (known.get("number") and not self._compared)):
            return
        last = max(self._appended.values(), default=(known["number"], known["sha256"]) if known["number"] else None)
        chain = replace(FRAUD, cluster=known.get("chain") or self._cluster)
        with self._problems():
            done = append(
                self.place, chain, [item["entry"] for item in new], Head(*last) if last else START, self._cluster
            )
            self._compared = True
            self._appended |= {i["ordinal"]: (h.number, h.sha256) for i, h in zip(new, done.heads, strict=True)}
            if done.foreign:
                self.recall()

    @property
    def records(self) -> list[Record]:
        """The chain, checked on the way."""
        return [sealed.record for sealed in checked(walk(self.place, FRAUD))]

    @property
    def told(self) -> list[str]:
        """What happened to which version, in order."""
        return [f"{r.type} {r.to.version if r.to else r.version.version if r.version else ''}" for r in self.records]

    def is_intact(self) -> bool:
        return verify(self.place, FRAUD).intact
