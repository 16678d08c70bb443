"""A pod template that a user wrote: what is wrong with it, and what of it may be recorded.

`error` is asked when a Model is read, before any pod is made: only what the API server cannot tell at `kubectl apply`
and what would make an object that nobody can use. The values of environment variables may be secret, so a record has
the template without them; `with_values` puts them back from what is written today.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.decide import shapes

TASK_VOLUME = "modelyard-task"
"""The volume by which the operator's own containers learn what to do."""


def error(template: Mapping[str, Any], field: str) -> str:
    """What keeps the pod template in a field from being used; empty when nothing does."""
    return next(_errors(template, field), "")


def _errors(template: Mapping[str, Any], field: str) -> Iterator[str]:
    wrong = shapes.misfit(template, shapes.POD_TEMPLATE, field)
    if wrong:
        yield f"{wrong}; correct it"
        return
    spec = template.get("spec") or {}
    containers = spec.get("containers")
    if not containers:
        yield f"{field}.spec.containers is empty; name at least one container with its image"
        return
    for index, container in enumerate(containers):
        for key in ("name", "image"):
            if not container.get(key):
                yield f"{field}.spec.containers[{index}].{key} is missing; set it"
                return
    if any(volume.get("name") == TASK_VOLUME for volume in spec.get("volumes") or ()):
        yield f"{field}.spec.volumes has {TASK_VOLUME!r}, which is Modelyard's own; choose another name"


def without_values(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template with the names of environment variables only."""
    told = copy.deepcopy(dict(template))
    for _, variable in _named(told):
        variable.pop("value", None)
    return told


def with_values(told: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """A template as `without_values` left it, with the values that the variables of the same name have in another."""
    values = {where: each["value"] for where, each in _named(template) if "value" in each}
    filled = copy.deepcopy(dict(told))
    for where, variable in _named(filled):
        if where in values and "valueFrom" not in variable:
            variable["value"] = values[where]
    return filled


def _named(template: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for kind in ("initContainers", "containers"):
        for container in (template.get("spec") or {}).get(kind) or ():
            for variable in container.get("env") or ():
                yield (str(container.get("name")), str(variable.get("name"))), variable
