"""Carrying outboxes into the ledger: when, how often again, and what decisions are told of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.memory import Memory
from modelyard.ledger.place import MARKER
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.records import Record
from modelyard.observe.cache import Cache
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.runtime.clock import WatchedClock
from modelyard.runtime.metrics import Metrics
from modelyard.runtime.recorder import LONGEST_PAUSE, Recorder
from tests.unit.ledger.places import MemoryPlace
from tests.unit.observe.objects import is_settled, model
from tests.unit.runtime.virtual_time import run

FRAUD = Key("risk", "fraud")
CHAIN = ChainName("prod", "risk", "fraud")
START = datetime(2026, 11, 21, 8, tzinfo=UTC)


class Inline(Executor):
    """Does work at once, where it is asked for."""

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*given, **named))
        except Exception as error:
            done.set_exception(error)
        return done


class Desk:
    """A recorder with everything around it."""

    def __init__(self, place: MemoryPlace | None = None, cluster: str = "prod", *recover_from: str) -> None:
        self.place = place or MemoryPlace()
        self.cluster, self.recover_from = cluster, recover_from
        self.cache = Cache(settled=is_settled, slots=Slots(1), clock=self._seconds)
        self.metrics = Metrics()
        self.woken: list[float] = []
        self.fenced = 0
        self.clock_is_wrong_by = timedelta()
        self._version = 0
        self.recorder = self.started()

    def started(self) -> Recorder:
        """The recorder of a process that was just started."""
        self.recorder = Recorder(
            self.place, self.cluster, recover_from=self.recover_from, cache=self.cache,
            wake=lambda key: self.woken.append(self._seconds()), fence=self._fence, metrics=self.metrics,
            clock=WatchedClock(self.now, self._seconds), threads=Inline(),
        )  # fmt: skip
        return self.recorder

    def see(
        self, *items: dict[str, Any], uid: str = "", stages: list[dict[str, Any]] | None = None, **ledger: Any
    ) -> None:
        """The Model is written with this outbox, and a turn ends."""
        self._version += 1
        obj = model("fraud", 100 + self._version)
        obj["metadata"]["uid"] = uid or obj["metadata"]["uid"]
        written = {"number": 0, "sha256": "", "count": 9, **ledger, "outbox": list(items)}
        obj["status"] = {"stages": stages or [], "ledger": written}
        self.cache.put(obj)
        self.recorder.look(FRAUD)

    def ask(self, status: dict[str, Any] | None = None) -> None:
        """A decision on the Model as it is, or with that status, wants to know what the ledger has."""
        obj = self.cache.holding(FRAUD).model
        if obj is None or status is not None:
            self._version += 1
            obj = model("fraud", 100 + self._version) | {"status": status or {}}
            self.cache.put(obj)
        self.recorder.ask(FRAUD)
        self.recorder.look(FRAUD)

    @property
    def memory(self) -> Memory | None:
        return self.recorder.seen(FRAUD, self.cache.holding(FRAUD).model).memory

    def delete(self) -> None:
        held = self.cache.holding(FRAUD).model
        assert held
        self.cache.remove(held)
        self.recorder.look(FRAUD)

    async def work_for(self, seconds: float) -> None:
        worker = asyncio.create_task(self.recorder.work())
        await asyncio.sleep(seconds)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    @property
    def records(self) -> list[Record]:
        return [sealed.record for sealed in checked(walk(self.place, CHAIN))]

    @property
    def appended(self) -> list[int]:
        """What decisions are told: ordinals of entries that are in the chain."""
        return sorted(self.recorder.seen(FRAUD, self.cache.holding(FRAUD).model).appended)

    @property
    def problem(self) -> tuple[str, str]:
        seen = self.recorder.seen(FRAUD, self.cache.holding(FRAUD).model)
        return seen.reason, seen.problem

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds()) + self.clock_is_wrong_by

    def _fence(self) -> None:
        self.fenced += 1

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time()


def item(ordinal: int, **entry: Any) -> dict[str, Any]:
    return {"ordinal": ordinal, "entry": {"type": "Approved", "at": f"2026-01-01T00:00:{ordinal:02}Z", **entry}}


def desk(scenario: Callable[[Desk], Any]) -> Desk:
    async def play() -> Desk:
        built = Desk()
        await scenario(built)
        return built

    return run(play())


def test_what_waits_is_appended_in_order_and_told() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(item(1), item(2))
        await desk.work_for(1)
        desk.see(item(1), item(2), item(3))
        await desk.work_for(1)
        assert desk.appended == [1, 2, 3]
        desk.see(item(3))
        assert desk.appended == [3]

    done = desk(scenario)
    assert [record.at.second for record in done.records] == [1, 2, 3]
    assert len(done.woken) == 2
    assert done.fenced == 2
    assert done.metrics.registry.get_sample_value("modelyard_ledger_records_total", {"outcome": "appended"}) == 3
    assert MARKER in done.place.objects


def test_nothing_waits_nothing_is_asked() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see()
        await desk.work_for(10)

    done = desk(scenario)
    assert (done.place.reads, done.place.lists, done.place.creates) == (0, 0, 0)


def test_another_process_goes_on_where_the_first_one_was() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(item(1), item(2))
        await desk.work_for(1)
        desk.started()
        desk.see(item(1), item(2), item(3))
        await desk.work_for(1)

    assert [record.at.second for record in desk(scenario).records] == [1, 2, 3]


def test_a_store_that_is_down_is_asked_less_and_less_often() -> None:
    async def scenario(desk: Desk) -> None:
        tries: list[float] = []

        def refuse(verb: str, name: str) -> None:
            tries.append(desk._seconds())
            raise PlaceError("write: connection refused", transient=True)

        desk.place.before = refuse
        desk.see(item(1))
        for _ in range(30):
            await desk.work_for(10)
            desk.recorder.look(FRAUD)  # turns of the Model go on, and do not hurry it
        assert desk.problem == ("LedgerUnavailable", "write: connection refused")
        assert 12 < len(tries) < 25
        assert len(desk.woken) == 1
        assert desk.metrics.registry.get_sample_value("modelyard_ledger_waiting") == 1
        desk.place.calm()
        await desk.work_for(LONGEST_PAUSE * 1.3)
        assert desk.problem == ("", "")
        assert desk.metrics.registry.get_sample_value("modelyard_ledger_waiting") == 0

    assert len(desk(scenario).records) == 1


def test_a_broken_chain_is_a_problem_of_its_own_kind() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(item(1))
        await desk.work_for(1)
        del desk.place.objects[CHAIN.record(1)]
        desk.see(item(1), item(2))
        await desk.work_for(1)
        reason, problem = desk.problem
        assert reason == "LedgerBroken"
        assert "record 1 is missing" in problem

    desk(scenario)


def test_a_move_is_held_until_its_traffic_followed() -> None:
    async def scenario(desk: Desk) -> None:
        at = desk.now().isoformat()
        move = item(1, type="Promoted", at=at, stage="production", sequence=1)
        desk.see(move, item(2))
        await desk.work_for(30)
        assert desk.appended == []
        desk.see({**move, "entry": {**move["entry"], "effectiveAt": desk.now().isoformat()}}, item(2))
        await desk.work_for(1)
        assert desk.appended == [1, 2]
        late = item(3, type="Promoted", at=desk.now().isoformat(), stage="production", sequence=2)
        desk.see(late)
        await desk.work_for(70)
        assert desk.appended == [3]

    desk(scenario)


def test_it_is_held_no_less_when_the_clock_is_set_right_meanwhile() -> None:
    async def scenario(desk: Desk) -> None:
        desk.clock_is_wrong_by = -timedelta(minutes=50)
        await desk.work_for(1)
        move = item(1, type="Succeeded", at=desk.now().isoformat(), stage="production", sequence=1)
        desk.see(move)
        await desk.work_for(1)
        desk.clock_is_wrong_by = timedelta()
        desk.see(move)
        await desk.work_for(50)
        assert desk.appended == []
        desk.see({**move, "entry": {**move["entry"], "effectiveAt": desk.now().isoformat()}})
        await desk.work_for(1)
        assert desk.appended == [1]

    (told,) = desk(scenario).records
    assert told.effective_at


def test_a_model_that_is_deleted() -> None:
    """What waited is appended, then that it was deleted; a namesake goes on in the same chain."""

    async def scenario(desk: Desk) -> None:
        desk.see(item(1))
        await desk.work_for(1)
        desk.see(item(1), item(2))
        desk.delete()
        await desk.work_for(1)
        desk.see(item(1, type="Registered"), uid="another")
        assert desk.appended == []
        await desk.work_for(1)
        assert desk.appended == [1]

    records = desk(scenario).records
    assert [record.type for record in records] == ["Approved", "Approved", "Deleted", "Registered"]
    assert records[2].uid


def test_a_deletion_whose_answer_was_lost_is_told_once() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(item(1))
        await desk.work_for(1)

        def lose(verb: str, name: str) -> None:
            if verb == "create":
                raise PlaceError("write: timed out", transient=True)

        desk.place.after = lose
        desk.delete()
        await desk.work_for(1)
        desk.place.calm()
        await desk.work_for(LONGEST_PAUSE)
        assert not desk.metrics.registry.get_sample_value("modelyard_ledger_waiting")

    assert [record.type for record in desk(scenario).records] == ["Approved", "Deleted"]


def test_two_processes_that_both_believe_they_lead_tell_a_deletion_once() -> None:
    async def scenario(desk: Desk) -> None:
        other = Desk(desk.place)
        for each in (desk, other):
            each.see(item(1))
            await each.work_for(1)
        for each in (desk, other):
            each.delete()
            await each.work_for(1)

    assert [record.type for record in desk(scenario).records] == ["Approved", "Deleted"]


def test_a_model_made_anew_before_anybody_looked() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(item(1))
        await desk.work_for(1)
        held = desk.cache.holding(FRAUD).model
        assert held
        desk.cache.remove(held)
        desk.see(item(1, type="Registered"), uid="another")
        assert desk.appended == []
        await desk.work_for(1)
        desk.recorder.look(FRAUD)
        await desk.work_for(1)
        assert desk.appended == [1]

    assert [record.type for record in desk(scenario).records] == ["Approved", "Deleted", "Registered"]


def promoted(ordinal: int, version: str) -> dict[str, Any]:
    at = f"2026-01-01T00:00:{ordinal:02}Z"
    to = {"version": version, "digest": "sha256:1", "revision": f"r{version}"}
    return item(ordinal, type="Promoted", stage="production", sequence=ordinal, to=to, effectiveAt=at)


def serves(memory: Memory | None) -> str:
    assert memory
    move = memory.stages["production"].move
    assert move
    assert move.to
    return move.to.version


def test_what_the_chain_tells_is_read_when_a_decision_asks() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(promoted(1, "1"))
        await desk.work_for(1)
        assert desk.memory is None
        desk.started()
        desk.ask({})
        await desk.work_for(1)
        assert serves(desk.memory) == "1"
        assert len(desk.woken) == 2
        read = desk.place.reads
        await desk.work_for(10)
        assert desk.place.reads == read

    desk(scenario)


def test_a_model_without_records_is_told_so() -> None:
    async def scenario(desk: Desk) -> None:
        desk.ask({})
        await desk.work_for(1)
        assert desk.memory == Memory(chain="prod")
        assert desk.place.creates == 0

    desk(scenario)


def test_what_cannot_be_read_is_said_and_tried_again() -> None:
    async def scenario(desk: Desk) -> None:
        desk.place.before = refuse
        desk.ask({})
        await desk.work_for(5)
        assert (desk.memory, desk.problem) == (None, ("LedgerUnavailable", "read: connection refused"))
        assert len(desk.woken) == 1
        desk.place.calm()
        await desk.work_for(LONGEST_PAUSE * 1.3)
        assert (desk.memory, desk.problem) == (Memory(chain="prod"), ("", ""))

    desk(scenario)


def refuse(verb: str, name: str) -> None:
    raise PlaceError("read: connection refused", transient=True)


def test_what_was_read_before_the_status_was_lost_is_read_again() -> None:
    async def scenario(desk: Desk) -> None:
        desk.ask({})
        await desk.work_for(1)
        desk.see(promoted(1, "1"), stages=[{"name": "production"}])
        await desk.work_for(1)
        desk.ask({"stages": [{"name": "production"}]})
        await desk.work_for(1)
        assert serves(desk.memory) == "1"
        stale = model("fraud", 999) | {"status": {}}
        assert desk.recorder.seen(FRAUD, stale).memory is None

    desk(scenario)


def test_a_namesake_reads_nothing_before_its_predecessor_is_told_of() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(promoted(1, "1"))
        await desk.work_for(1)
        held = desk.cache.holding(FRAUD).model
        assert held
        desk.cache.remove(held)
        another = model("fraud", 998)
        another["metadata"]["uid"] = "another"
        desk.cache.put(another)
        desk.recorder.ask(FRAUD)
        desk.recorder.look(FRAUD)
        await desk.work_for(1)
        assert desk.memory
        assert (desk.memory.head.number, dict(desk.memory.stages)) == (2, {})

    desk(scenario)


def test_a_status_from_a_backup_is_told_what_came_after_it() -> None:
    async def scenario(desk: Desk) -> None:
        desk.see(promoted(1, "1"), promoted(2, "2"))
        await desk.work_for(1)
        first = desk.recorder.seen(FRAUD, desk.cache.holding(FRAUD).model).appended[1]
        desk.started()
        desk.see(number=first[0], sha256=first[1])
        await desk.work_for(1)
        assert serves(desk.memory) == "2"
        assert desk.appended == []

    desk(scenario)


def test_another_cluster_takes_the_chain_over() -> None:
    async def scenario(old: Desk) -> None:
        old.see(promoted(1, "1"))
        await old.work_for(1)
        head = old.recorder.seen(FRAUD, old.cache.holding(FRAUD).model).appended[1]
        new = Desk(old.place, "new", "prod")
        new.ask({})
        await new.work_for(1)
        assert serves(new.memory) == "1"
        new.see(item(2, type="Adopted"), number=head[0], sha256=head[1], chain="prod")
        await new.work_for(1)
        old.see(item(2), number=head[0], sha256=head[1])
        await old.work_for(1)
        assert old.problem[0] == "ChainAdopted"
        old.started()
        old.see(number=head[0], sha256=head[1])
        await old.work_for(1)
        assert old.problem[0] == "ChainAdopted"
        old.delete()
        await old.work_for(100)

    assert [record.cluster for record in desk(scenario).records] == ["prod", "new"]
