"""What is wrong with a pod template that a user wrote? Asked when a Model is read, before any pod is made of it.

Only what the API server cannot tell at `kubectl apply` and what would make an object that nobody can use.
"""

from collections.abc import Iterator, Mapping
from typing import Any

TASK_VOLUME = "modelyard-task"
"""The volume by which the operator's own containers learn what to do."""


def error(template: Mapping[str, Any], field: str) -> str:
    """What keeps the pod template in a field from being used; empty when nothing does."""
    return next(_errors(template, field), "")


def _errors(template: Mapping[str, Any], field: str) -> Iterator[str]:
    spec = template.get("spec") or {}
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        yield f"{field}.spec.containers is empty; name at least one container with its image"
        return
    for index, container in enumerate(containers):
        for key in ("name", "image"):
            if not isinstance(container, dict) or not container.get(key):
                yield f"{field}.spec.containers[{index}].{key} is missing; set it"
                return
    if any(volume.get("name") == TASK_VOLUME for volume in spec.get("volumes") or ()):
        yield f"{field}.spec.volumes has {TASK_VOLUME!r}, which is Modelyard's own; choose another name"
