"""Once a day for each Model: how far has its chain come? Signed, and put beside its records (`ledger.heads`).

By the holder of the Lease alone, at leisure, and only where records are signed. What is noted is what the Model's
status has of its chain. Nothing is remembered but what was noted today, which the store would tell again: a head is
created once a day, whoever tries again.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from functools import partial

from modelyard.ledger.errors import LedgerError
from modelyard.ledger.heads import note
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import Place
from modelyard.ledger.records import Head
from modelyard.ledger.signing import Signer
from modelyard.observe.cache import Cache
from modelyard.runtime.logs import fields

PAUSE = 600.0
"""Seconds between two looks for Models whose head of today is not noted yet."""

log = logging.getLogger(__name__)


class HeadNotes:
    """Notes the heads of all chains."""

    def __init__(
        self,
        place: Place,
        cluster: str,
        signer: Signer,
        *,
        cache: Cache,
        fence: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._place = place
        self._cluster = cluster
        self._signer = signer
        self._cache = cache
        self._fence = fence
        self._clock = clock
        self._noted: dict[object, date] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heads")

    async def work(self) -> None:
        """Note heads until cancelled."""
        try:
            while True:
                await self.note_all()
                await asyncio.sleep(PAUSE)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def note_all(self) -> None:
        """Note the head of every Model that has one, and none of today."""
        keys = set(self._cache.keys())
        self._noted = {key: day for key, day in self._noted.items() if key in keys}
        for key in keys:
            ledger = ((self._cache.holding(key).model or {}).get("status") or {}).get("ledger") or {}
            now = self._clock()
            if not ledger.get("number") or self._noted.get(key) == now.date():
                continue
            chain = ChainName(ledger.get("chain") or self._cluster, key.namespace, key.model)
            head = Head(ledger["number"], ledger["sha256"])
            self._fence()
            try:
                await self._in_thread(partial(note, self._place, chain, head, now, self._signer))
            except LedgerError as error:
                log.warning("heads could not be noted", extra=fields(chain=str(chain), error=str(error)))
                return  # the store is down, or refuses: the next round finds what is left
            self._noted[key] = now.date()

    async def _in_thread(self, work: Callable[[], bool]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)
