"""How far is a revision's Deployment: ready to take traffic, on its way, or not going to make it?

Each way of waiting has a reason and a time limit of its own, so that a slow download or a full cluster is not
mistaken for a bad version: no node takes the pods (scheduleDeadline), an image cannot be pulled or a Secret is
missing (imagePullDeadline), the artifact is being fetched (fetchDeadline), and only then, counted from the end
of fetching, the server does not become ready (progressDeadline).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelyard.api import names
from modelyard.api.codec import parse_time
from modelyard.api.reasons import ArtifactReason, VersionReason
from modelyard.decide.manifests import FETCH_CONTAINER
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import ServingSpec, StageSpec
from modelyard.decide.state import StageState
from modelyard.decide.world import World

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)

SETTLE = timedelta(seconds=5)
"""From the endpoints' change until every node routes by them: kube-proxy syncs at most once a second."""


@dataclass(frozen=True)
class Progress:
    """How far a revision is."""

    ready: bool = False
    reason: str = VersionReason.DEPLOYING
    message: str = ""
    failed: bool = False
    """Whether it is not going to make it, for `reason`."""
    look_again_at: datetime | None = None


READY = Progress(ready=True)


@dataclass(frozen=True)
class _Wait:
    """One pod's wait: what for, since when, and for how long it may last."""

    rank: int
    reason: str
    message: str
    since: datetime
    limit: timedelta


def of_revision(world: World, stage: StageSpec, revision: str, wanted: int) -> Progress:
    """How far a revision of this stage is towards `wanted` ready pods."""
    if stage.serving is None or wanted == 0:
        return READY
    deployment = world.deployment(stage, revision)
    if deployment is None:
        refusal = world.seen.refusals.get(("Deployment", f"{stage.object_name}-{revision}"))
        if refusal:
            return Progress(reason=VersionReason.POD_REFUSED, message=f"its Deployment is refused: {refusal}")
        return Progress(message="its Deployment is being made")
    ready = ready_pods(deployment)
    if ready >= wanted:
        return READY
    if int(deployment["spec"].get("replicas", 1)) == 0:
        return Progress(message="its pods are about to be started")
    waits = list(_waits(world, stage, stage.serving, revision, deployment))
    worst = min(waits, key=lambda wait: (wait.rank, wait.since))
    return _judge(world, worst, f"{ready} of {wanted} pods are ready")


def wanted_replicas(world: World, stage: StageSpec, state: StageState) -> int:
    """How many pods the stage wants: a switch needs as many ready ones of the target.

    Without `replicas` it is what the present Deployment has, which an autoscaler may have set.
    """
    if stage.serving is None or stage.suspend:
        return 0
    if stage.serving.replicas is not None:
        return stage.serving.replicas
    present = world.deployment(stage, state.current.revision) if state.current else None
    if present is None:
        return 1
    replicas = int(present["spec"].get("replicas", 1))
    return replicas or state.replicas_before_suspend or 1


def settled_at(state: StageState) -> datetime | None:
    """From when every node routes by the last switch; None while it is not effective."""
    since = _effective_since(state)
    return since + SETTLE if since else None


def released_at(world: World, state: StageState) -> datetime | None:
    """From when what served before may be touched; None while the switch is not effective."""
    since = _effective_since(state)
    return world.end_of(SETTLE, since) if since else None


def _effective_since(state: StageState) -> datetime | None:
    return state.current.effective_since if state.current else None


def is_reached(world: World, stage: StageSpec, service_name: str, revision: str) -> bool:
    """Whether a Service's EndpointSlices hold ready pods of one revision of the stage and of no other."""
    service = world.seen.services.get(service_name)
    if service is None or service["spec"]["selector"].get(names.LABEL_REVISION) != revision:
        return False
    ours = {pod["metadata"]["name"] for pod in world.pods_of(stage, revision)}
    ready = 0
    for piece in world.seen.endpointslices:
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != service_name:
            continue
        for endpoint in piece.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready") is False:
                continue
            if (endpoint.get("targetRef") or {}).get("name") not in ours:
                return False
            ready += 1
    return ready > 0


def ready_pods(deployment: Obj | None) -> int:
    """Ready pods of a Deployment whose controller has seen its present spec; 0 before that."""
    if deployment is None:
        return 0
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return 0
    return int(status.get("readyReplicas") or 0)


def _judge(world: World, wait: _Wait, count: str) -> Progress:
    if wait.rank == 0:
        return Progress(reason=wait.reason, message=wait.message, failed=True)
    deadline = world.end_of(wait.limit, wait.since)
    message = f"{wait.message}; {count}"
    if world.now < deadline:
        return Progress(reason=wait.reason, message=message, look_again_at=deadline)
    waited = duration(wait.limit)
    if wait.reason == VersionReason.WAITING_FOR_PODS:
        reason = str(VersionReason.PROGRESS_DEADLINE_EXCEEDED)
        return Progress(reason=reason, message=f"not ready within {waited}: {message}", failed=True)
    return Progress(reason=wait.reason, message=f"given up after {waited}: {message}", failed=True)


def duration(limit: timedelta) -> str:
    """A time limit, for a sentence."""
    minutes, seconds = divmod(int(limit.total_seconds()), 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")


def _waits(world: World, stage: StageSpec, serving: ServingSpec, revision: str, deployment: Obj) -> Iterator[_Wait]:
    """What keeps the pods from being ready, one entry a pod, and one for pods that do not exist."""
    since = _scaled_at(deployment)
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            at = max(since, parse_time(condition["lastTransitionTime"]))
            text = f"pods are refused: {condition.get('message', '')}"
            yield _Wait(1, VersionReason.POD_REFUSED, text, at, serving.schedule_deadline)
    yield _Wait(9, VersionReason.DEPLOYING, "its pods are being made", since, serving.schedule_deadline)
    for pod in world.pods_of(stage, revision):
        if not _is_ready(pod):
            yield _pod_wait(pod, serving, world.now)


def _scaled_at(deployment: Obj) -> datetime:
    """When the Deployment was made, or last given pods again."""
    metadata = deployment["metadata"]
    scaled = (metadata.get("annotations") or {}).get(names.ANNOTATION_SCALED_AT)
    return parse_time(scaled or metadata["creationTimestamp"])


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _pod_wait(pod: Obj, serving: ServingSpec, now: datetime) -> _Wait:
    status: Mapping[str, Any] = pod.get("status") or {}
    name = pod["metadata"]["name"]
    created = parse_time(pod["metadata"]["creationTimestamp"])
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            since = parse_time(condition["lastTransitionTime"])
            text = f"pod {name!r} fits no node: {condition.get('message', '')}"
            return _Wait(2, VersionReason.UNSCHEDULABLE, text, since, serving.schedule_deadline)
    started = parse_time(status["startTime"]) if "startTime" in status else created
    inits = status.get("initContainerStatuses") or ()
    mains = status.get("containerStatuses") or ()
    for container in (*inits, *mains):
        waiting = (container.get("state") or {}).get("waiting") or {}
        text = f"container {container['name']!r} of pod {name!r}: {waiting.get('message') or waiting.get('reason')}"
        if waiting.get("reason") in _IMAGE_REASONS:
            return _Wait(3, VersionReason.IMAGE_NOT_PULLED, text, started, serving.image_pull_deadline)
        if waiting.get("reason") == "CreateContainerConfigError":
            return _Wait(4, VersionReason.SECRET_NOT_FOUND, text, started, serving.image_pull_deadline)
    for container in inits:
        if container["name"] == FETCH_CONTAINER:
            fetching = _fetch_wait(container, name, started, serving)
            if fetching:
                return fetching
    fetched = _finished_at(inits) or started
    crash = next((text for c in mains if (text := _crash(c))), "starting")
    text = f"pod {name!r} is not ready ({crash})"
    return _Wait(6, VersionReason.WAITING_FOR_PODS, text, fetched, serving.progress_deadline)


def _fetch_wait(container: Obj, pod: str, started: datetime, serving: ServingSpec) -> _Wait | None:
    """The wait for the fetch container; None when it is done."""
    state: Mapping[str, Any] = container.get("state") or {}
    ended = state.get("terminated") or {}
    if ended and ended.get("exitCode") == 0:
        return None
    failure = ended or (container.get("lastState") or {}).get("terminated") or {}
    error = parse_result(failure.get("message")).get("error") if failure.get("exitCode") else None
    if error and not error.get("transient"):
        return _Wait(0, str(error["reason"]), str(error["message"]), started, serving.fetch_deadline)
    text = f"pod {pod!r} is fetching the artifact"
    if error:
        text += f" (last try: {error['message']})"
    return _Wait(5, VersionReason.FETCHING, text, started, serving.fetch_deadline)


def parse_result(message: str | None) -> Mapping[str, Any]:
    """What a helper container left as its termination message; an InternalError when it is not usable."""
    try:
        result = json.loads(message or "")
    except (ValueError, RecursionError):
        result = None
    error = result.get("error") if isinstance(result, dict) else None
    usable = isinstance(result, dict) and (error is None or (isinstance(error, dict) and "reason" in error))
    if usable:
        return {**result, "error": {"message": "", **error}} if error else result
    text = f"the helper container ended without a usable result ({(message or 'no output').strip()[:200]})"
    return {"error": {"reason": ArtifactReason.INTERNAL_ERROR.value, "message": text, "transient": True}}


def _finished_at(inits: Any) -> datetime | None:
    ends = [(c.get("state") or {}).get("terminated") or {} for c in inits]
    return max((parse_time(end["finishedAt"]) for end in ends if end.get("finishedAt")), default=None)


def _crash(container: Obj) -> str:
    waiting = (container.get("state") or {}).get("waiting") or {}
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if waiting.get("reason") == "CrashLoopBackOff" or ended:
        return f"container {container['name']!r} ended with exit code {ended.get('exitCode', '?')}; see its log"
    return ""
