"""A Model's spec as decisions need it: every stage with its defaults and overrides resolved.

The defaults stand here and not in the CRD, so that what users wrote stays what Git says.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from modelyard.api import defaults
from modelyard.decide import templates
from modelyard.decide.gates import checks
from modelyard.decide.snapshot import Obj

_DURATION = re.compile(r"(\d+)(ms|h|m|s)")
_VERSION = re.compile(r"\bversion\b")
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
class GateSpec:
    """A gate of a stage."""

    name: str
    when: str
    """BeforeDeploy, BeforeTraffic or AfterTraffic."""
    inputs: str
    """None, Candidate or Both: whose files the Job finds mounted."""
    job: Obj | None
    """The Job's pod template; None when declared metrics are judged."""
    timeout: timedelta
    retries: int
    checks: tuple[str, ...]
    fingerprint: str
    """Hash of all that an answer depends on: an edit of it asks anew, another number of retries does not."""
    error: str = ""
    """What keeps the gate from being run, for a person to read."""

    @property
    def needs_pods(self) -> bool:
        """Whether it asks the candidate's running pods."""
        return self.when != "BeforeDeploy"

    @cached_property
    def compares(self) -> bool:
        """Whether its answer depends on the incumbent, whose files it mounts or whose numbers it names."""
        return (self.job is not None and self.inputs == "Both") or checks.names_incumbent(self.checks)

    @cached_property
    def names_version(self) -> bool:
        """Whether its answer may depend on what the version declares; rather once too often than not."""
        return self.job is None or any(_VERSION.search(check) for check in self.checks)


@dataclass(frozen=True)
class ApprovalSpec:
    """Whose consent a version needs before it carries a stage."""

    required: int = 0
    exclude_requester: bool = False
    expire_after: timedelta | None = None
    allow_service_accounts: bool = False


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
    gates: tuple[GateSpec, ...] = ()
    approvals: ApprovalSpec = ApprovalSpec()

    def gates_at(self, *phases: str) -> tuple[GateSpec, ...]:
        """The gates of some phases, in the order written."""
        return tuple(gate for gate in self.gates if gate.when in phases)

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
    return tuple(_stage(model["metadata"]["name"], spec, stage) for stage in stages)


def _stage(model: str, spec: Mapping[str, Any], stage: Mapping[str, Any]) -> StageSpec:
    object_name = f"{model}-{stage['name']}"
    return StageSpec(
        name=stage["name"],
        object_name=object_name,
        serving=_serving(object_name, spec.get("serving"), stage.get("serving") or {}),
        version=stage.get("version") or None,
        paused=bool(stage.get("paused")),
        suspend=bool(stage.get("suspend")),
        gates=tuple(_gate(stage["name"], gate) for gate in stage.get("gates") or ()),
        approvals=_approvals(stage.get("approvals") or {}),
    )


def _gate(stage: str, gate: Mapping[str, Any]) -> GateSpec:
    job = gate.get("job")
    expressions = tuple(gate.get("checks") or ())
    when = gate.get("when") or defaults.GATE_WHEN
    inputs = gate.get("inputs") or defaults.GATE_INPUTS
    timeout = parse_duration((job or {}).get("timeout"), defaults.GATE_TIMEOUT)
    template = job["template"] if job else None
    answer = {"when": when, "inputs": inputs, "template": template, "timeout": str(timeout), "checks": expressions}
    return GateSpec(
        name=gate["name"],
        when=when,
        inputs=inputs,
        job=template,
        timeout=timeout,
        retries=_default((job or {}).get("retries"), defaults.GATE_RETRIES),
        checks=expressions,
        fingerprint=hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()[:20],
        error=_gate_error(f"stage {stage!r}: gate {gate['name']!r}", template, expressions),
    )


def _gate_error(where: str, template: Obj | None, expressions: tuple[str, ...]) -> str:
    """What is wrong with a gate's pod template, or which check does not compile and where; empty for nothing."""
    for index, expression in enumerate(expressions):
        error = checks.compile_error(expression)
        if error:
            return f"{where}: checks[{index}] is not a check: {error}; in: {expression[:200]}"
    wrong = templates.error(template, "job.template") if template is not None else ""
    return f"{where}: {wrong}" if wrong else ""


def _approvals(policy: Mapping[str, Any]) -> ApprovalSpec:
    expire_after = policy.get("expireAfter")
    return ApprovalSpec(
        required=policy.get("required") or 0,
        exclude_requester=bool(policy.get("excludeRequester")),
        expire_after=parse_duration(expire_after, "0s") if expire_after else None,
        allow_service_accounts=bool(policy.get("allowServiceAccounts")),
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
