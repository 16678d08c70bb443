"""The Jobs that run the helper programs (verify, check) in the Model's namespace: how one is made, what it reported."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from modelyard.api import names
from modelyard.decide import codec, manifests
from modelyard.decide.progress import parse_result
from modelyard.decide.snapshot import Obj
from modelyard.decide.world import World

RESULT_GRACE = timedelta(seconds=15)
"""How long after a Job's end its pod may still come into view."""
DEADLINE_SECONDS = 12 * 3600
TTL_SECONDS = 600
"""How long an ended Job stays, for whoever wants to read its log."""


def result(world: World, job: Obj) -> Mapping[str, Any] | None:
    """What a helper Job's pod reported; None while it runs."""
    for pod in _pods(world, job):
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (container.get("state") or {}).get("terminated")
            if ended:
                return parse_result(ended.get("message"))
        if (pod.get("status") or {}).get("phase") == "Failed":
            return parse_result(pod["status"].get("message") or pod["status"].get("reason"))
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            ended_at = codec.parse_time(condition["lastTransitionTime"])
            if world.now > ended_at + RESULT_GRACE:
                return parse_result(condition.get("message"))
    return None


def waiting(world: World, job: Obj) -> str:
    """Why the Job's pod does not run yet; empty when it does."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] == "FailureTarget" and condition["status"] == "True":
            return str(condition.get("message", ""))
    for pod in _pods(world, job):
        status = pod.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"the verification's pod fits no node: {condition.get('message', '')}"
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return f"the verification's pod waits: {waiting['reason']}: {waiting.get('message', '')}"
    return ""


def _pods(world: World, job: Obj) -> Iterable[Obj]:
    uid = job["metadata"]["uid"]
    for pod in world.seen.pods:
        if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or ()):
            yield pod


def build(
    world: World, name: str, module: str, task: Mapping[str, Any], owner: Mapping[str, Any], version: str
) -> Mapping[str, Any]:
    """A Job that runs one of the programs in `modelyard.pods` once."""
    labels = {
        **world.seen.helper.labels,
        "app.kubernetes.io/name": world.seen.name,
        "app.kubernetes.io/part-of": "modelyard",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_MODEL: world.seen.name,
        names.LABEL_VERSION: version,
        names.LABEL_JOB: module,
    }
    account = (world.model["spec"].get("storage") or {}).get("serviceAccountName")
    container = manifests.helper_container(world, module, module)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": world.seen.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {
                "metadata": {"labels": labels, "annotations": {names.ANNOTATION_TASK: manifests.compact(task)}},
                "spec": manifests.helper_pod_spec(world.seen.helper, container, account),
            },
        },
    }
