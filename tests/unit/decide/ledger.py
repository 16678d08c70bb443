"""A ledger for the simulated cluster: what the operator's process does with the outbox, over a store in memory."""

from datetime import datetime
from typing import Any

from modelyard.decide import outbox
from modelyard.decide.snapshot import LedgerSeen
from modelyard.ledger.errors import LedgerError, PlaceError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.records import START, Head, Record
from modelyard.ledger.verifying import verify
from modelyard.ledger.writing import append
from tests.unit.ledger.places import MemoryPlace

FRAUD = ChainName("test", "risk", "fraud")


class Ledger:
    """The chain of the one Model."""

    def __init__(self) -> None:
        self.place = MemoryPlace()
        self.stopped = False
        """Whether nobody appends, as when the process is busy or was just started."""
        self._appended: dict[int, tuple[int, str]] = {}
        self._problem = ""

    def go_down(self) -> None:
        """The store cannot be reached."""

        def refuse(verb: str, name: str) -> None:
            raise PlaceError("write the ledger: connection refused", transient=True)

        self.place.before = refuse

    def come_back(self) -> None:
        self.place.calm()

    def forget(self) -> None:
        """The operator's process was started anew."""
        self._appended, self._problem = {}, ""

    def seen(self) -> LedgerSeen:
        reason = "LedgerUnavailable" if self._problem else ""
        return LedgerSeen("9.9", dict(self._appended), reason, self._problem)

    def drain(self, model: dict[str, Any] | None, now: datetime) -> None:
        """Append what may be appended."""
        status = (model or {}).get("status") or {}
        items, _ = outbox.ready(status, now)
        if self.stopped or not items:
            return
        known = status["ledger"]
        head = Head(known["number"], known["sha256"]) if known["number"] else START
        try:
            done = append(self.place, FRAUD, [item["entry"] for item in items], head)
        except LedgerError as error:
            self._problem = str(error)
            return
        self._problem = ""
        self._appended = {i["ordinal"]: (h.number, h.sha256) for i, h in zip(items, done.heads, strict=True)}

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
