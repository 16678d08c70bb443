"""The exact writes of a Plan, in their order, and what follows when one of them fails."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.decide.plan import Commit, Create, Delete, EventNote, Patch, Plan, ReplaceStatus, Sighting
from modelyard.execute.events import EventPublisher
from modelyard.execute.executor import STATUSES_A_TURN, Executor, StaleError, WritesFailedError
from modelyard.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NamespaceTerminatingError,
    NoSuchObjectError,
    NotFoundError,
    ServerError,
    TooManyRequestsError,
)
from tests.unit.execute.recording import Obj, RecordingWorld, RecordingWriter

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
OURS = {"app.kubernetes.io/managed-by": "modelyard", "modelyard.dev/model": "fraud"}
COMMIT = Commit("fraud", "41", {"stages": []})
PROMOTION = Commit("fraud", "41", {"stages": []}, (Sighting("ModelVersion", "fraud-7", "uid-7", 2),))


def manifest(kind: str, name: str, **more: Any) -> Obj:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": OURS}, **more}


def placed(given: Obj) -> Obj:
    return {**given, "metadata": {**given["metadata"], "namespace": "risk"}}


SERVICE = manifest("Service", "fraud-production", spec={"selector": {"modelyard.dev/revision": "a1"}})
NOBODY = NoSuchObjectError("write", "not found", 404)
ABSENT = ("absent", "NoSuchObjectError")
GONE = ("deleted", "Service", "fraud-production", "uid-7")
VERSION = {"kind": "ModelVersion", "metadata": {"name": "fraud-7", "uid": "uid-7", "resourceVersion": "70"}}
STAGING = manifest("Service", "fraud-staging", spec={"selector": {"modelyard.dev/revision": "b2"}})
DEPLOYMENT = manifest("Deployment", "fraud-production-a1", spec={"replicas": 1})
JOB = manifest("Job", "fraud-verify-x")
CONFIG = manifest("ConfigMap", "fraud-production", data={"version": "7"})
SWITCHED = {"spec": {"selector": {"modelyard.dev/revision": "a1"}}}
SWITCH = Patch("Service", "fraud-production", SWITCHED, "70")
SWITCH_STAGING = Patch("Service", "fraud-staging", SWITCHED, "71")
CHANGE = Patch("ConfigMap", "fraud-production", {"metadata": {"labels": {}}, "data": {"version": "7"}}, "72")
VERSION_STATUS = ReplaceStatus("ModelVersion", "fraud-7", "uid-7", {"digest": "sha256:00"})
NOTE = EventNote("Model", "fraud", "uid-fraud", "Normal", "VersionPromoted", "version 7 carries production")
EVENT = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "fraud.NAME", "namespace": "risk"},
    "involvedObject": {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "Model",
        "namespace": "risk",
        "name": "fraud",
        "uid": "uid-fraud",
    },
    "type": "Normal",
    "reason": "VersionPromoted",
    "message": "version 7 carries production",
    "source": {"component": "modelyard"},
    "reportingComponent": "modelyard.dev/operator",
    "reportingInstance": "pod-1",
    "firstTimestamp": "2026-11-21T08:00:00Z",
    "lastTimestamp": "2026-11-21T08:00:00Z",
    "count": 1,
}


class Bench:
    """An executor between a recording writer and a recording world."""

    def __init__(self) -> None:
        self.writer = RecordingWriter()
        self.world = RecordingWorld()
        self.world.objects["ModelVersion", "fraud-7"] = VERSION
        self.executor = Executor(
            self.writer, EventPublisher(self.writer, instance="pod-1", clock=lambda: NOW), self.world
        )

    async def execute(self, **plan: Any) -> None:
        await self.executor.execute("risk", "fraud", Plan(**plan))

    @property
    def writes(self) -> list[tuple[Any, ...]]:
        return [_without_event_name(call) for call in self.writer.calls]


def _without_event_name(call: tuple[Any, ...]) -> tuple[Any, ...]:
    if call[1] != "Event" or call[0] != "create":
        return call
    return ("create", "Event", {**call[3], "metadata": {**call[3]["metadata"], "name": "fraud.NAME"}})


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    assert bench.writer.left_over() == []


async def test_an_empty_plan_writes_nothing(bench: Bench) -> None:
    await bench.execute()

    assert bench.writes == []
    assert bench.world.reports == []


async def test_commit_then_services_then_objects_then_statuses_then_events(bench: Bench) -> None:
    bench.writer.on("replace_status", "Model", "fraud", {"kind": "Model", "metadata": {"name": "fraud"}})
    bench.writer.on("patch", "Service", "fraud-production", SERVICE)
    bench.writer.on("patch", "Service", "fraud-staging", STAGING)
    bench.writer.on("patch", "ConfigMap", "fraud-production", CONFIG)
    bench.writer.on("create", "Deployment", "fraud-production-a1", DEPLOYMENT)
    bench.writer.on(
        "replace_status", "ModelVersion", "fraud-7", {"kind": "ModelVersion", "metadata": {"name": "fraud-7"}}
    )
    bench.writer.on("create", "Event", "VersionPromoted", {})

    await bench.execute(
        commit=COMMIT,
        actions=(SWITCH, SWITCH_STAGING, CHANGE, Create(DEPLOYMENT), VERSION_STATUS),
        events=(NOTE,),
    )

    assert bench.writes == [
        ("replace_status", "Model", "fraud", "risk", {"stages": []}, "41"),
        ("patch", "Service", "fraud-production", "risk", SWITCHED | {"metadata": {"resourceVersion": "70"}}),
        ("patch", "Service", "fraud-staging", "risk", SWITCHED | {"metadata": {"resourceVersion": "71"}}),
        (
            "patch",
            "ConfigMap",
            "fraud-production",
            "risk",
            {"metadata": {"labels": {}, "resourceVersion": "72"}, "data": {"version": "7"}},
        ),
        ("create", "Deployment", "fraud-production-a1", placed(DEPLOYMENT)),
        ("replace_status", "ModelVersion", "fraud-7", "risk", {"digest": "sha256:00"}, "70"),
        ("create", "Event", EVENT),
    ]
    assert bench.world.reports == [
        ("wrote", "Model", "fraud"),
        ("wrote", "Service", "fraud-production"),
        ("wrote", "Service", "fraud-staging"),
        ("wrote", "ConfigMap", "fraud-production"),
        ("wrote", "Deployment", "fraud-production-a1"),
        ("wrote", "ModelVersion", "fraud-7"),
    ]


async def test_nothing_follows_a_commit_that_came_too_late(bench: Bench) -> None:
    bench.writer.on("replace_status", "Model", "fraud", ConflictError("apply status of Model risk/fraud", "newer", 409))
    bench.writer.on("get", "Model", "fraud", {"kind": "Model", "metadata": {"name": "fraud"}})

    with pytest.raises(StaleError):
        await bench.execute(commit=COMMIT, actions=(SWITCH, VERSION_STATUS), events=(NOTE,))

    assert bench.writes == [
        ("replace_status", "Model", "fraud", "risk", {"stages": []}, "41"),
        ("get", "Model", "fraud", "risk"),
    ]
    assert bench.world.reports == [("wrote", "Model", "fraud")], "the next decision is made on the newer Model"


def version(uid: str, generation: int) -> Obj:
    return {"kind": "ModelVersion", "metadata": {"name": "fraud-7", "uid": uid, "generation": generation}}


async def test_a_version_that_is_as_it_was_seen_is_given_the_stage(bench: Bench) -> None:
    bench.writer.on("get", "ModelVersion", "fraud-7", version("uid-7", 2))
    bench.writer.on("replace_status", "Model", "fraud", {"kind": "Model", "metadata": {"name": "fraud"}})

    await bench.execute(commit=PROMOTION)

    assert [call[:2] for call in bench.writes] == [("get", "ModelVersion"), ("replace_status", "Model")]


@pytest.mark.parametrize(
    ("answer", "learned"),
    [
        (NoSuchObjectError("get", "not found", 404), [("deleted", "ModelVersion", "fraud-7", "uid-7")]),
        (version("uid-7", 3), [("wrote", "ModelVersion", "fraud-7")]),
        (version("uid-8", 2), [("deleted", "ModelVersion", "fraud-7", "uid-7"), ("wrote", "ModelVersion", "fraud-7")]),
    ],
    ids=["deleted", "edited", "made again"],
)
async def test_a_version_that_is_not_as_it_was_seen_is_given_no_stage(
    bench: Bench, answer: Any, learned: list[tuple[str, ...]]
) -> None:
    """A watch that is silent tells neither that it was deleted nor that its stage was taken out."""
    bench.writer.on("get", "ModelVersion", "fraud-7", answer)

    with pytest.raises(StaleError):
        await bench.execute(commit=PROMOTION, actions=(SWITCH,), events=(NOTE,))

    assert bench.writes == [("get", "ModelVersion", "fraud-7", "risk")]
    assert bench.world.reports == learned, "the next decision is made on what is there"


@pytest.mark.parametrize(
    "error", [ServerError("x", "down", 500), InvalidError("x", "bad", 422), NotFoundError("x", "gone", 404)]
)
async def test_nothing_follows_a_commit_that_failed(bench: Bench, error: Exception) -> None:
    bench.writer.on("replace_status", "Model", "fraud", error)  # type: ignore[arg-type]

    with pytest.raises(type(error)):
        await bench.execute(commit=COMMIT, actions=(SWITCH,), events=(NOTE,))

    assert len(bench.writes) == 1


async def test_a_service_that_fails_ends_the_turn_and_the_commit_is_told(bench: Bench) -> None:
    bench.writer.on("replace_status", "Model", "fraud", {"kind": "Model", "metadata": {"name": "fraud"}})
    bench.writer.on("patch", "Service", "fraud-production", ServerError("patch Service risk/x", "down", 503))
    bench.writer.on("create", "Event", "VersionPromoted", {})

    with pytest.raises(WritesFailedError, match="patch Service risk/x: down"):
        await bench.execute(commit=COMMIT, actions=(SWITCH, SWITCH_STAGING, VERSION_STATUS), events=(NOTE,))

    assert [call[:2] for call in bench.writes] == [
        ("replace_status", "Model"),
        ("patch", "Service"),
        ("create", "Event"),
    ]


async def test_another_failure_does_not_keep_the_rest_from_being_written(bench: Bench) -> None:
    refused = ForbiddenError("create Deployment risk/x", "exceeded quota", 403)
    busy = TooManyRequestsError("apply status", "later", 429, retry_after=7)
    bench.writer.on("create", "Deployment", "fraud-production-a1", refused)
    bench.writer.on("create", "Job", "fraud-verify-x", JOB)
    bench.writer.on("replace_status", "ModelVersion", "fraud-7", busy)

    with pytest.raises(WritesFailedError) as failed:
        await bench.execute(actions=(Create(DEPLOYMENT), Create(JOB), VERSION_STATUS))

    assert failed.value.errors == (refused, busy)
    assert failed.value.retry_after == 7
    assert failed.value.is_transient
    assert bench.world.reports == [
        ("refused", "fraud", "Deployment", "fraud-production-a1", "exceeded quota"),
        ("wrote", "Job", "fraud-verify-x"),
    ]


async def test_an_object_of_ours_that_exists_already_is_what_was_wanted(bench: Bench) -> None:
    bench.writer.on("create", "Deployment", "fraud-production-a1", AlreadyExistsError("create", "exists", 409))
    bench.writer.on("get", "Deployment", "fraud-production-a1", DEPLOYMENT)

    await bench.execute(actions=(Create(DEPLOYMENT),))

    assert bench.world.reports == [("wrote", "Deployment", "fraud-production-a1")]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({}, id="nobody's"),
        pytest.param({**OURS, "modelyard.dev/model": "churn"}, id="another model's"),
        pytest.param({"modelyard.dev/model": "fraud"}, id="named after the model by somebody else"),
    ],
)
async def test_an_object_that_is_not_ours_is_a_conflict_and_never_touched(bench: Bench, labels: Any) -> None:
    foreign = {"kind": "Service", "metadata": {"name": "fraud-production", "labels": labels}}
    bench.writer.on("create", "Service", "fraud-production", AlreadyExistsError("create", "exists", 409))
    bench.writer.on("get", "Service", "fraud-production", foreign)

    await bench.execute(actions=(Create(SERVICE),))

    assert [call[0] for call in bench.writes] == ["create", "get"]
    assert bench.world.reports == [("conflict", "fraud", "Service", "fraud-production")]


async def test_a_patch_does_not_turn_back_what_was_written_since(bench: Bench) -> None:
    bench.world.objects["Service", "fraud-production"] = {"metadata": {"uid": "uid-7", "resourceVersion": "70"}}
    bench.writer.on("patch", "Service", "fraud-production", ConflictError("patch", "it has been modified", 409))
    bench.writer.on("get", "Service", "fraud-production", SERVICE)

    await bench.execute(actions=(SWITCH,))

    (verb, _, _, _, written), _ = bench.writes
    assert (verb, written["metadata"]["resourceVersion"]) == ("patch", "70")
    assert bench.world.reports == [("wrote", "Service", "fraud-production")], "the next decision sees what there is"


async def test_an_object_to_patch_that_went_away_meanwhile_is_no_failure(bench: Bench) -> None:
    bench.world.objects["Service", "fraud-production"] = {"metadata": {"uid": "uid-7", "resourceVersion": "70"}}
    bench.writer.on("patch", "Service", "fraud-production", ConflictError("patch", "it has been modified", 409))
    bench.writer.on("get", "Service", "fraud-production", NotFoundError("get", "gone", 404))

    await bench.execute(actions=(SWITCH,))

    assert bench.world.reports == [("absent", "NotFoundError")]


@pytest.mark.parametrize(
    ("action", "verb", "error"),
    [
        (Patch("Deployment", "x", {"spec": {}}), "patch", NotFoundError("patch", "gone", 404)),
        (Delete("Deployment", "x", "uid-7", "70"), "delete", NotFoundError("delete", "gone", 404)),
        (ReplaceStatus("Deployment", "x", "uid-7", {}), "replace_status", NotFoundError("apply", "gone", 404)),
        (Create(manifest("Deployment", "x")), "create", NamespaceTerminatingError("create", "terminating", 403)),
    ],
)
async def test_an_object_that_went_away_meanwhile_is_no_failure(
    bench: Bench, action: Any, verb: str, error: Any
) -> None:
    bench.writer.on(verb, "Deployment", "x", error)
    bench.world.objects["Deployment", "x"] = {"metadata": {"uid": "uid-7", "resourceVersion": "70"}}

    await bench.execute(actions=(action,))

    assert bench.world.reports == [("absent", type(error).__name__)]


@pytest.mark.parametrize(
    ("action", "verb", "error", "reports"),
    [
        (Patch("Service", "fraud-production", {"spec": {}}), "patch", NOBODY, [ABSENT, GONE]),
        (Delete("Service", "fraud-production", "uid-7", "70"), "delete", NOBODY, [ABSENT, GONE]),
        (ReplaceStatus("Service", "fraud-production", "uid-7", {}), "replace_status", NOBODY, [ABSENT, GONE]),
    ],
)
async def test_an_object_whose_deletion_nobody_told_is_known_to_be_gone(
    bench: Bench, action: Any, verb: str, error: Any, reports: list[Any]
) -> None:
    """The same write would be tried again and again until the next sweep."""
    bench.writer.on(verb, "Service", "fraud-production", error)
    bench.world.objects["Service", "fraud-production"] = {"metadata": {"uid": "uid-7", "resourceVersion": "70"}}

    await bench.execute(actions=(action,))

    assert bench.world.reports == reports


async def test_a_deployment_is_scaled_by_one_patch(bench: Bench) -> None:
    body = {"spec": {"replicas": 3}}
    bench.writer.on("patch", "Deployment", "fraud-production-a1", DEPLOYMENT)

    await bench.execute(actions=(Patch("Deployment", "fraud-production-a1", body),))

    assert bench.writes == [("patch", "Deployment", "fraud-production-a1", "risk", body)]
    assert bench.world.reports == [("wrote", "Deployment", "fraud-production-a1")]


@pytest.mark.parametrize(
    ("answer", "report"),
    [
        pytest.param({"kind": "Status"}, ("deleted", "Job", "fraud-verify-x", "uid-j"), id="gone at once"),
        pytest.param(JOB, ("wrote", "Job", "fraud-verify-x"), id="waits for finalizers"),
    ],
)
async def test_a_deletion_is_reported_as_far_as_it_went(bench: Bench, answer: Obj, report: Any) -> None:
    bench.writer.on("delete", "Job", "fraud-verify-x", answer)

    await bench.execute(actions=(Delete("Job", "fraud-verify-x", "uid-j", "70"),))

    assert bench.writes == [("delete", "Job", "fraud-verify-x", "risk", "uid-j", "70")]
    assert bench.world.reports == [report]


@pytest.mark.parametrize(
    ("uid", "reports"),
    [
        ("uid-j", [("wrote", "Job", "fraud-verify-x")]),
        ("uid-k", [("deleted", "Job", "fraud-verify-x", "uid-j"), ("wrote", "Job", "fraud-verify-x")]),
    ],
    ids=["written since", "a namesake"],
)
async def test_what_is_not_as_it_was_seen_is_not_deleted(bench: Bench, uid: str, reports: list[Any]) -> None:
    """A Job that was taken for one that runs for nobody may have ended since, and keeps its log for a while.

    It is the state decided on that counts, whatever became known while the commit was under way.
    """
    present = {"kind": "Job", "metadata": {"name": "fraud-verify-x", "uid": uid, "resourceVersion": "71"}}
    bench.writer.on("delete", "Job", "fraud-verify-x", ConflictError("delete", "written since", 409))
    bench.writer.on("get", "Job", "fraud-verify-x", present)

    await bench.execute(actions=(Delete("Job", "fraud-verify-x", "uid-j", "70"),))

    assert bench.writes[0] == ("delete", "Job", "fraud-verify-x", "risk", "uid-j", "70")
    assert bench.world.reports == reports


@pytest.mark.parametrize(("now", "deleted"), [("7", True), ("8", False)], ids=["as it was", "written since"])
async def test_a_deletion_counts_on_what_told_of_it(bench: Bench, now: str, deleted: bool) -> None:
    """A Job that nobody waits for, by an older status of its version, may be the one that is waited for."""
    told_by = Sighting("ModelVersion", "fraud-7", "uid-7", 2, resource_version="7")
    present = version("uid-7", 2)
    bench.writer.on(
        "get", "ModelVersion", "fraud-7", {**present, "metadata": {**present["metadata"], "resourceVersion": now}}
    )
    if deleted:
        bench.writer.on("delete", "Job", "fraud-gate-1", {"kind": "Status"})

    await bench.execute(actions=(Delete("Job", "fraud-gate-1", "uid-j", "70", (told_by,)),))

    assert (("deleted", "Job", "fraud-gate-1", "uid-j") in bench.world.reports) == deleted


async def test_two_writes_to_one_object_keep_their_order(bench: Bench) -> None:
    first, second = (Patch("Deployment", "x", {"spec": {"n": n}}) for n in (1, 2))
    bench.writer.on("patch", "Deployment", "x", NotFoundError("patch", "gone", 404), DEPLOYMENT)

    await bench.execute(actions=(first, second))

    assert [call[4] for call in bench.writes] == [{"spec": {"n": 1}}, {"spec": {"n": 2}}]


async def test_a_repeated_event_counts_up(bench: Bench) -> None:
    bench.writer.on("create", "Event", "VersionPromoted", {})
    await bench.execute(events=(NOTE,))
    name = bench.writer.calls[0][3]["metadata"]["name"]
    bench.writer.on("patch", "Event", name, {}, {})
    await bench.execute(events=(NOTE,))
    await bench.execute(events=(NOTE,))

    assert bench.writes[1:] == [
        ("patch", "Event", name, "risk", {"count": 2, "lastTimestamp": "2026-11-21T08:00:00Z"}),
        ("patch", "Event", name, "risk", {"count": 3, "lastTimestamp": "2026-11-21T08:00:00Z"}),
    ]


async def test_an_event_that_has_expired_is_made_anew(bench: Bench) -> None:
    bench.writer.on("create", "Event", "VersionPromoted", {}, {})
    await bench.execute(events=(NOTE,))
    bench.writer.on("patch", "Event", bench.writer.calls[0][3]["metadata"]["name"], NotFoundError("p", "gone", 404))
    await bench.execute(events=(NOTE,))

    assert [call[0] for call in bench.writes] == ["create", "patch", "create"]


async def test_a_terminating_namespace_takes_no_events_and_that_is_no_failure(bench: Bench) -> None:
    bench.writer.on("create", "Event", "VersionPromoted", NamespaceTerminatingError("create", "terminating", 403))

    await bench.execute(events=(NOTE,))

    assert bench.world.reports == [("absent", "NamespaceTerminatingError")]


async def test_a_long_message_is_cut_to_what_the_api_server_takes(bench: Bench) -> None:
    bench.writer.on("create", "Event", "VersionPromoted", {})
    await bench.execute(events=(EventNote("Model", "fraud", "u", "Normal", "VersionPromoted", "ä" * 2000),))

    message = bench.writer.calls[0][3]["message"]
    assert len(message.encode()) <= 1024
    assert message.endswith("ä…")


class Frozen(BaseException):
    """What the fence does to a process that may not write any more."""


@pytest.mark.parametrize("plan", [Plan(commit=COMMIT), Plan(actions=(SWITCH, Create(JOB)))])
async def test_nothing_is_written_past_the_fence(plan: Plan) -> None:
    def leave() -> None:
        raise Frozen

    writer, world = RecordingWriter(), RecordingWorld()
    executor = Executor(writer, EventPublisher(writer, instance="x", clock=lambda: NOW), world, fence=leave)
    with pytest.raises(Frozen):
        await executor.execute("risk", "fraud", plan)

    assert writer.calls == []


async def test_statuses_beyond_a_turns_worth_are_left_for_the_next(bench: Bench) -> None:
    names = [f"fraud-{number}" for number in range(STATUSES_A_TURN + 2)]
    for name in names:
        bench.world.objects["ModelVersion", name] = VERSION
    for name in names[:STATUSES_A_TURN]:
        bench.writer.on("replace_status", "ModelVersion", name, VERSION)
    bench.writer.on("create", "Job", "fraud-verify-x", JOB)
    statuses = tuple(ReplaceStatus("ModelVersion", name, "uid-7", {}) for name in names)

    left = await bench.executor.execute("risk", "fraud", Plan(actions=(*statuses, Create(JOB))))

    assert left == list(statuses[-2:])
    assert bench.writes[-1][:2] == ("create", "Job"), "what is left out is only statuses"
