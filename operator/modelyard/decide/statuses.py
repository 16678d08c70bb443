"""What do the statuses of ModelVersions say? Derived from the state, for people and tools.

Nothing is decided on them but what cannot be had elsewhere: a version's verification and pinned digest, and the
end of a request that the Model's state no longer remembers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.api import codec, names
from modelyard.api.reasons import VersionReason
from modelyard.decide import approval_statuses, marks, requests
from modelyard.decide.conditions import Being, Said, condition, judged
from modelyard.decide.gates import results
from modelyard.decide.plan import ReplaceStatus
from modelyard.decide.stage import StageOutcome
from modelyard.decide.state import ENDED, ModelState, Request, StageState, Standing, Step
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World

_MOVING = frozenset({Step.VERIFYING, Step.CHECKING, Step.DEPLOYING, Step.SWITCHING})
_ASKED_ON_TRIAL = frozenset({VersionReason.GATE_PENDING, VersionReason.GATE_RUNNING, VersionReason.GATE_RETRYING})


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
        "artifact": marks.untold(world, state, version.obj, verdict),
        "verification": dict(verdict.record),
        "request": request,
        "gates": _gates(outcomes, version),
        "approvals": approval_statuses.version_approvals(world, state, version, verdict, request),
        "recorded": marks.written(world, state, version.obj, marks.due_of(verdict)),
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
    found = _asked(state, version)
    if found:
        stage, request = found
        standing = _standing(state.stages[stage], outcomes.get(stage), request)
        shown = _described(world, version, stage, request, standing)
        return shown | _overtaken(version, state.stages[stage], shown)
    if version.stage in ("", names.STAGE_ARCHIVED):
        return _remembered(world, version)
    if version.has_ended:
        told = dict(version.recorded_request)
        return told | _overtaken(version, state.stages.get(version.stage), told)
    return _unheard(world, version)


def _asked(state: ModelState, version: Version) -> tuple[str, Request] | None:
    """The request to tell of, with its stage: what the Model asks for now, the version's own, what the Model asked."""
    by_model = _asked_by_model(state, version)
    if by_model and by_model[1].is_open:
        return by_model
    return _asked_by_version(state, version) or by_model


def _asked_by_model(state: ModelState, version: Version) -> tuple[str, Request] | None:
    """What a line of the Model asks for the version, later stages first; else what one asked last and did not get."""
    found = [
        (name, request)
        for name in reversed(list(state.stages))
        for request in state.stages[name].requests
        if (request.source, request.version) == ("Model", version.version) and request.ended != Step.WITHDRAWN
    ]
    return next((each for each in found if each[1].is_open), max(found, key=lambda each: each[1].place, default=None))


def _asked_by_version(state: ModelState, version: Version) -> tuple[str, Request] | None:
    stage = state.stages.get(version.stage)
    if stage is None:
        return None
    same = [r for r in stage.requests if (r.uid, r.generation) == (version.uid, version.generation)]
    newest = max(same, key=lambda r: r.place, default=None)
    if newest and newest.id != version.request_id and version.has_ended:
        return None  # the Model's status was lost, and only the version's own has on record how its request ended
    return (version.stage, newest) if newest else None


def _remembered(world: World, version: Version) -> dict[str, Any]:
    """How a request of the Model's line ended that the Model's state has forgotten."""
    recorded = version.recorded_request
    by_model = str(recorded.get("id", "")).startswith(f"{world.uid}/")
    return dict(recorded) if by_model and recorded.get("step") in ENDED else {}


def _overtaken(version: Version, stage: StageState | None, shown: Mapping[str, Any]) -> dict[str, str]:
    """Which version was asked for after a request that ended in vain; told for good, since requests are forgotten."""
    if shown["step"] not in requests.IN_VAIN:
        return {}
    recorded = version.recorded_request
    if (recorded.get("id"), recorded.get("place")) == (shown["id"], shown.get("place")) and "overtakenBy" in recorded:
        return {"overtakenBy": str(recorded["overtakenBy"])}
    later = requests.following(stage, shown["place"]) if stage and "place" in shown else None
    return {"overtakenBy": later.version} if later else {}


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
    passed = True if verdict.passed else False if verdict.failed else None
    reason = verdict.reason or VersionReason.VERIFICATION_PENDING
    verified = condition(
        known, "Verified", passed, reason, verdict.message, generation=version.generation, now=world.now
    )
    said = _of_request(request) if request else _of_no_request(version, verdict, str(reason))
    return [verified, *judged(known, said, generation=version.generation, now=world.now)]


def _of_request(request: Mapping[str, Any]) -> Said:
    """How a version stands that is, or was, asked for."""
    step = Step(request["step"])
    reason = request.get("reason") or step.value
    on_trial = step == Step.SERVING and reason in _ASKED_ON_TRIAL
    if step in _MOVING or on_trial:
        being = Being.MOVING
    elif step in (Step.SERVING, Step.STANDING_BY):
        being = Being.IN_ORDER
    elif step in requests.IN_VAIN and "overtakenBy" not in request:
        being = Being.STUCK
    else:
        being = Being.WAITING
    return Said(being, reason, request.get("message", ""))


def _of_no_request(version: Version, verdict: Verdict, reason: str) -> Said:
    """How a version stands that asks for no stage, or whose request has no place yet."""
    if version.stage not in ("", names.STAGE_ARCHIVED):
        return Said(Being.MOVING, VersionReason.QUEUED, "it waits for its place among requests first seen together")
    if verdict.state in ("Pending", "Running"):
        return Said(Being.MOVING, reason, verdict.message)
    return Said(Being.WAITING if verdict.failed else Being.IN_ORDER, reason, verdict.message)
