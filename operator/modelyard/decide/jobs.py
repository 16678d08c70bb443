"""The Jobs in the Model's namespace: why one waits, and for the helper programs' (verify, check) also how one is made
and what it reported. A gate's Job, which runs a user's program, is made and read in `gates.job`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelyard.api import codec, names
from modelyard.decide import podspec
from modelyard.decide.progress import parse_result
from modelyard.decide.snapshot import Obj
from modelyard.decide.world import World

RESULT_GRACE = timedelta(seconds=45)
"""How long after a Job's end its pod may still come into view: longer than a watch can be silent before that is noticed
(`runtime.watching.SILENT_AFTER`)."""
DEADLINE_SECONDS = 12 * 3600
TTL_SECONDS = 600
"""How long an ended Job stays, for whoever wants to read its log."""


def result(world: World, job: Obj) -> Mapping[str, Any] | None:
    """What a helper Job's pod reported; None while it runs."""
    for pod in pods_of(world, job):
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (container.get("state") or {}).get("terminated")
            if ended:
                return parse_result(ended.get("message"))
        if (pod.get("status") or {}).get("phase") == "Failed":
            return parse_result(pod["status"].get("message") or pod["status"].get("reason"))
    done = condition_of(job, "Complete", "Failed")
    if done and is_told(world, done):
        return parse_result(done.get("message"))
    return None


def is_told(world: World, done: Mapping[str, Any]) -> bool:
    """Whether all is in view that the pods of a Job with this last condition may have said."""
    return world.now > world.end_of(RESULT_GRACE, codec.parse_time(done["lastTransitionTime"]))


@dataclass(frozen=True)
class Wait:
    """What keeps a Job's pod from running."""

    message: str
    reason: str = ""
    """The kubelet's or scheduler's word for it, such as ImagePullBackOff or Unschedulable."""


def wait(world: World, job: Obj, whose: str) -> Wait | None:
    """What the Job's pod waits for; None when it runs. `whose` pod it is, for the sentence."""
    for pod in pods_of(world, job):
        status = pod.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                text = f"{whose} pod fits no node: {condition.get('message', '')}"
                return Wait(text, str(condition.get("reason", "")))
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                text = f"{whose} pod waits: {waiting['reason']}: {waiting.get('message', '')}"
                return Wait(text, str(waiting["reason"]))
    target = condition_of(job, "FailureTarget")
    return Wait(str(target.get("message", ""))) if target else None


def condition_of(job: Obj, *types: str) -> Obj | None:
    """The first of the Job's conditions of these types that holds."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] in types and c["status"] == "True"), None)


def pods_of(world: World, job: Obj) -> Iterable[Obj]:
    """The pods that a Job made."""
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
    container = podspec.helper_container(world, module, module)
    template = {
        "metadata": {"labels": labels, "annotations": {names.ANNOTATION_TASK: podspec.compact(task)}},
        "spec": podspec.helper_pod_spec(world.seen.helper, container, account),
    }
    spec = {
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "ttlSecondsAfterFinished": TTL_SECONDS,
        "template": template,
    }
    return running_once(world, name, owner, labels, spec)


def running_once(
    world: World, name: str, owner: Mapping[str, Any], labels: Mapping[str, str], spec: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A Job in the Model's namespace whose pod is never started again: another attempt is another Job."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": world.seen.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {"backoffLimit": 0, **spec},
    }
