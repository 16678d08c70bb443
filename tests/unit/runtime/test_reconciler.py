"""A turn of one Model: what is decided on, what happens after each outcome, and when the Model comes back."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelyard.decide.plan import Commit, Create, EventNote, Patch, Plan, ReplaceStatus
from modelyard.decide.snapshot import HelperPods, Settings, Snapshot
from modelyard.execute import executor
from modelyard.execute.events import EventPublisher
from modelyard.execute.executor import Executor
from modelyard.kube.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError, ServerError
from modelyard.kube.kinds import MODEL, Kind
from modelyard.observe.cache import Cache
from modelyard.observe.canary import Canary
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.runtime.clock import WatchedClock
from modelyard.runtime.feed import Feed
from modelyard.runtime.metrics import Metrics
from modelyard.runtime.queue import Backoff, Queue
from modelyard.runtime.reconciler import REFUSED_PAUSE, RESTLESS_TURNS, Parts, Reconciler
from tests.unit.execute.recording import RecordingWriter
from tests.unit.observe.objects import is_settled, managed, model, verify_job, version
from tests.unit.runtime.virtual_time import run

FRAUD, CHURN = Key("risk", "fraud"), Key("risk", "churn")
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
Decide = Callable[[Snapshot, datetime], Plan]


class Writer(RecordingWriter):
    """The Model is as it was last seen, unless another answer was prepared."""

    def __init__(self, last_seen: Callable[[str], Any]) -> None:
        super().__init__()
        self._last_seen = last_seen

    async def get(self, kind: Kind, namespace: str, name: str) -> Any:
        prepared = ("get", kind.name, name) in self.left_over()
        return await super().get(kind, namespace, name) if prepared or kind != MODEL else self._last_seen(name)


class Yard:
    """Everything around a decision, with a writer that records."""

    def __init__(self, decide: Decide) -> None:
        self.decided: list[tuple[Snapshot, float]] = []
        self.made_sure: list[Key] = []
        self.metrics = Metrics()
        self.writer = Writer(lambda name: self.feed.known("Model", "risk", name))
        self.queue = Queue[Key](Backoff(first=1, cap=300, spread=lambda: 1.0))
        self.slots = Slots(1)
        self.cache = Cache(settled=is_settled, slots=self.slots, clock=self._seconds)
        self.feed = Feed(self.cache, self.slots, Canary(self._seconds), self.queue, self.now)
        events = EventPublisher(self.writer, instance="pod-1", clock=self.now)
        self._decide = decide
        self.reconciler = Reconciler(
            Parts(
                cache=self.cache,
                slots=self.slots,
                feed=self.feed,
                queue=self.queue,
                executor=Executor(self.writer, events, self.feed),
                events=events,
                decide=self._decide_and_note,
                settings=Settings(HelperPods(image="modelyard:test")),
                metrics=self.metrics,
                clock=WatchedClock(self.now, self._seconds),
                make_sure=self._make_sure,
            )
        )

    async def _make_sure(self, key: Key) -> None:
        self.made_sure.append(key)

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds())

    def see(self, *objects: Any) -> None:
        for obj in objects:
            self.feed.event({"type": "ADDED", "object": obj})

    async def work_for(self, seconds: float, workers: int = 1) -> None:
        crew = [asyncio.create_task(self.reconciler.work()) for _ in range(workers)]
        await asyncio.sleep(seconds)
        for worker in crew:
            worker.cancel()
        await asyncio.gather(*crew, return_exceptions=True)

    @property
    def moments(self) -> list[float]:
        """When decisions were made, in seconds from the start."""
        return [round(moment, 1) for _, moment in self.decided]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time()

    def _decide_and_note(self, seen: Snapshot, now: datetime) -> Plan:
        self.decided.append((seen, self._seconds()))
        return self._decide(seen, now)


def one_by_one(*plans: Plan | Exception) -> Decide:
    """These plans in turn, then nothing more to do."""
    left = list(plans)

    def decide(seen: Snapshot, now: datetime) -> Plan:
        plan = left.pop(0) if left else Plan()
        if isinstance(plan, Exception):
            raise plan
        return plan

    return decide


def yard(decide: Decide, scenario: Callable[[Yard], Any]) -> Yard:
    async def play() -> Yard:
        built = Yard(decide)
        await scenario(built)
        return built

    return run(play())


PATCH = Plan(actions=(Patch("Deployment", "d", {"spec": {}}),))
DEPLOYMENT = managed("Deployment", "d", 5)


def test_a_turn_that_wrote_is_followed_by_one_that_sees_it() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on("patch", "Deployment", "d", DEPLOYMENT)
        await yard.work_for(1000)

    seen = yard(one_by_one(PATCH), scenario)

    assert seen.moments == [0, 0]
    assert list(seen.decided[1][0].deployments) == ["d"], "before the watch brings it"


def test_what_the_cache_lags_behind_with_is_read_before_each_decision() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on("patch", "Deployment", "d", DEPLOYMENT)
        await yard.work_for(1000)

    assert yard(one_by_one(PATCH), scenario).made_sure == [FRAUD, FRAUD]


def test_a_plan_without_a_commit_is_made_anew_when_the_model_has_moved_on_unheard() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model(rv=1))
        yard.writer.on("get", "Model", "fraud", model(rv=7))
        yard.writer.on("patch", "Deployment", "d", DEPLOYMENT)
        await yard.work_for(1000)

    seen = yard(one_by_one(PATCH, PATCH), scenario)

    versions = [shown.model["metadata"]["resourceVersion"] for shown, _ in seen.decided if shown.model]
    assert versions == ["1", "7", "7"]
    assert [call[0] for call in seen.writer.calls] == ["get", "patch"]


def test_the_echo_of_an_own_write_wakes_nobody() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on("patch", "Deployment", "d", DEPLOYMENT)
        await yard.work_for(10)
        yard.see(DEPLOYMENT)
        await yard.work_for(10)

    assert len(yard(one_by_one(PATCH), scenario).decided) == 2


def test_time_alone_brings_a_model_back_when_the_plan_says_so() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        await yard.work_for(1000)

    assert yard(one_by_one(Plan(look_again_at=START + timedelta(seconds=90))), scenario).moments == [0, 90]


def test_a_name_that_is_taken_is_looked_at_again_after_a_minute() -> None:
    create = Plan(actions=(Create({"kind": "Service", "metadata": {"name": "s"}}),))
    foreign = {"kind": "Service", "metadata": {"name": "s", "labels": {}}}

    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on("create", "Service", "s", AlreadyExistsError("create", "exists", 409))
        yard.writer.on("get", "Service", "s", foreign)
        await yard.work_for(1000)

    seen = yard(one_by_one(create), scenario)

    assert seen.moments == [0, 0, 60]
    assert [each.conflicts for each, _ in seen.decided] == [set(), {("Service", "s")}, set()]


def test_a_model_written_meanwhile_is_decided_on_again_at_once() -> None:
    commit = Plan(commit=Commit("fraud", "1", {}), actions=PATCH.actions)

    async def scenario(yard: Yard) -> None:
        yard.see(model(rv=1), version("1", settled=True))
        yard.writer.on("replace_status", "Model", "fraud", ConflictError("apply", "newer", 409))
        yard.writer.on("get", "Model", "fraud", model(rv=2))
        await yard.work_for(1000)

    seen = yard(one_by_one(commit), scenario)

    assert seen.moments == [0, 0]
    assert seen.decided[1][0].model == model(rv=2)
    assert list(seen.decided[1][0].versions) == ["fraud-1"], "what the turn in vain was shown is shown again"


def test_a_transient_failure_comes_back_with_a_backoff_and_shows_everything_again() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model(), version("1", settled=True))
        down = ServerError("patch Deployment risk/d", "down", 503)
        yard.writer.on("patch", "Deployment", "d", down, down, DEPLOYMENT)
        await yard.work_for(1000)

    seen = yard(one_by_one(PATCH, PATCH, PATCH), scenario)

    assert seen.moments == [0, 1, 3, 3]
    assert [len(each.versions) for each, _ in seen.decided] == [1, 1, 1, 0]


def test_a_refused_write_is_told_and_tried_again_slowly() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on(
            "patch", "Deployment", "d", InvalidError("patch Deployment risk/d", "bad image", 422), DEPLOYMENT
        )
        yard.writer.on("create", "Event", "WriteRefused", {})
        await yard.work_for(1000)

    seen = yard(one_by_one(PATCH, PATCH), scenario)

    assert seen.moments == [0, REFUSED_PAUSE, REFUSED_PAUSE]
    event = seen.writer.calls[1][3]
    assert event["involvedObject"]["name"] == "fraud"
    assert event["message"] == "could not patch Deployment risk/d: bad image; tried again every few minutes"


def test_a_crash_of_one_model_is_not_another_models_problem() -> None:
    def decide(seen: Snapshot, now: datetime) -> Plan:
        if seen.name == "fraud":
            raise ZeroDivisionError
        return Plan()

    async def scenario(yard: Yard) -> None:
        yard.see(model(), managed("Service", "s", of="churn"))
        await yard.work_for(4)

    seen = yard(decide, scenario)

    assert [(each.name, moment) for (each, _), moment in zip(seen.decided, seen.moments, strict=True)] == [
        ("fraud", 0),
        ("churn", 0),
        ("fraud", 1),
        ("fraud", 3),
    ]
    assert seen.count("modelyard_errors_total", error="ZeroDivisionError") == 3


def test_a_model_deleted_during_its_turn_is_left_alone() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on("replace_status", "Model", "fraud", NotFoundError("apply", "gone", 404))
        await yard.work_for(1000)

    assert yard(one_by_one(Plan(commit=Commit("fraud", "1", {}))), scenario).moments == [0]


def test_decisions_that_never_come_to_rest_are_slowed_down() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model())
        yard.writer.on("patch", "Deployment", "d", *[DEPLOYMENT] * (RESTLESS_TURNS + 10))
        await yard.work_for(5.5)

    assert len(yard(lambda seen, now: PATCH, scenario).decided) == RESTLESS_TURNS + 5


def test_statuses_left_for_the_next_turn_are_decided_on_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "STATUSES_A_TURN", 2)
    seen_names: list[list[str]] = []

    def decide(seen: Snapshot, now: datetime) -> Plan:
        seen_names.append(list(seen.versions))
        open_ = [v for v in seen.versions.values() if "told" not in v["status"]]
        return Plan(
            actions=tuple(ReplaceStatus("ModelVersion", v["metadata"]["name"], v["metadata"]["uid"], {}) for v in open_)
        )

    async def scenario(yard: Yard) -> None:
        yard.see(model(), *(version(str(number), settled=True) for number in range(5)))
        for number in range(5):
            told = version(str(number), rv=2, settled=True)
            told["status"]["told"] = True
            yard.writer.on("replace_status", "ModelVersion", f"fraud-{number}", told)
        await yard.work_for(10)

    yard(decide, scenario)

    assert [len(names) for names in seen_names] == [5, 5, 3, 1]


def verify(seen: Snapshot, now: datetime) -> Plan:
    """One verification per Model, as slots allow."""
    name = f"{seen.name}-verify"
    if name in seen.jobs:
        return Plan()
    if not seen.free_verifications:
        return Plan(waits_for_verification=True)
    return Plan(actions=(Create(verify_job(name, of=seen.name)),))


def test_two_models_never_share_one_verification_slot() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model(), managed("Service", "s", of="churn"))
        yard.writer.on("create", "Job", "fraud-verify", verify_job("fraud-verify"))
        yard.writer.on("create", "Job", "churn-verify", managed("Job", "churn-verify", of="churn", job="verify"))
        await yard.work_for(10, workers=2)
        yard.created_first = [call[2] for call in yard.writer.calls]  # type: ignore[attr-defined]
        yard.see(verify_job("fraud-verify", rv=2, ended="Complete"))
        await yard.work_for(10, workers=2)

    seen = yard(verify, scenario)

    assert seen.created_first == ["fraud-verify"]  # type: ignore[attr-defined]
    assert [call[2] for call in seen.writer.calls] == ["fraud-verify", "churn-verify"], "the next in line"


def test_a_slot_whose_job_could_not_be_made_goes_to_the_next_in_line() -> None:
    async def scenario(yard: Yard) -> None:
        yard.see(model(), managed("Service", "s", of="churn"))
        yard.writer.on("create", "Job", "fraud-verify", ServerError("create", "down", 500))
        yard.writer.on("create", "Job", "churn-verify", managed("Job", "churn-verify", of="churn", job="verify"))
        await yard.work_for(0.5, workers=2)

    assert [call[2] for call in yard(verify, scenario).writer.calls] == ["fraud-verify", "churn-verify"]


def test_what_was_done_is_counted_after_it_was_done() -> None:
    moved = {"stage": "production", "sequence": 2, "type": "Promoted", "at": "2026-11-21T08:00:00Z"}
    before = {"stage": "production", "sequence": 1, "type": "Promoted", "at": "2026-11-20T08:00:00Z"}
    plan = Plan(
        commit=Commit("fraud", "1", {"transitions": [before, moved]}),
        actions=(Patch("Service", "s", {}),),
        events=(EventNote("Model", "fraud", "u", "Normal", "VersionPromoted", "moved"),),
    )
    known = model()
    known["status"]["transitions"] = [before]

    async def scenario(yard: Yard) -> None:
        yard.see(known)
        yard.writer.on("replace_status", "Model", "fraud", model(rv=2))
        yard.writer.on("patch", "Service", "s", managed("Service", "s", 3))
        yard.writer.on("create", "Event", "VersionPromoted", {})
        await yard.work_for(1)

    seen = yard(one_by_one(plan), scenario)

    assert seen.count("modelyard_events_total", reason="VersionPromoted") == 1
    assert seen.count("modelyard_transitions_total", type="Promoted") == 1
    assert seen.count("modelyard_reconcile_seconds_count", outcome="wrote") == 1
    assert seen.count("modelyard_reconcile_seconds_count", outcome="idle") == 1
