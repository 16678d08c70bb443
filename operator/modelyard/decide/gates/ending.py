"""What became of a gate's Job: numbers to judge, or why there are none?

`passage` asks at every look. There are numbers only when the gate's container ended with exit code 0 and left one
usable JSON object; everything else that can happen to a pod is a GateError with a reason of its own, because the
person who reads it has to do something else each time.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelyard.api import codec
from modelyard.api.reasons import GateReason
from modelyard.decide import jobs, progress
from modelyard.decide.gates.job import BACKSTOP
from modelyard.decide.gates.output import MAX_LENGTH, Output, OutputError, parse
from modelyard.decide.progress import parse_result
from modelyard.decide.snapshot import Obj
from modelyard.decide.world import World

LOG_SHOWN = 300
"""How much of a crash's last words is shown."""
POD_MESSAGES = 3 * MAX_LENGTH
"""Bytes of termination messages that the kubelet keeps of a whole pod; its containers share them evenly."""
FETCH = "modelyard-fetch-"
_NEVER_PULLED = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_NOT_PULLED = frozenset({*_NEVER_PULLED, "ErrImagePull", "ImagePullBackOff", "ImageInspectError"})


@dataclass(frozen=True)
class GateError:
    """An attempt that gave no answer."""

    reason: GateReason
    message: str


def outcome(world: World, job: Obj, *, needs_output: bool = True) -> Output | GateError | None:
    """The numbers that a Job left, or why it left none; None while it may still do so.

    `needs_output`: whether there are checks. A gate without any has said all with its exit code.
    """
    pods = tuple(jobs.pods_of(world, job))
    for pod in pods:
        ended = _container(pod, job["spec"]["template"]["spec"]["containers"][0]["name"])
        if ended and ended.get("exitCode") == 0:
            return _read(ended.get("message"), job, needs_output=needs_output)
    return _overdue(world, job) or next(filter(None, (_failed(world, job, pod) for pod in pods)), _lost(world, job))


def has_ended(world: World, job: Obj) -> bool:
    """Whether the gate's container has ended, however it did. The Job says so a moment later."""
    name = job["spec"]["template"]["spec"]["containers"][0]["name"]
    return any(_container(pod, name) for pod in jobs.pods_of(world, job))


def waiting(world: World, job: Obj) -> str:
    """Why the gate's container does not run yet; empty when it does."""
    if job["spec"].get("suspend"):
        return "its Job is suspended; set the Job's spec.suspend to false to go on"
    pods = tuple(jobs.pods_of(world, job))
    if not pods:
        return "its pod is about to be made"
    wait = jobs.wait(world, job, "its")
    if wait:
        return wait.message
    fetching = any(
        container["name"].startswith(FETCH) and "running" in (container.get("state") or {})
        for pod in pods
        for container in _statuses(pod, "initContainerStatuses")
    )
    return "the models are being fetched" if fetching else ""


def look_again_at(world: World, job: Obj) -> datetime | None:
    """When a Job that has no outcome yet has one at the latest, though nothing more is heard of it."""
    deleted = (pod["metadata"].get("deletionTimestamp") for pod in jobs.pods_of(world, job))
    moments = [world.end_of(jobs.RESULT_GRACE, codec.parse_time(moment)) for moment in deleted if moment]
    return min((moment for moment in (*moments, _due_at(world, job)) if moment and moment > world.now), default=None)


def _due_at(world: World, job: Obj) -> datetime | None:
    """When its time is over; None before it has begun."""
    started = (job.get("status") or {}).get("startTime")
    return world.end_of(_timeout(job), codec.parse_time(started)) if started else None


def _timeout(job: Obj) -> timedelta:
    return timedelta(seconds=job["spec"]["activeDeadlineSeconds"]) - BACKSTOP


def _read(message: str | None, job: Obj, *, needs_output: bool) -> Output | GateError:
    if not needs_output and not (message or "").strip():
        return Output({}, {})
    spec = job["spec"]["template"]["spec"]
    sharing = len(spec["containers"]) + len(spec.get("initContainers") or ())
    found = parse(message, min(MAX_LENGTH, POD_MESSAGES // sharing))
    return GateError(found.reason, found.message) if isinstance(found, OutputError) else found


def _overdue(world: World, job: Obj) -> GateError | None:
    """Its time is over, or what it waits for will never come."""
    wait = jobs.wait(world, job, "its")
    if wait and wait.reason in _NEVER_PULLED:
        return GateError(GateReason.IMAGE_NOT_PULLED, wait.message)
    due = _due_at(world, job)
    failed = jobs.condition_of(job, "FailureTarget", "Failed") or {}
    if failed.get("reason") != "DeadlineExceeded" and (due is None or world.now < due):
        return None
    reason = GateReason.TIMED_OUT
    if wait and wait.reason in _NOT_PULLED:
        reason = GateReason.IMAGE_NOT_PULLED
    elif wait and wait.reason == "Unschedulable":
        reason = GateReason.UNSCHEDULABLE
    late = f"no answer within {progress.duration(_timeout(job))}"
    if not any(jobs.pods_of(world, job)) and not failed:
        name = job["metadata"]["name"]
        return GateError(reason, f"{late}: no pod could be made; `kubectl describe job {name}` says why")
    if wait and wait.reason:
        return GateError(reason, f"{late}: {wait.message}")
    return GateError(reason, f"{late}; see its log, or give it a longer timeout")


def _failed(world: World, job: Obj, pod: Obj) -> GateError | None:
    """Why a pod cannot give an answer any more."""
    status: Mapping[str, Any] = pod.get("status") or {}
    over = status.get("phase") == "Failed"
    ended = _container(pod, job["spec"]["template"]["spec"]["containers"][0]["name"])
    if over or ended:
        taken = _taken_away(pod)
        if taken:
            return GateError(GateReason.POD_LOST, taken)
    if ended:
        return _crash(ended, job["spec"]["template"]["spec"]["containers"][0]["name"])
    for container in _statuses(pod, "initContainerStatuses"):
        stopped = (container.get("state") or {}).get("terminated") or {}
        if stopped.get("exitCode", 0) == 0:
            continue
        if container["name"].startswith(FETCH):
            return _not_fetched(container["name"].removeprefix(FETCH), stopped)
        if over:  # until then it may be a sidecar that is started again
            return _crash(stopped, container["name"])
    if over:
        text = status.get("message") or status.get("reason") or "no reason is given"
        return GateError(GateReason.POD_LOST, f"its pod failed: {text}")
    deleted = pod["metadata"].get("deletionTimestamp")
    if deleted and world.now > world.end_of(jobs.RESULT_GRACE, codec.parse_time(deleted)):
        return GateError(GateReason.POD_LOST, "its pod was deleted and its node does not say what became of it")
    return None


def _taken_away(pod: Obj) -> str:
    """Who ended a pod from outside, as a sentence; empty if nobody did."""
    status: Mapping[str, Any] = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return f"its pod was taken away ({condition.get('reason', '')}): {condition.get('message', '')}"
    if status.get("reason"):
        return f"its pod was taken away ({status['reason']}): {status.get('message', '')}"
    return "its pod was deleted before it ended" if "deletionTimestamp" in pod["metadata"] else ""


def _crash(ended: Mapping[str, Any], container: str) -> GateError:
    if ended.get("reason") == "OOMKilled":
        text = f"container {container!r} used more memory than its limit; give it more in resources.limits.memory"
        return GateError(GateReason.OUT_OF_MEMORY, text)
    code = int(ended.get("exitCode", 1))
    said = str(ended.get("message") or "").strip()
    last = f": {said if len(said) <= LOG_SHOWN else '...' + said[-LOG_SHOWN:]}" if said else "; see its log"
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return GateError(GateReason.CRASHED, f"container {container!r} could not be started{last}")
    by = f"was killed by {_signal(code - 128)}" if code > 128 else f"ended with exit code {code}"
    return GateError(GateReason.CRASHED, f"container {container!r} {by}{last}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _not_fetched(side: str, ended: Mapping[str, Any]) -> GateError:
    error = parse_result(ended.get("message")).get("error") or {}
    text = error.get("message") or f"exit code {ended.get('exitCode')}"
    return GateError(GateReason.FETCH_FAILED, f"the {side} could not be fetched: {text}")


def _lost(world: World, job: Obj) -> GateError | None:
    """The Job is over and no pod of it says anything."""
    done = jobs.condition_of(job, "Complete", "Failed")
    if done is None or not jobs.is_told(world, done):
        return None
    text = done.get("message") or "the Job has ended"
    return GateError(GateReason.POD_LOST, f"its pod went away before its output was read: {text}")


def _container(pod: Obj, name: str) -> Mapping[str, Any] | None:
    """How a container of the pod ended; None while it did not."""
    for container in _statuses(pod, "containerStatuses"):
        if container["name"] == name:
            ended: Mapping[str, Any] | None = (container.get("state") or {}).get("terminated")
            return ended
    return None


def _statuses(pod: Obj, key: str) -> tuple[Mapping[str, Any], ...]:
    return tuple((pod.get("status") or {}).get(key) or ())
