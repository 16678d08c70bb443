"""The operator process: what is started in which order, and how it ends.

    wait for the CRDs -> read everything once -> watch (kopf)
                                              -> wait for the Lease -> work -> give the Lease back
    sweep now and then

It ends after a signal (0), when watching fails (1), and at once when the Lease is lost (1): whatever is in flight
then must not be continued. A standby watches too, so that it can take over without reading everything first.
"""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import kopf

from modelyard.decide.snapshot import Obj
from modelyard.execute.events import EventPublisher
from modelyard.execute.executor import Executor
from modelyard.kube.client import Client
from modelyard.kube.errors import KubeError
from modelyard.kube.kinds import KINDS, OBSERVED
from modelyard.ledger.place import open_place
from modelyard.observe.cache import Cache
from modelyard.observe.canary import Canary
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.observe.sweep import Sweeper
from modelyard.runtime import handlers, recorder
from modelyard.runtime.callers import Callers
from modelyard.runtime.clock import WatchedClock
from modelyard.runtime.config import Config, Ledger
from modelyard.runtime.feed import Feed
from modelyard.runtime.head_notes import HeadNotes
from modelyard.runtime.lease import Lease, LeaseLostError
from modelyard.runtime.ledger_service import LedgerService
from modelyard.runtime.logs import fields
from modelyard.runtime.metrics import Metrics
from modelyard.runtime.probes import Probes
from modelyard.runtime.queue import Queue
from modelyard.runtime.reconciler import Decide, Parts, Reconciler
from modelyard.runtime.recorder import Recorder
from modelyard.runtime.watching import run_watches

SWEEP_PAUSE = 10.0
"""Seconds until the first sweep, and between two looks whether one is due. The first finds the ghosts of objects
that were deleted between the first list and the beginning of the watch."""
CANARY_SWEEP = 10.0
"""Seconds a watch may owe an event before its kind is swept out of turn."""
CANARY_DEAD = 150.0
"""Seconds after which the watch is given up. Far more than after which a silent one is renewed (`watching`)."""
TURN_STUCK = 120.0
DRAIN = 10.0
"""Seconds that running turns get to finish at the end."""
RETRY = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Brain:
    """The decisions, as the process needs them."""

    decide: Decide
    settled: Callable[[Obj], bool]
    """Whether nothing about a ModelVersion can change unless it or its Model is edited."""
    settled_and_told: Callable[[Obj], bool]
    """The same where a ledger is configured, which has to be told of it as well."""


class Operator:
    """One process."""

    def __init__(self, config: Config, brain: Brain, client: Client, metrics: Metrics) -> None:
        self._config = config
        self._synced = False
        self._leading = False
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []

        self._queue = Queue[Key](
            on_taken=metrics.queue_wait.observe, lane=lambda key: key.namespace, share=max(1, config.workers - 1)
        )
        slots = Slots(config.max_verifications_per_namespace)
        settled = brain.settled_and_told if config.ledger else brain.settled
        self._cache = Cache(settled=settled, slots=slots, clock=time.monotonic)
        self._canary = Canary(time.monotonic)
        self._clock = WatchedClock(_now, time.monotonic)
        self._feed = Feed(self._cache, slots, self._canary, self._queue, _now)
        self._sweeper = Sweeper(
            client, self._cache, self._canary, namespaces=config.watch_namespaces, news=self._feed.news
        )
        self._lease = Lease(
            client,
            namespace=config.lease_namespace,
            name=config.lease_name,
            identity=config.identity,
            clock=time.monotonic,
        )
        events = EventPublisher(client, instance=config.identity, clock=_now)
        self._recorder: Recorder | None = None
        self._head_notes: HeadNotes | None = None
        self._ledger_service: LedgerService | None = None
        if config.ledger:
            self._keep_ledger(config.ledger, client, metrics)
        self._reconciler = Reconciler(
            Parts(
                cache=self._cache,
                slots=slots,
                feed=self._feed,
                queue=self._queue,
                executor=Executor(client, events, self._feed, self._leave_unless_leading),
                events=events,
                decide=brain.decide,
                settings=config.as_decided_on(),
                metrics=metrics,
                clock=self._clock,
                make_sure=self._sweeper.make_sure,
                recorder=self._recorder,
            )
        )
        self._probes = Probes(
            config.listen_port,
            metrics,
            live=(self._silent_watch, self._stuck_turn),
            ready=(self._unsynced, self._silent_watch),
        )
        self._show_state_to(metrics)

    def _keep_ledger(self, settings: Ledger, client: Client, metrics: Metrics) -> None:
        place, signer, cluster = open_place(settings.as_opened()), settings.signer(), self._config.cluster_name
        self._recorder = Recorder(
            place,
            cluster,
            recover_from=settings.recover_from,
            signer=signer,
            cache=self._cache,
            wake=self._queue.add,
            fence=self._leave_unless_leading,
            metrics=metrics,
            clock=self._clock,
        )
        if signer:
            fence = self._leave_unless_leading
            self._head_notes = HeadNotes(place, cluster, signer, cache=self._cache, fence=fence, clock=_now)
        if settings.serve_port is not None:
            shown, callers = (cluster, *settings.recover_from), Callers(client, time.monotonic)
            self._ledger_service = LedgerService(settings.serve_port, place, shown, callers, metrics)

    async def run(self) -> None:
        """Run until a signal; raises when it cannot go on."""
        async with AsyncExitStack() as servers:
            await servers.enter_async_context(self._probes)
            if self._ledger_service:
                await servers.enter_async_context(self._ledger_service)
            log.info("operator started", extra=fields(identity=self._config.identity, port=self._probes.port))
            try:
                await self._read_world()
                self._tasks += [self._start(self._lead()), self._start(self._sweep())]
                registry = kopf.OperatorRegistry()
                handlers.register(registry, self._feed)
                await run_watches(registry, self._config.watch_namespaces, self._stop, self._finish)
            except Exception as error:
                raise error from self._failure
            finally:
                await self._finish()
        if self._failure is not None:
            raise self._failure
        log.info("operator stopped")

    async def _read_world(self) -> None:
        """Fill the cache, however long the API server or the CRDs take to come."""
        while True:
            try:
                if missing := await self._sweeper.missing_kinds():
                    names = ", ".join(f"{kind.plural}.{kind.group}" for kind in missing)
                    log.warning("waiting for custom resource definitions", extra=fields(missing=names))
                else:
                    await self._sweeper.fill()
                    break
            except KubeError as error:
                log.warning("cluster could not be read", extra=fields(error=str(error)))
            await asyncio.sleep(RETRY)
        # The garbage collector would walk through all of it again and again, and nothing else happens meanwhile.
        gc.collect()
        gc.freeze()
        self._synced = True
        counts = {kind.plural: self._cache.count(kind.name) for kind in OBSERVED}
        log.info("cluster read", extra=fields(**counts))

    async def _lead(self) -> None:
        """Work while the Lease is ours."""
        await self._lease.acquire()
        self._leading = True
        self._feed.news(self._cache.keys())
        self._workers += [self._start(self._reconciler.work()) for _ in range(self._config.workers)]
        if self._recorder:
            self._workers += [self._start(self._recorder.work()) for _ in range(recorder.WORKERS)]
        if self._head_notes:
            self._tasks.append(self._start(self._head_notes.work()))
        try:
            await self._lease.hold()
        except LeaseLostError as lost:
            _leave(str(lost))

    def _leave_unless_leading(self) -> None:
        """For a process that was frozen, and goes on in the middle of its work when others have taken over."""
        if not self._lease.is_held:
            _leave("not renewed in time")

    async def _sweep(self) -> None:
        """Sweep every kind now and then, and one out of turn whose watch seems silent."""
        due = {kind.name for kind in OBSERVED}
        next_round = time.monotonic() + self._config.sweep_interval
        while True:
            await asyncio.sleep(SWEEP_PAUSE)
            self._look_at_the_clock()
            if time.monotonic() >= next_round:
                next_round += self._config.sweep_interval
                due |= {kind.name for kind in OBSERVED}
            due |= set(self._canary.overdue(CANARY_SWEEP))
            for name in sorted(due):
                try:
                    await self._sweeper.sweep(KINDS[name])
                    due.discard(name)
                except KubeError as error:
                    log.warning("sweep failed", extra=fields(kind=name, error=str(error)))

    def _look_at_the_clock(self) -> None:
        """Timers run on, whatever the clock says: when it was turned, they wait for moments that are other ones now."""
        if turns := self._clock.turns():
            seconds = [round(turned, 3) for turned in turns]
            log.warning("clock was turned, looking at everything again", extra=fields(seconds=seconds))
            self._feed.news(self._cache.keys())

    async def _finish(self) -> None:
        """Let running turns end, then give the Lease back. Safe to call twice."""
        self._queue.close()
        if self._recorder:
            self._recorder.close()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=DRAIN)
            await _cancel(late)
            self._workers.clear()
        tasks, self._tasks = self._tasks, []
        await _cancel(tasks)
        self._leading = False
        await self._lease.release()
        # kopf waits five seconds for every task that it finds: open connections, its own wait for the flag
        await self._probes.close()
        if self._ledger_service:
            await self._ledger_service.close()
        self._stop.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that dies must take the process along: half an operator looks healthy."""
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._stop.set()

    def _show_state_to(self, metrics: Metrics) -> None:
        metrics.queue_depth.set_function(lambda: len(self._queue))
        metrics.models.set_function(lambda: self._cache.count("Model"))
        metrics.versions.set_function(lambda: self._cache.count("ModelVersion"))
        metrics.leading.set_function(lambda: self._leading)
        metrics.synced.set_function(lambda: self._synced)

    def _unsynced(self) -> str | None:
        return None if self._synced else "the cluster was not read yet"

    def _silent_watch(self) -> str | None:
        silent = self._canary.overdue(CANARY_DEAD)
        return f"no events from the watch of: {', '.join(silent)}" if silent else None

    def _stuck_turn(self) -> str | None:
        seconds = self._reconciler.longest_turn()
        return f"a turn has been running for {seconds:.0f} s" if seconds > TURN_STUCK else None


async def run(config: Config, brain: Brain) -> None:
    """Run the operator until a signal tells it to stop."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)  # until kopf runs, which takes signals over
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        stack.enter_context(suppress(asyncio.CancelledError))
        client = await stack.enter_async_context(await Client.open(observer=metrics.called))
        await Operator(config, brain, client, metrics).run()


def _leave(why: str) -> NoReturn:
    """End the process where it stands: every await more could let a write through."""
    log.error("lease lost, leaving", extra=fields(error=why))
    logging.shutdown()
    os._exit(1)


async def _cancel(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _now() -> datetime:
    return datetime.now(UTC)
