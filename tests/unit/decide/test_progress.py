"""How far a revision is: every way of waiting has its own reason and its own time limit."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelyard.decide import progress
from modelyard.decide.progress import Progress
from modelyard.decide.snapshot import Snapshot
from modelyard.decide.world import World

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LABELS = {"modelyard.dev/model": "fraud", "modelyard.dev/stage": "production", "modelyard.dev/revision": "abc"}


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat().replace("+00:00", "Z")


def deployment(
    *, replicas: int = 1, ready: int = 0, made: str | None = None, conditions: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"name": "fraud-production-abc", "creationTimestamp": made or ago(hours=2), "generation": 3},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 3, "readyReplicas": ready, "conditions": conditions or []},
    }


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "labels": LABELS, "creationTimestamp": ago(minutes=5)},
        "status": {"startTime": ago(minutes=5), **status},
    }


def fetch(state: dict[str, Any], last: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [{"name": "modelyard-fetch", "state": state, "lastState": last or {}}]


def failed_fetch(reason: str, *, transient: bool) -> dict[str, Any]:
    error = {"reason": reason, "message": "it went wrong", "transient": transient}
    return {"terminated": {"exitCode": 1, "message": json.dumps({"error": error})}}


def waiting(reason: str) -> list[dict[str, Any]]:
    return [{"name": "server", "state": {"waiting": {"reason": reason, "message": "says the kubelet"}}}]


FETCHED = fetch({"terminated": {"exitCode": 0, "finishedAt": ago(minutes=4)}})
REFUSED = {
    "type": "ReplicaFailure", "status": "True", "message": "exceeded quota", "lastTransitionTime": ago(minutes=1),
}  # fmt: skip
NO_NODE = {
    "type": "PodScheduled", "status": "False", "message": "0/1 nodes", "lastTransitionTime": ago(minutes=3),
}  # fmt: skip


def look(deployment: dict[str, Any] | None, *pods: dict[str, Any], wanted: int = 1, **serving: Any) -> Progress:
    model = {"metadata": {"name": "fraud"}, "spec": {"serving": {"template": {}, **serving}}}
    deployments = {"fraud-production-abc": deployment} if deployment else {}
    seen = Snapshot("risk", "fraud", model, deployments=deployments, pods=pods)
    world = World.of(seen, model, NOW)
    return progress.of_revision(world, world.stages[-1], "abc", wanted)


@pytest.mark.parametrize(
    ("found", "reason", "left"),
    [
        pytest.param(look(None), "Deploying", None, id="no Deployment yet"),
        pytest.param(look(deployment(replicas=0)), "Deploying", None, id="not scaled up yet"),
        pytest.param(look(deployment(made=ago(minutes=1))), "Deploying", timedelta(minutes=29), id="no pods yet"),
        pytest.param(
            look(deployment(conditions=[REFUSED])), "PodRefused", timedelta(minutes=29), id="pods are refused"
        ),
        pytest.param(
            look(deployment(), pod(conditions=[NO_NODE])), "Unschedulable", timedelta(minutes=27), id="no node"
        ),
        pytest.param(
            look(deployment(), pod(containerStatuses=waiting("ImagePullBackOff"))),
            "ImageNotPulled",
            timedelta(minutes=5),
            id="image not pulled",
        ),
        pytest.param(
            look(deployment(), pod(initContainerStatuses=waiting("CreateContainerConfigError"))),
            "SecretNotFound",
            timedelta(minutes=5),
            id="Secret missing",
        ),
        pytest.param(
            look(deployment(), pod(initContainerStatuses=fetch({"running": {}}))),
            "Fetching",
            timedelta(minutes=55),
            id="fetching",
        ),
        pytest.param(
            look(
                deployment(),
                pod(initContainerStatuses=fetch({"waiting": {}}, failed_fetch("StoreUnavailable", transient=True))),
            ),
            "Fetching",
            timedelta(minutes=55),
            id="fetching failed and is tried again",
        ),
        pytest.param(
            look(deployment(), pod(initContainerStatuses=FETCHED)),
            "WaitingForPods",
            timedelta(minutes=6),
            id="fetched, not ready: counted from the end of fetching",
        ),
    ],
)
def test_waits_with_a_reason_and_a_deadline(found: Progress, reason: str, left: timedelta | None) -> None:
    assert (found.ready, found.failed, str(found.reason)) == (False, False, reason)
    assert found.look_again_at == (NOW + left if left else None)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(
            look(deployment(), pod(initContainerStatuses=FETCHED), progressDeadline="3m"),
            "ProgressDeadlineExceeded",
            id="not ready in time",
        ),
        pytest.param(
            look(deployment(), pod(conditions=[NO_NODE]), scheduleDeadline="2m"), "Unschedulable", id="no node in time"
        ),
        pytest.param(
            look(deployment(), pod(containerStatuses=waiting("ErrImagePull")), imagePullDeadline="1m"),
            "ImageNotPulled",
            id="image not pulled in time",
        ),
        pytest.param(
            look(deployment(), pod(initContainerStatuses=fetch({"running": {}})), fetchDeadline="4m"),
            "Fetching",
            id="not fetched in time",
        ),
        pytest.param(
            look(deployment(), pod(initContainerStatuses=fetch(failed_fetch("DigestMismatch", transient=False)))),
            "DigestMismatch",
            id="the bytes are not the verified ones: at once",
        ),
    ],
)
def test_gives_up(found: Progress, reason: str) -> None:
    assert (found.failed, str(found.reason)) == (True, reason)


def test_a_slow_download_does_not_use_up_the_progress_deadline() -> None:
    found = look(deployment(), pod(initContainerStatuses=fetch({"running": {}})), progressDeadline="1m")
    assert not found.failed


@pytest.mark.parametrize(
    ("ready", "wanted", "expected"), [(1, 1, True), (2, 3, False), (3, 3, True), (0, 0, True)], ids=str
)
def test_ready_needs_as_many_pods_as_wanted(ready: int, wanted: int, *, expected: bool) -> None:
    assert look(deployment(replicas=wanted, ready=ready, made=ago(minutes=1)), wanted=wanted).ready is expected


def test_a_deployment_whose_controller_has_not_seen_its_spec_is_not_ready() -> None:
    stale = deployment(ready=1)
    stale["status"]["observedGeneration"] = 2
    assert not look(stale, pod(initContainerStatuses=FETCHED)).ready


@pytest.mark.parametrize("message", [None, "", "Killed", "[]", '{"error": "x"}', '{"error": {}}', "[" * 4096])
def test_an_unusable_result_is_an_error_of_ours_and_tried_again(message: str | None) -> None:
    error = progress.parse_result(message)["error"]
    assert (error["reason"], error["transient"]) == ("InternalError", True)
