"""A Model with one gate, a candidate and an incumbent, and the pods that its Job may have."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.decide.gates import ending, job
from modelyard.decide.gates.ending import GateError
from modelyard.decide.gates.output import Output
from modelyard.decide.snapshot import HelperPods, Snapshot
from modelyard.decide.state import Revision
from modelyard.decide.world import World

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIMEOUT = timedelta(minutes=30)
CANDIDATE = Revision(hash="cccccccccc", version="7", digest="sha256:c", uri="s3://models/fraud/7/")
INCUMBENT = Revision(hash="iiiiiiiiii", version="6", digest="sha256:i", uri="s3://models/fraud/6/")
TEMPLATE: dict[str, Any] = {"spec": {"containers": [{"name": "evaluate", "image": "example"}]}}
FETCHED = {"terminated": {"exitCode": 0}}


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def gate(template: Any = TEMPLATE, **fields: Any) -> dict[str, Any]:
    return {"name": "slices", "job": {"template": template}, "checks": ["candidate.auc > incumbent.auc"], **fields}


def world(of: dict[str, Any] | None = None, *, pods: tuple[Any, ...] = (), **spec: Any) -> World:
    """The Model `fraud`, whose one stage has that gate."""
    stages = [{"name": "production", "gates": [of or gate()]}]
    model = {
        "kind": "Model",
        "metadata": {"name": "fraud", "namespace": "risk", "uid": "uid-model"},
        "spec": {"stages": stages, **spec},
    }
    version = {
        "kind": "ModelVersion",
        "metadata": {"name": "fraud-7", "namespace": "risk", "uid": "uid-7", "resourceVersion": "70"},
        "spec": {"model": "fraud", "version": "7", "artifact": {"uri": CANDIDATE.uri}},
        "status": {"artifact": {"objects": [{"path": "model.bin", "versionId": "v1"}]}},
    }
    helper = HelperPods(image="modelyard:test", image_pull_secrets=("registry",), labels={"team": "platform"})
    seen = Snapshot("risk", "fraud", model, versions={"fraud-7": version}, pods=pods, helper=helper)
    return World.of(seen, model, NOW)


def build(at: World, incumbent: Revision | None = INCUMBENT, endpoint: str = "") -> Any:
    """The Job of the Model's gate."""
    stage = at.stages[0]
    return job.build(at, stage, stage.gates[0], "fraud-gate-1", CANDIDATE, incumbent, endpoint)


def started(at: datetime = NOW - timedelta(minutes=1), **status: Any) -> dict[str, Any]:
    """The Job, as it runs."""
    made: dict[str, Any] = build(world())
    made["metadata"] |= {"uid": "uid-job", "resourceVersion": "90"}
    return {**made, "status": {"startTime": stamp(at), **status}}


def condition(type_: str, reason: str, at: datetime = NOW, message: str = "") -> dict[str, Any]:
    return {
        "type": type_,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(at),
    }


def pod(
    main: dict[str, Any] | None = None, inits: dict[str, Any] | None = None, metadata: Any = None, **status: Any
) -> dict[str, Any]:
    """The Job's pod: the states of its main container and of its init containers."""
    containers = [{"name": "evaluate", "state": main}] if main else []
    init = [{"name": name, "state": state} for name, state in (inits or {}).items()]
    return {
        "kind": "Pod",
        "metadata": {"name": "fraud-gate-1-x", "ownerReferences": [{"uid": "uid-job"}], **(metadata or {})},
        "status": {"phase": "Running", "containerStatuses": containers, "initContainerStatuses": init, **status},
    }


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    """The state of a container that ended."""
    return {"terminated": {"exitCode": code, "reason": reason if code else "Completed", "message": message}}


def outcome(
    of: dict[str, Any], *pods: Any, now: datetime = NOW, needs_output: bool = True
) -> Output | GateError | None:
    return ending.outcome(replace(world(pods=pods), now=now), of, needs_output=needs_output)


def waiting(of: dict[str, Any], *pods: Any) -> str:
    return ending.waiting(world(pods=pods), of)
