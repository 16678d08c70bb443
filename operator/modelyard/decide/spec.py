"""A Model's spec as decisions need it: every stage with its defaults and overrides resolved.

The defaults stand here and not in the CRD, so that what users wrote stays what Git says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelyard.api import defaults
from modelyard.decide.snapshot import Obj

_DURATION = re.compile(r"(\d+)(ms|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True)
class ServingSpec:
    """How a stage serves."""

    template: Obj
    service_name: str
    port: int
    replicas: int | None
    """None: somebody else (an autoscaler) owns the number."""
    strategy: str
    progress_deadline: timedelta
    schedule_deadline: timedelta
    image_pull_deadline: timedelta
    fetch_deadline: timedelta
    keep_warm_for: timedelta
    keep_warm_replicas: int | None
    drain_period: timedelta
    revision_history_limit: int


@dataclass(frozen=True)
class StageSpec:
    """One stage of a Model."""

    name: str
    object_name: str
    """Name of the stage's ConfigMap, and the first part of its Deployments' names."""
    serving: ServingSpec | None
    version: str | None = None
    """The version that the Model itself names for this stage."""
    paused: bool = False
    suspend: bool = False
    unsupported: str = ""
    """What stands before this stage that this release cannot run, for a person to read; empty if nothing."""

    @property
    def history_limit(self) -> int:
        """How many good revisions are kept beside the current one."""
        return self.serving.revision_history_limit if self.serving else defaults.REVISION_HISTORY_LIMIT


def parse_duration(text: str | None, default: str) -> timedelta:
    """Read a duration as the Gateway API writes it (`1h30m`, `500ms`); anything else reads as the default."""
    parts = _DURATION.findall(text or "") or _DURATION.findall(default)
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def parse_stages(model: Obj) -> tuple[StageSpec, ...]:
    """Every stage of the Model, in its order."""
    spec = model["spec"]
    stages = spec.get("stages") or [{"name": name} for name in defaults.STAGES]
    found: list[StageSpec] = []
    unsupported: list[str] = []
    for stage in stages:
        unsupported += _unsupported(stage)
        found.append(_stage(model["metadata"]["name"], spec, stage, "; ".join(unsupported)))
    return tuple(found)


def _unsupported(stage: Mapping[str, Any]) -> list[str]:
    """Gates and approvals of a stage, which hold back every later stage too."""
    gates = [gate["name"] for gate in stage.get("gates") or ()]
    found = [f"stage {stage['name']!r} declares gates ({', '.join(gates)})"] if gates else []
    if (stage.get("approvals") or {}).get("required", 0):
        found.append(f"stage {stage['name']!r} requires approvals")
    return found


def _stage(model: str, spec: Mapping[str, Any], stage: Mapping[str, Any], unsupported: str) -> StageSpec:
    object_name = f"{model}-{stage['name']}"
    return StageSpec(
        name=stage["name"],
        object_name=object_name,
        serving=_serving(object_name, spec.get("serving"), stage.get("serving") or {}),
        version=stage.get("version"),
        paused=bool(stage.get("paused")),
        suspend=bool(stage.get("suspend")),
        unsupported=unsupported,
    )


def _serving(object_name: str, of_model: Any, of_stage: Mapping[str, Any]) -> ServingSpec | None:
    if of_model is None:
        return None
    both = {**of_model, **of_stage}
    warm = both.get("keepWarm") or {}
    return ServingSpec(
        template=both.get("template") or {},
        service_name=both.get("serviceName") or object_name,
        port=both.get("port") or defaults.PORT,
        replicas=both.get("replicas"),
        strategy=(both.get("rollout") or {}).get("strategy") or defaults.ROLLOUT_STRATEGY,
        progress_deadline=parse_duration(both.get("progressDeadline"), defaults.PROGRESS_DEADLINE),
        schedule_deadline=parse_duration(both.get("scheduleDeadline"), defaults.SCHEDULE_DEADLINE),
        image_pull_deadline=parse_duration(both.get("imagePullDeadline"), defaults.IMAGE_PULL_DEADLINE),
        fetch_deadline=parse_duration(both.get("fetchDeadline"), defaults.FETCH_DEADLINE),
        keep_warm_for=parse_duration(warm.get("for"), defaults.KEEP_WARM_FOR),
        keep_warm_replicas=warm.get("replicas"),
        drain_period=parse_duration(both.get("drainPeriod"), defaults.DRAIN_PERIOD),
        revision_history_limit=_default(both.get("revisionHistoryLimit"), defaults.REVISION_HISTORY_LIMIT),
    )


def _default(value: int | None, default: int) -> int:
    return default if value is None else value
