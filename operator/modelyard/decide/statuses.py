"""What do the statuses of ModelVersions and Rollbacks say? Derived from the state, for people and tools.

Nothing is decided on them but what cannot be had elsewhere: a version's verification and pinned digest, and the
end of a request that the Model's state no longer remembers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.api import codec, names
from modelyard.api.reasons import ModelReason, RollbackReason, VersionReason
from modelyard.decide import approval_statuses, outbox
from modelyard.decide.conditions import condition
from modelyard.decide.gates import results
from modelyard.decide.plan import ReplaceStatus
from modelyard.decide.snapshot import Obj
from modelyard.decide.stage import StageOutcome
from modelyard.decide.state import (
    HandledRollback,
    ModelState,
    PendingRollback,
    Request,
    StageState,
    Standing,
    Step,
)
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World

_IN_ORDER = frozenset({Step.SERVING, Step.STANDING_BY, Step.SUPERSEDED, Step.WITHDRAWN})


def version_statuses(
    world: World, state: ModelState, outcomes: Mapping[str, StageOutcome], verdicts: Mapping[str, Verdict]
) -> Iterator[ReplaceStatus]:
    """The statuses of versions that differ from what they should be."""
    for version in world.versions.values():
        status = _version_status(world, state, outcomes, version, verdicts[version.version])
        if status != version.status:
            yield ReplaceStatus("ModelVersion", version.name, version.uid, status)


def _version_status(
    world: World,
    state: ModelState,
    outcomes: Mapping[str, StageOutcome],
    version: Version,
    verdict: Verdict,
) -> dict[str, Any]:
    held = _stages_held(world, state, version)
    request = _request(world, state, outcomes, version)
    status: dict[str, Any] = {
        "observedGeneration": version.generation,
        "digest": verdict.digest or version.status.get("digest", ""),
        "stage": _stage_word(version, held),
        "stages": held,
        "artifact": dict(verdict.artifact),
        "verification": dict(verdict.record),
        "request": request,
        "gates": _gates(outcomes, version),
        "approvals": approval_statuses.version_approvals(world, state, version, verdict, request),
        "recorded": outbox.marks(world, state, version.obj, outbox.due_of(verdict)),
        "conditions": _conditions(world, version, verdict, request),
    }
    return {key: value for key, value in status.items() if value not in ("", [], {}, None)}


def _gates(outcomes: Mapping[str, StageOutcome], version: Version) -> list[Any]:
    """The status's `gates`: what is asked now, and what was said before."""
    ways = [way for outcome in outcomes.values() for way in outcome.ways.get(version.version, ())]
    lines = [line for way in ways for line in way.results]
    recorded = results.recorded(version)
    if not lines and all(line.is_final for line in recorded):
        return list(version.status.get("gates") or ())
    return results.to_record(recorded, lines)


def _stages_held(world: World, state: ModelState, version: Version) -> list[dict[str, str]]:
    held = []
    in_order = [spec.name for spec in world.stages]
    for name in (*(n for n in state.stages if n not in in_order), *in_order):
        current = state.stages[name].current
        if current and current.version == version.version:
            held.append({"name": name, "since": codec.format_time(current.since)})
    return held


def _stage_word(version: Version, held: list[dict[str, str]]) -> str:
    if held:
        return held[-1]["name"]
    before = version.status.get("stage", names.STAGE_NONE)
    return names.STAGE_NONE if before == names.STAGE_NONE else names.STAGE_ARCHIVED


def _request(world: World, state: ModelState, outcomes: Mapping[str, StageOutcome], version: Version) -> dict[str, Any]:
    """The status's `request`: the version's own, or the one the Model's line makes for it."""
    found = _asked_by_model(state, version) or _asked_by_version(state, version)
    if found:
        stage, request = found
        return _described(world, version, stage, request, _standing(state.stages[stage], outcomes.get(stage), request))
    if version.stage in ("", names.STAGE_ARCHIVED):
        return {}
    if version.has_ended:
        return dict(version.recorded_request)
    return _unheard(world, version)


def _asked_by_model(state: ModelState, version: Version) -> tuple[str, Request] | None:
    for name in reversed(list(state.stages)):
        for request in state.stages[name].open_requests:
            if request.source == "Model" and request.version == version.version:
                return name, request
    return None


def _asked_by_version(state: ModelState, version: Version) -> tuple[str, Request] | None:
    stage = state.stages.get(version.stage)
    if stage is None:
        return None
    same = [r for r in stage.requests if (r.uid, r.generation) == (version.uid, version.generation)]
    newest = max(same, key=lambda r: r.place, default=None)
    return (version.stage, newest) if newest else None


def _unheard(world: World, version: Version) -> dict[str, Any]:
    """A request that no stage hears."""
    known = ", ".join(stage.name for stage in world.stages)
    stage = next((stage for stage in world.stages if stage.name == version.stage), None)
    reason: str = VersionReason.STAGE_UNKNOWN
    text = f"Model {world.seen.name!r} has no stage {version.stage!r}; it has: {known}"
    if stage and stage.version is None:
        return {}  # it waits for its place among the many that were seen with it
    if stage:
        reason = VersionReason.STAGE_NAMED_BY_MODEL
        text = f"the Model names the version of stage {version.stage!r} itself (spec.stages[].version)"
    request = Request(version.request_id, version.version, 0, uid=version.uid, generation=version.generation)
    return _described(world, version, version.stage, request, Standing(Step.HELD, reason, text))


def _standing(stage: StageState, outcome: StageOutcome | None, request: Request) -> Standing:
    """Where a request stands after this decision. `outcome` None: the stage was taken out of the spec."""
    if request.ended:
        return Standing(Step(request.ended), request.ended_reason, request.ended_message)
    if stage.current and stage.current.request_id == request.id:
        if stage.current.effective_since is None:
            return Standing(Step.SWITCHING, VersionReason.SWITCHING, "the Service's endpoints are about to follow")
        return _serving(stage, outcome)
    if outcome is None:
        return Standing(Step.HELD, VersionReason.STAGE_UNKNOWN, f"stage {stage.name!r} was taken out of the Model")
    for target in outcome.targets:
        if target.request and target.request.id == request.id:
            return target.standing
    return outcome.standings.get(request.id) or Standing(Step.QUEUED, VersionReason.QUEUED)


def _serving(stage: StageState, outcome: StageOutcome | None) -> Standing:
    """Where a request stands that carries the stage, while AfterTraffic gates are asked as well."""
    ways = outcome.ways.get(stage.current.version, ()) if outcome and stage.current and stage.current.on_trial else ()
    waits = next((way.standing for way in ways if way.standing), None)
    if waits is None:
        return Standing(Step.SERVING, VersionReason.SERVING)
    return Standing(Step.SERVING, waits.reason, waits.message)


def _described(world: World, version: Version, stage: str, request: Request, standing: Standing) -> dict[str, Any]:
    recorded = version.recorded_request
    same = recorded.get("id") == request.id and recorded.get("step") == standing.step
    found = {
        "id": request.id,
        "stage": stage,
        "generation": request.generation,
        "place": request.place,
        "step": standing.step.value,
        "reason": str(standing.reason),
        "message": standing.message,
        "requestedBy": request.requested_by,
        "requestedAt": codec.format_time(request.requested_at) if request.requested_at else "",
        "retry": request.retry,
        "retriedBy": request.retried_by,
        "since": recorded.get("since") if same else codec.format_time(world.now),
    }
    return {key: value for key, value in found.items() if value not in ("", None)}


def _conditions(world: World, version: Version, verdict: Verdict, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    known = version.status.get("conditions") or ()
    verified = True if verdict.passed else False if verdict.failed else None
    found = [
        condition(
            known, "Verified", verified, verdict.reason or VersionReason.VERIFICATION_PENDING, verdict.message,
            generation=version.generation, now=world.now,
        )
    ]  # fmt: skip
    step = request.get("step")
    if step:
        ready = step in _IN_ORDER
        reason, text = request.get("reason") or step, request.get("message", "")
    else:
        ready = bool(verified) or not verdict.state
        reason, text = found[0]["reason"], verdict.message
    ready_condition = condition(known, "Ready", ready, str(reason), text, generation=version.generation, now=world.now)
    return [*found, ready_condition]


def rollback_statuses(world: World, state: ModelState) -> Iterator[ReplaceStatus]:
    """The statuses of Rollbacks that differ from what they should be."""
    for obj in world.seen.rollbacks:
        stage = state.stages.get(obj["spec"]["stage"])
        uid = obj["metadata"]["uid"]
        handled = next((h for h in stage.handled_rollbacks if h.uid == uid), None) if stage else None
        if stage is not None and handled is not None:
            status = _handled_status(world, obj, handled)
        elif stage is not None and stage.rollback and stage.rollback.uid == uid:
            status = _pending_status(world, obj, state, stage.rollback)
        elif stage is None and (obj.get("status") or {}).get("outcome") not in ("Applied", "Refused"):
            known = ", ".join(s.name for s in world.stages)
            text = f"Model {world.seen.name!r} has no stage {obj['spec']['stage']!r}; it has: {known}"
            status = rollback_status(world, obj, "Refused", RollbackReason.STAGE_UNKNOWN, text)
        else:
            continue
        if status != obj.get("status"):
            yield ReplaceStatus("Rollback", obj["metadata"]["name"], uid, status)


def _handled_status(world: World, obj: Obj, handled: HandledRollback) -> dict[str, Any]:
    extra: dict[str, Any] = {
        "fromVersion": handled.from_version,
        "toVersion": handled.to_version,
        "sequence": handled.sequence,
        "appliedAt": codec.format_time(handled.at) if handled.at and handled.outcome == "Applied" else "",
        "by": (obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_BY, ""),
    }
    return rollback_status(world, obj, handled.outcome, RollbackReason(handled.reason), handled.message, extra)


def _pending_status(world: World, obj: Obj, state: ModelState, pending: PendingRollback) -> dict[str, Any]:
    stage = state.stages[obj["spec"]["stage"]]
    target = stage.revision(pending.target)
    text = "the target's pods are starting; the present version serves on"
    extra = {"toVersion": target.version if target else "", "by": pending.by}
    return rollback_status(world, obj, "Pending", RollbackReason.WAITING_FOR_PODS, text, extra)


def rollback_status(
    world: World,
    obj: Obj,
    outcome: str,
    reason: RollbackReason,
    message: str,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A Rollback's whole status."""
    known = (obj.get("status") or {}).get("conditions") or ()
    generation = obj["metadata"].get("generation", 1)
    applied = {"Applied": True, "Refused": False}.get(outcome)
    both = [
        condition(known, kind, applied, reason, message, generation=generation, now=world.now)
        for kind in ("Applied", "Ready")
    ]
    found = {"observedGeneration": generation, "outcome": outcome, **(extra or {}), "conditions": both}
    return {key: value for key, value in found.items() if value not in ("", None, 0)}


def ready_reason(*, serves: bool, all_ready: bool) -> ModelReason:
    """Reason of a Model's Ready condition."""
    if not serves:
        return ModelReason.NOTHING_SERVES
    return ModelReason.ALL_STAGES_READY if all_ready else ModelReason.PODS_NOT_READY
