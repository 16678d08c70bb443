"""Every way an evaluation can end has a reason of its own, and only a good end gives numbers."""

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.reasons import GateReason
from modelyard.decide.gates import ending
from modelyard.decide.gates.ending import GateError
from modelyard.decide.gates.output import Output
from modelyard.decide.jobs import RESULT_GRACE
from tests.unit.decide.gates.attempts import (
    FETCHED,
    NOW,
    TIMEOUT,
    condition,
    ended,
    outcome,
    pod,
    stamp,
    started,
    waiting,
    world,
)

INITS = {"modelyard-fetch-candidate": FETCHED, "modelyard-fetch-incumbent": FETCHED}
RUNNING = {"running": {}}
LATE = NOW - TIMEOUT
GONE = NOW - RESULT_GRACE - timedelta(seconds=1)
DRAINED = condition("DisruptionTarget", "EvictionByEvictionAPI", message="drained")
FETCH_ERROR = '{"error": {"reason": "DigestMismatch", "message": "digest differs", "transient": false}}'


def stuck(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def test_numbers_count_from_the_end_of_the_gates_container() -> None:
    numbers = ended(0, '{"auc": 0.9}')
    assert outcome(started(), pod(numbers, INITS)) == Output({"auc": 0.9}, {})
    assert outcome(started(), pod(numbers, INITS, phase="Failed", reason="Evicted")) == Output({"auc": 0.9}, {})
    late = started(LATE, conditions=[condition("Failed", "DeadlineExceeded")])
    assert outcome(late, pod(numbers, INITS)) == Output({"auc": 0.9}, {}), "it ended before the deadline"


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param((), id="no pod yet"),
        pytest.param((pod(),), id="pod without statuses"),
        pytest.param((pod(None, {"modelyard-fetch-candidate": RUNNING}),), id="fetching"),
        pytest.param((pod(RUNNING, INITS),), id="running"),
        pytest.param((pod(stuck("ImagePullBackOff")),), id="image not pulled yet"),
        pytest.param((pod(RUNNING, {**INITS, "proxy": ended(1)}),), id="a sidecar that is started again"),
        pytest.param((pod(RUNNING, INITS, {"deletionTimestamp": stamp(NOW)}),), id="being deleted"),
    ],
)
def test_none_while_it_may_still_answer(seen: tuple[Any, ...]) -> None:
    assert outcome(started(), *seen) is None


@pytest.mark.parametrize(
    ("pods", "reason", "message"),
    [
        pytest.param(
            [pod(ended(0), INITS)], "NoOutput", "it ended well and left no numbers", id="no output"),
        pytest.param(
            [pod(ended(0, '{"auc": NaN}'), INITS)], "InvalidOutput", "its output has the number NaN", id="NaN"),
        pytest.param(
            [pod(ended(0, "x" * 3072), INITS)], "InvalidOutput", "its output is not JSON", id="three share 12 KiB"),
        pytest.param(
            [pod(ended(0, "x" * 4096), INITS)], "OutputTooLong", "its output is cut off at 4096 bytes", id="too long"),
        pytest.param(
            [pod(ended(2, "KeyError: 'auc'\n"), INITS)], "Crashed",
            "container 'evaluate' ended with exit code 2: KeyError: 'auc'", id="crash"),
        pytest.param(
            [pod(ended(1, '{"auc": 0.9}'), INITS)], "Crashed",
            "container 'evaluate' ended with exit code 1: {\"auc\": 0.9}", id="numbers of a crash do not count"),
        pytest.param(
            [pod(ended(139), INITS)], "Crashed",
            "container 'evaluate' was killed by SIGSEGV; see its log", id="signal"),
        pytest.param(
            [pod(ended(128, "exec: nope: not found", "StartError"), INITS)], "Crashed",
            "container 'evaluate' could not be started: exec: nope: not found", id="no such command"),
        pytest.param(
            [pod(ended(137, reason="OOMKilled"), INITS, phase="Failed")], "OutOfMemory",
            "container 'evaluate' used more memory than its limit; ", id="OOM"),
        pytest.param(
            [pod(ended(137), INITS, phase="Failed", reason="Evicted", message="low on memory")], "PodLost",
            "its pod was taken away (Evicted): low on memory", id="evicted by the kubelet"),
        pytest.param(
            [pod(phase="Failed", reason="UnexpectedAdmissionError", message="no such device")], "PodLost",
            "its pod was taken away (UnexpectedAdmissionError): no such device", id="refused by the kubelet"),
        pytest.param(
            [pod(ended(143), INITS, conditions=[DRAINED])],
            "PodLost", "its pod was taken away (EvictionByEvictionAPI): drained", id="evicted by a drain"),
        pytest.param(
            [pod(ended(143), INITS, {"deletionTimestamp": stamp(NOW)})], "PodLost",
            "its pod was deleted before it ended", id="deleted by somebody"),
        pytest.param(
            [pod(RUNNING, INITS, {"deletionTimestamp": stamp(GONE)})], "PodLost",
            "its pod was deleted and its node does not say what became of it", id="node gone"),
        pytest.param(
            [pod(phase="Failed")], "PodLost", "its pod failed: no reason is given", id="failed for no reason"),
        pytest.param(
            [pod(None, {"modelyard-fetch-candidate": FETCHED, "modelyard-fetch-incumbent": ended(1, FETCH_ERROR)})],
            "FetchFailed", "the incumbent could not be fetched: digest differs", id="other bytes"),
        pytest.param(
            [pod(None, {**INITS, "prepare": ended(3, "no data")}, phase="Failed")], "Crashed",
            "container 'prepare' ended with exit code 3: no data", id="init container"),
        pytest.param(
            [pod(stuck("InvalidImageName", "bad"))], "ImageNotPulled", "its pod waits: InvalidImageName: bad",
            id="image that cannot exist"),
    ],
)  # fmt: skip
def test_no_answer(pods: list[Any], reason: str, message: str) -> None:
    found = outcome(started(), *pods)
    assert isinstance(found, GateError)
    assert found.reason == reason
    assert found.message.startswith(message)


@pytest.mark.parametrize(
    ("pods", "reason", "message"),
    [
        ([pod(RUNNING, INITS)], "TimedOut", "no answer within 30m; see its log, or give it a longer timeout"),
        ([pod(stuck("ImagePullBackOff", "no such image"))], "ImageNotPulled",
         "no answer within 30m: its pod waits: ImagePullBackOff: no such image"),
        ([pod(conditions=[{**condition("PodScheduled", "Unschedulable", message="0/3 nodes"), "status": "False"}])],
         "Unschedulable", "no answer within 30m: its pod fits no node: 0/3 nodes"),
        ([], "TimedOut", "no answer within 30m: no pod could be made; `kubectl describe job fraud-gate-1` says why"),
    ],
)  # fmt: skip
def test_at_the_end_of_its_time_it_is_told_what_it_waited_for(pods: list[Any], reason: str, message: str) -> None:
    assert outcome(started(LATE), *pods) == GateError(GateReason(reason), message)
    assert outcome(started(LATE + timedelta(seconds=1)), *pods) is None


@pytest.mark.parametrize("pods", [(), (pod(ended(143), INITS),)], ids=["pod gone", "pod ended"])
@pytest.mark.parametrize("type_", ["FailureTarget", "Failed"])
def test_the_jobs_own_deadline_while_no_operator_ran(type_: str, pods: tuple[Any, ...]) -> None:
    late = started(NOW - timedelta(hours=2), conditions=[condition(type_, "DeadlineExceeded")])
    found = outcome(late, *pods)
    assert found == GateError(GateReason.TIMED_OUT, "no answer within 30m; see its log, or give it a longer timeout")


@pytest.mark.parametrize("type_", ["Complete", "Failed"])
def test_a_pod_that_nobody_sees_any_more(type_: str) -> None:
    over = started(conditions=[condition(type_, "BackoffLimitExceeded", GONE, "it failed")])
    text = "its pod went away before its output was read: it failed"
    assert outcome(over) == GateError(GateReason.POD_LOST, text)
    fresh = started(conditions=[condition(type_, "BackoffLimitExceeded", NOW)])
    assert outcome(fresh) is None, "the pod may still come into view"


def test_without_checks_the_exit_code_is_all() -> None:
    assert outcome(started(), pod(ended(0), INITS), needs_output=False) == Output({}, {})
    assert outcome(started(), pod(ended(0, "{}"), INITS), needs_output=False) == Output({}, {})
    assert isinstance(outcome(started(), pod(ended(0, "done"), INITS), needs_output=False), GateError)
    assert isinstance(outcome(started(), pod(ended(1), INITS), needs_output=False), GateError)


def test_what_it_waits_for() -> None:
    assert waiting(started()) == "its pod is about to be made"
    assert waiting(started(), pod(None, {"modelyard-fetch-candidate": RUNNING})) == "the models are being fetched"
    assert waiting(started(), pod(stuck("ErrImagePull", "gone"))) == "its pod waits: ErrImagePull: gone"
    assert waiting(started(), pod(stuck("PodInitializing"))) == ""
    assert waiting(started(), pod(RUNNING, INITS)) == ""
    suspended = started()
    suspended["spec"]["suspend"] = True
    assert waiting(suspended) == "its Job is suspended; set the Job's spec.suspend to false to go on"


def test_it_is_looked_at_again_when_its_time_is_over() -> None:
    of = started(NOW)
    assert ending.look_again_at(world(), of) == NOW + TIMEOUT
    leaving = pod(RUNNING, INITS, {"deletionTimestamp": stamp(NOW)})
    assert ending.look_again_at(world(pods=(leaving,)), of) == NOW + RESULT_GRACE
    del of["status"]
    assert ending.look_again_at(world(), of) is None
