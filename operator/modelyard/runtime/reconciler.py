"""One turn of one Model: snapshot, decide, execute, and when to look again.

Workers of the queue call it, never two for the same Model. It is where failures end: each is logged and counted
once, and the Model comes back after a backoff. A turn that wrote something is followed by another at once, until a
decision finds nothing to do.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard.api.names import LABEL_JOB
from modelyard.api.reasons import EventReason
from modelyard.decide.plan import Create, EventNote, Plan
from modelyard.decide.snapshot import Obj, Settings, Snapshot
from modelyard.execute.events import EventPublisher
from modelyard.execute.executor import Executor, StaleError, WritesFailedError
from modelyard.kube.errors import AbsentError, KubeError, TransientError
from modelyard.observe.cache import Cache
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.observe.snapshot import take_snapshot
from modelyard.runtime.clock import WatchedClock
from modelyard.runtime.feed import Feed
from modelyard.runtime.logs import fields
from modelyard.runtime.metrics import Metrics
from modelyard.runtime.queue import Queue
from modelyard.runtime.recorder import Recorder

REFUSED_PAUSE = 15.0
"""Seconds before a write that was refused is tried again: only a person can change the answer."""
RESTLESS_TURNS = 100
"""Turns in a row that each led to another: more are not a busy Model but a decision that never comes to rest."""
RESTLESS_PAUSE = 1.0
TIMER_MARGIN = 0.002
"""Timers and the clock are not the same: woken too early, a decision would only ask to be woken again."""

log = logging.getLogger(__name__)

Decide = Callable[[Snapshot, datetime], Plan]


@dataclass(frozen=True)
class Parts:
    """What a reconciler works with."""

    cache: Cache
    slots: Slots
    feed: Feed
    queue: Queue[Key]
    executor: Executor
    events: EventPublisher
    decide: Decide
    settings: Settings
    metrics: Metrics
    clock: WatchedClock
    make_sure: Callable[[Key], Awaitable[None]]
    """Reads anew, before a decision, what the cache seems to lag behind with."""
    recorder: Recorder | None = None
    """None when no ledger is configured."""


class Reconciler:
    """Turns of Models."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turns: dict[Key, int] = {}  # turns in a row that led to another
        self._since: dict[Key, float] = {}

    def longest_turn(self) -> float:
        """For how many seconds the oldest running turn has been running."""
        return time.monotonic() - min(self._since.values(), default=time.monotonic())

    async def work(self) -> None:
        """Take keys until the queue is closed: one worker."""
        queue = self._parts.queue
        while (key := await queue.take()) is not None:
            self._since[key] = started = time.monotonic()
            outcome = "interrupted"
            try:
                outcome = await self._turn(key)
            finally:
                del self._since[key]
                queue.done(key)
                if self._parts.recorder:
                    self._parts.recorder.look(key)
                self._parts.metrics.reconciles.labels(outcome).observe(time.monotonic() - started)

    async def _turn(self, key: Key) -> str:
        """Look at one Model; return how that ended."""
        parts = self._parts
        try:
            plan = await self._decide_and_execute(key)
        except StaleError:
            parts.cache.show_all(key)
            self._again(key)
            return "stale"
        except AbsentError as error:  # the Model was deleted meanwhile: the watch says so too
            parts.feed.absent(error)
            return "gone"
        except (WritesFailedError, KubeError) as error:
            await self._failed(key, error)
            return "failed"
        except Exception as error:
            parts.metrics.errors.labels(type(error).__name__).inc()
            parts.cache.show_all(key)
            where = fields(namespace=key.namespace, model=key.model, retry_in=parts.queue.failed(key))
            log.exception("reconciliation crashed", extra=where)
            return "crashed"
        self._rest(key, plan)
        return "idle" if plan.is_empty else "wrote"

    async def _decide_and_execute(self, key: Key) -> Plan:
        parts = self._parts
        await parts.make_sure(key)
        now = parts.clock.now()
        snapshot = take_snapshot(parts.cache, parts.slots, parts.settings, key, now)
        snapshot = replace(snapshot, clock_set_forth_at=parts.clock.set_forth_at)
        if parts.recorder:
            snapshot = replace(snapshot, ledger=parts.recorder.seen(key, snapshot.model))
        plan = parts.decide(snapshot, now)
        if parts.recorder and plan.asks_ledger:
            parts.recorder.ask(key)
        verifications = planned_verifications(plan)
        # No await between the snapshot and the reservation: another worker would count the same slot as free.
        parts.slots.wait(key, plan.waits_for_verification)
        try:
            with parts.slots.reserved(key.namespace, verifications):
                if not plan.is_empty:
                    await self._execute(key, snapshot, plan)
        finally:
            if not plan.waits_for_verification:  # a slot that was not used up is somebody else's
                parts.feed.wake_line(key.namespace)
        return plan

    async def _execute(self, key: Key, snapshot: Snapshot, plan: Plan) -> None:
        try:
            left = await self._parts.executor.execute(key.namespace, key.model, plan, snapshot.model)
        except WritesFailedError:  # the commit and the Events are done nevertheless
            self._tell(key, snapshot, plan)
            raise
        self._tell(key, snapshot, plan)
        self._parts.cache.show_again(key, ((action.kind, action.name) for action in left))

    def _rest(self, key: Key, plan: Plan) -> None:
        """Decide when to look again after a turn without failures."""
        parts = self._parts
        parts.queue.succeeded(key)
        if not plan.is_empty:
            self._again(key)
            return
        self._turns.pop(key, None)
        moments = [*parts.cache.holding(key).conflicts.values()]
        if plan.look_again_at is not None:
            moments.append(plan.look_again_at)
        if moments:
            parts.queue.add_later(key, (min(moments) - parts.clock.now()).total_seconds() + TIMER_MARGIN)
        else:
            parts.queue.cancel_later(key)

    def _again(self, key: Key) -> None:
        """Take another turn at once, unless the turns do not seem to end."""
        self._turns[key] = turns = self._turns.get(key, 0) + 1
        if turns < RESTLESS_TURNS:
            self._parts.queue.add(key)
        else:
            self._parts.queue.add_later(key, RESTLESS_PAUSE)
            self._come_back(key, RESTLESS_PAUSE, "decisions do not come to rest", level=logging.WARNING)

    async def _failed(self, key: Key, error: WritesFailedError | KubeError) -> None:
        parts = self._parts
        errors = error.errors if isinstance(error, WritesFailedError) else (error,)
        parts.cache.show_all(key)  # what was shown once, because it had just changed, must be shown again
        at_least = max(getattr(each, "retry_after", 0.0) for each in errors)
        if not any(isinstance(each, TransientError) for each in errors):
            at_least = max(at_least, REFUSED_PAUSE)
        self._come_back(key, parts.queue.failed(key, at_least), str(error), level=logging.WARNING)
        for refused in errors:
            if not isinstance(refused, TransientError):
                await self._tell_refusal(key, refused)

    async def _tell_refusal(self, key: Key, error: KubeError) -> None:
        model = self._parts.cache.holding(key).model
        if model is None:
            return
        message = f"could not {error}; tried again every few minutes"
        uid = model["metadata"]["uid"]
        note = EventNote("Model", key.model, uid, "Warning", EventReason.WRITE_REFUSED, message)
        with suppress(KubeError):
            await self._parts.events.publish(key.namespace, note)

    def _come_back(self, key: Key, delay: float, why: str, level: int) -> None:
        where = fields(namespace=key.namespace, model=key.model, retry_in=round(delay, 3), error=why)
        log.log(level, "model is looked at again later", extra=where)

    def _tell(self, key: Key, snapshot: Snapshot, plan: Plan) -> None:
        """Log and count what was done, after it was done."""
        metrics = self._parts.metrics
        for note in plan.events:
            metrics.events.labels(note.reason).inc()
            about = f"{note.kind}/{note.name}"
            told = fields(namespace=key.namespace, object=about, reason=note.reason, note=note.message)
            log.info("event published", extra=told)
        for transition in new_transitions(snapshot, plan):
            metrics.transitions.labels(transition.get("type", "")).inc()


def planned_verifications(plan: Plan) -> list[str]:
    """Names of the verification Jobs that a Plan creates."""
    return [
        action.manifest["metadata"]["name"]
        for action in plan.actions
        if isinstance(action, Create)
        and action.manifest["kind"] == "Job"
        and action.manifest["metadata"].get("labels", {}).get(LABEL_JOB) == "verify"
    ]


def new_transitions(snapshot: Snapshot, plan: Plan) -> list[Obj]:
    """The transitions that a Plan adds to the Model's history."""
    if plan.commit is None:
        return []
    known = ((snapshot.model or {}).get("status") or {}).get("transitions") or []
    told = {_identity(transition) for transition in known}
    return [each for each in plan.commit.status.get("transitions") or () if _identity(each) not in told]


def _identity(transition: Obj) -> tuple[object, ...]:
    return tuple(transition.get(name) for name in ("stage", "sequence", "type", "at"))
