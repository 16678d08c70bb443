"""What runs for nobody ends; what has ended stays a while, with its log."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.decide.gates import upkeep
from modelyard.decide.plan import Action, Delete, Patch, Sighting
from modelyard.decide.versions import Version
from tests.unit.decide.gates.attempts import condition, ended, pod, started, world

VERSION = Sighting("ModelVersion", "fraud-7", "uid-7", resource_version="70")
"""What tells that nobody waits for it, in its status."""
DELETED = Delete("Job", "fraud-gate-1", "uid-job", counts_on=(VERSION,), resource_version="90")
KEPT = Patch("Job", "fraud-gate-1", {"spec": {"ttlSecondsAfterFinished": upkeep.TTL_SECONDS}})


@pytest.mark.parametrize(
    ("pods", "conditions", "expected"),
    [
        pytest.param((), [], [DELETED], id="no pod yet"),
        pytest.param((pod({"running": {}}),), [], [DELETED], id="running"),
        pytest.param((pod({"waiting": {"reason": "ErrImageNeverPull"}}),), [], [DELETED], id="never going to run"),
        pytest.param((pod(ended(0, "{}")),), [], [], id="ended, and the Job does not know yet"),
        pytest.param((pod(ended(1)),), [], [], id="crashed, and the Job does not know yet"),
        pytest.param((pod(ended(0, "{}")),), [condition("Complete", "")], [KEPT], id="complete"),
        pytest.param((), [condition("Failed", "DeadlineExceeded")], [KEPT], id="failed"),
    ],
)
def test_a_job_that_nobody_waits_for(pods: tuple[Any, ...], conditions: list[Any], expected: list[Action]) -> None:
    of = started(conditions=conditions)
    at = world(pods=pods)
    at = replace(at, seen=replace(at.seen, jobs={"fraud-gate-1": of}))
    assert list(upkeep.actions(at, [])) == expected
    of["spec"]["ttlSecondsAfterFinished"] = upkeep.TTL_SECONDS
    assert KEPT not in upkeep.actions(at, [])


@pytest.mark.parametrize(
    ("result", "reason", "expected"),
    [
        pytest.param("Running", "", [], id="its answer is waited for"),
        pytest.param("Error", "TimedOut", [KEPT], id="its own deadline ends it, and its log stays"),
        pytest.param("Error", "ImageNotPulled", [DELETED], id="it will never run"),
    ],
)
def test_a_job_that_runs_and_is_on_record(result: str, reason: str, expected: list[Action]) -> None:
    at = world(pods=(pod({"running": {}}),))
    line = {"stage": "production", "name": "slices", "when": "BeforeDeploy", "result": result, "reason": reason}
    obj = {**at.versions["7"].obj, "status": {"gates": [{**line, "job": "fraud-gate-1"}]}}
    at = replace(at, seen=replace(at.seen, jobs={"fraud-gate-1": started()}), versions={"7": Version(obj)})
    assert list(upkeep.actions(at, [])) == expected
