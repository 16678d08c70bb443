"""Carrying what waits in the Models' outboxes into the ledger, in order and at leisure.

    a turn of a Model ends -> look(key): does anything wait?  -> the recorder's own queue -> append, in a thread
    a decision needs to know what the ledger has -> ask(key) -> the same queue           -> read, in a thread
                                                                                         -> the Model's next turn

Nothing waits for it but promotions that find the outbox full, and a Model without a status until its chain was read.
It keeps only what the chain would tell again: how far each Model's outbox has been appended, why it cannot be, and what
was read. Appending and reading take turns for a Model, so a namesake reads nothing before its predecessor's last record
is there. Only the holder of the Lease runs it; should an append be under way when the Lease is lost, the chain itself
sees to it that nothing is written twice.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

from modelyard.api import codec
from modelyard.decide import outbox
from modelyard.decide.snapshot import LedgerSeen, Obj
from modelyard.ledger.errors import AdoptedError, ForeignRecordError, LedgerError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.memory import Memory
from modelyard.ledger.place import Place, prepare
from modelyard.ledger.recalling import recall
from modelyard.ledger.records import START, Entry, Head, RecordType
from modelyard.ledger.segments import compact
from modelyard.ledger.signing import Signer
from modelyard.ledger.writing import Appended, append
from modelyard.observe.cache import Cache
from modelyard.observe.keys import Key
from modelyard.runtime.clock import WatchedClock
from modelyard.runtime.logs import fields
from modelyard.runtime.metrics import Metrics
from modelyard.runtime.queue import Backoff, Queue

WORKERS = 4
"""Chains appended to at the same time."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts, however long the store has been down."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class _Progress:
    """How far a Model's record has come."""

    uid: str = ""
    status: Obj = field(default_factory=dict)
    """The Model's last known status: when the Model is gone, what waited in it is appended nevertheless."""
    appended: dict[int, Head] = field(default_factory=dict)
    """By ordinal; only of entries that still stand in the status."""
    memory: Memory | None = None
    """What the chain tells, once somebody asked."""
    reason: str = ""
    problem: str = ""
    compared: bool = False
    """Whether this process has looked if the chain ends where the status says."""
    pauses: bool = False
    """Whether the last attempt failed and the next one is due later, whatever else happens."""

    @classmethod
    def of(cls, model: Obj | None) -> "_Progress":
        """What a process that was just started knows: that a chain is another cluster's stands in the status."""
        conditions = ((model or {}).get("status") or {}).get("conditions") or ()
        found = (c for c in conditions if (c["type"], c["reason"]) == ("LedgerSynced", AdoptedError.reason))
        return next((cls(reason=c["reason"], problem=c["message"]) for c in found), cls())

    @property
    def is_due(self) -> bool:
        """Whether there is something to append, or to compare with."""
        number = (self.status.get("ledger") or {}).get("number")
        return bool(self.waiting or (number and not self.compared))

    @property
    def waiting(self) -> int:
        """Entries that are not in the chain yet."""
        return sum(item["ordinal"] not in self.appended for item in _items(self.status))


class Recorder:
    """Appends to the ledger for all Models."""

    def __init__(
        self,
        place: Place,
        cluster: str,
        *,
        recover_from: Sequence[str] = (),
        signer: Signer | None = None,
        cache: Cache,
        wake: Callable[[Key], None],
        fence: Callable[[], None],
        metrics: Metrics,
        clock: WatchedClock,
        threads: Executor | None = None,
    ) -> None:
        self._place = place
        self._cluster = cluster
        self._recover_from = recover_from
        self._signer = signer
        self._cache = cache
        self._wake = wake
        self._fence = fence
        self._metrics = metrics
        self._clock = clock
        self._queue = Queue[Key](Backoff(cap=LONGEST_PAUSE), lane=lambda key: key.namespace, share=WORKERS - 1)
        self._threads = threads or ThreadPoolExecutor(WORKERS, thread_name_prefix="recorder")
        self._known: dict[Key, _Progress] = {}
        self._asked: set[Key] = set()
        self._prepared = False
        self._operator = version("modelyard")
        metrics.ledger_waiting.set_function(lambda: sum(known.waiting for known in self._known.values()))

    def seen(self, key: Key, model: Obj | None) -> LedgerSeen:
        """What a decision on the Model is told."""
        known = self._known.get(key)
        if known is None or _is_gone(model, known):
            known = _Progress.of(model)
        appended = {ordinal: (head.number, head.sha256) for ordinal, head in known.appended.items()}
        memory = None if _has_lost_status(model, known) else known.memory  # that was read before it was lost
        return LedgerSeen(self._operator, self._cluster, appended, known.reason, known.problem, memory)

    def ask(self, key: Key) -> None:
        """A decision wants to know what the ledger has of the Model; called before its turn ends."""
        self._asked.add(key)

    def look(self, key: Key) -> None:
        """A turn of the Model ended: see whether anything waits to be appended."""
        model = self._cache.holding(key).model
        known = self._known.get(key)
        if model is not None:
            known = self._known.setdefault(key, _Progress.of(model))
            if known.uid in ("", model["metadata"]["uid"]):
                known.memory = None if _has_lost_status(model, known) else known.memory
                known.uid, known.status = model["metadata"]["uid"], model.get("status") or {}
                standing = {item["ordinal"] for item in _items(known.status)}
                known.appended = {n: head for n, head in known.appended.items() if n in standing}
        if known and not known.pauses and (known.is_due or key in self._asked or _is_gone(model, known)):
            self._queue.add(key)

    async def work(self) -> None:
        """Append for one Model after another until the queue is closed: one worker."""
        while (key := await self._queue.take()) is not None:
            try:
                await self._record(key)
            finally:
                self._queue.done(key)

    def close(self) -> None:
        """Begin nothing any more."""
        self._queue.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _record(self, key: Key) -> None:
        known = self._known.get(key)
        if known is None:
            return
        known.pauses = False
        try:
            gone = await self._append(key, known)
            if not gone and key in self._asked:
                await self._recall(key, known)
        except LedgerError as error:
            self._failed(key, known, error)
            return
        if gone:
            self._let_go(key)

    async def _append(self, key: Key, known: _Progress) -> bool:
        """Append what may be appended; whether the Model is gone, so that this was all."""
        gone = _is_gone(self._cache.holding(key).model, known)
        items, again_at = outbox.ready(known.status, self._clock.now(), self._clock.set_forth_at)
        if gone:
            items = _items(known.status)
        new = [item for item in items if item["ordinal"] not in known.appended]
        entries = [item["entry"] for item in new]
        if gone and known.status.get("ledger"):
            entries.append(self._farewell(known))
        if again_at is not None and not gone:
            self._queue.add_later(key, (again_at - self._clock.now()).total_seconds())
        if entries or (known.is_due and not known.waiting):
            self._fence()
            chain = self._chain(key, known)
            done = await self._in_thread(partial(self._append_now, chain, entries, _last_known(known, items)))
            self._succeeded(key, known, new, done)
        return gone

    async def _recall(self, key: Key, known: _Progress) -> None:
        """Read what the chain tells of the Model."""
        own = ChainName(self._cluster, key.namespace, key.model)
        taken = (known.status.get("ledger") or {}).get("chain", "")
        # Who has a status takes nothing over: two clusters that are told to recover from each other would never stop.
        recover_from = () if known.status.get("stages") else self._recover_from
        found = await self._in_thread(partial(recall, self._place, own, recover_from, taken))
        known.memory, known.reason, known.problem = found, "", ""
        self._asked.discard(key)
        self._queue.succeeded(key)
        where = fields(namespace=key.namespace, model=key.model, chain=found.chain, number=found.head.number)
        log.info("ledger read", extra=where)
        self._wake(key)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _chain(self, key: Key, known: _Progress) -> ChainName:
        chain = (known.status.get("ledger") or {}).get("chain")
        return ChainName(chain or self._cluster, key.namespace, key.model)

    def _let_go(self, key: Key) -> None:
        """The Model is gone, and all of it is told. A namesake may have come."""
        del self._known[key]
        if self._cache.holding(key).model is None:
            self._asked.discard(key)
        self.look(key)

    def _append_now(self, chain: ChainName, entries: Sequence[Mapping[str, Any]], head: Head) -> Appended:
        if not self._prepared:
            prepare(self._place)
            self._prepared = True
        done = append(self._place, chain, entries, head, self._cluster, self._signer)
        try:
            compact(self._place, chain, done.head.number, after=head.number)
        except LedgerError as error:  # slower to read, and nothing else
            log.warning("records could not be put together", extra=fields(chain=str(chain), error=str(error)))
        return done

    def _succeeded(self, key: Key, known: _Progress, new: Sequence[outbox.Item], done: Appended) -> None:
        was_full, had_problem = known.waiting >= outbox.PATIENT_LIMIT, bool(known.problem)
        known.compared = True
        known.appended |= {item["ordinal"]: head for item, head in zip(new, done.heads, strict=False)}
        known.reason = known.problem = ""
        self._queue.succeeded(key)
        self._metrics.ledger_records.labels("appended").inc(len(done.heads))
        where = fields(namespace=key.namespace, model=key.model, records=len(done.heads), number=done.head.number)
        log.log(logging.INFO if done.heads else logging.DEBUG, "recorded", extra=where)
        if done.foreign:  # the status is older than what happened: restored from a backup, or taken over meanwhile
            self._asked.add(key)
            self._queue.add(key)
        if was_full:  # what had to wait where it was may be left out of the next snapshot otherwise
            self._cache.show_all(key)
        if done.heads or had_problem:
            self._wake(key)

    def _failed(self, key: Key, known: _Progress, error: LedgerError) -> None:
        self._metrics.ledger_records.labels("failed").inc()
        pause = self._queue.failed(key)
        known.pauses = True
        where = fields(namespace=key.namespace, model=key.model, retry_in=round(pause, 3), error=str(error))
        log.warning("record could not be appended", extra=where)
        if isinstance(error, ForeignRecordError):
            return  # the next attempt begins behind it
        if isinstance(error, AdoptedError) and _is_gone(self._cache.holding(key).model, known):
            self._let_go(key)  # its record is another cluster's to end
            return
        if known.problem != str(error):
            known.reason, known.problem = error.reason, str(error)
            self._wake(key)

    def _farewell(self, known: _Progress) -> dict[str, Any]:
        """The Model is gone: the last record of it."""
        entry = Entry(
            RecordType.DELETED.value, self._clock.now(), known.uid, self._operator, message="the Model was deleted"
        )
        found: dict[str, Any] = codec.dump(entry)
        return found


def _items(status: Obj) -> list[outbox.Item]:
    return list((status.get("ledger") or {}).get("outbox") or ())


def _has_lost_status(model: Obj | None, known: _Progress) -> bool:
    """Whether the Model had stages when it was last looked at, and has none now."""
    return bool(known.status.get("stages")) and not ((model or {}).get("status") or {}).get("stages")


def _is_gone(model: Obj | None, known: _Progress) -> bool:
    """Whether the Model whose record it is does not exist any more, though a namesake may."""
    return bool(known.uid) and (model is None or model["metadata"]["uid"] != known.uid)


def _last_known(known: _Progress, items: Sequence[outbox.Item]) -> Head:
    """The last record before those to be appended."""
    heads = [known.appended[item["ordinal"]] for item in items if item["ordinal"] in known.appended]
    if heads:
        return max(heads, key=lambda head: head.number)
    ledger = known.status.get("ledger") or {}
    return Head(ledger["number"], ledger["sha256"]) if ledger.get("number") else START
