"""What does a Model's status say? The state to be remembered, and beside it what people ask every day."""

from collections.abc import Iterable, Mapping
from typing import Any

from modelyard.api import codec
from modelyard.api.reasons import ModelReason, VersionReason
from modelyard.decide import bytes_check, manifests, outbox, progress, requests, rollback, targets, trial
from modelyard.decide.conditions import condition
from modelyard.decide.gates import passage
from modelyard.decide.revisions import build
from modelyard.decide.stage import StageOutcome
from modelyard.decide.state import Cause, ModelState, Request, StageState, Step
from modelyard.decide.world import World


def model_status(world: World, state: ModelState, outcomes: Mapping[str, StageOutcome]) -> dict[str, Any]:
    """The whole status of the Model."""
    generation = world.model["metadata"].get("generation", 1)
    stages = [_stage_status(world, outcomes[spec.name]) for spec in world.stages]
    stages += [codec.dump(state.stages[name]) for name in removed_stages(world, state)]
    status = {
        "observedGeneration": generation,
        "summary": _summary(world, state, outcomes),
        "conditions": _conditions(world, state, outcomes),
        "stages": stages,
        "transitions": list(state.transitions),
        "ledger": codec.dump(state.ledger) or {},
    }
    return {key: value for key, value in status.items() if value not in ({}, [])}


def _stage_status(world: World, outcome: StageOutcome) -> dict[str, Any]:
    stage, state = outcome.spec, outcome.state
    shown: dict[str, Any] = codec.dump(state)
    shown["candidates"] = [
        {
            "version": target.revision.version,
            "digest": target.revision.digest,
            "revision": target.revision.hash,
            "cause": target.cause.value,
            "step": target.standing.step.value,
            "reason": target.standing.reason,
            "message": target.standing.message,
        }
        for target in outcome.targets
    ]
    target = rollback.default_target(world, stage, state)
    if target:
        warm = bytes_check.is_warm(world, stage, target)
        shown["rollbackTarget"] = {"version": target.version, "revision": target.hash, "warm": warm}
    if state.current and stage.serving:
        shown["endpoint"] = manifests.endpoint(world, stage)
        ready = progress.ready_pods(world.deployment(stage, state.current.revision))
        shown["replicas"] = {"wanted": progress.wanted_replicas(world, stage, state), "ready": ready}
    return {key: value for key, value in shown.items() if value not in ([], {})}


def _summary(world: World, state: ModelState, outcomes: Mapping[str, StageOutcome]) -> dict[str, str]:
    """The daily questions in one line: what is live, since when, what is pending and why, and the way back."""
    found: dict[str, str] = {}
    last = state.stages.get(world.stages[-1].name)
    if last and last.current:
        found["live"] = last.current.version
        found["since"] = codec.format_time(last.current.since.replace(microsecond=0))
    held = [(spec.name, stage.current) for spec in world.stages if (stage := state.stages.get(spec.name))]
    found["stages"] = ",".join(f"{name}={current.version}" for name, current in held if current)
    pending = _pending(outcomes.values())
    if pending:
        found["pending"], found["reason"] = pending
    outcome = outcomes.get(world.stages[-1].name)
    target = rollback.default_target(world, outcome.spec, outcome.state) if outcome else None
    if target and outcome:
        warm = bytes_check.is_warm(world, outcome.spec, target)
        found["rollback"] = f"{target.version} ({'warm' if warm else 'cold'})"
    return {key: value for key, value in found.items() if value}


def _pending(outcomes: Iterable[StageOutcome]) -> tuple[str, str] | None:
    """The newest request that wants to enter a stage or failed to, and why it has not; later stages first."""
    for outcome in reversed(list(outcomes)):
        newest = _newest_ahead(outcome.state)
        if newest is None:
            continue
        where = f"{newest.version} to {outcome.spec.name}"
        if newest.ended:
            return f"{where} ({newest.ended})", newest.ended_reason
        for target in outcome.targets:
            if target.request and target.request.id == newest.id:
                return where, target.standing.reason
        standing = outcome.standings.get(newest.id)
        return where, str(standing.reason if standing else VersionReason.QUEUED)
    for outcome in outcomes:
        if outcome.state.rollback:
            return f"rollback of {outcome.spec.name}", VersionReason.WAITING_FOR_PODS.value
    return None


def _newest_ahead(state: StageState) -> Request | None:
    place = state.current.place if state.current else 0
    ahead = [r for r in state.requests if r.place > place and (r.is_open or r.ended == Step.FAILED)]
    return max(ahead, key=lambda r: r.place, default=None)


def _conditions(world: World, state: ModelState, outcomes: Mapping[str, StageOutcome]) -> list[dict[str, Any]]:
    accepted = _accepted(world, state, outcomes)
    rows = [
        ("Accepted", *accepted),
        _ready(world, outcomes),
        ("RollbackReady", *_rollback_ready(world, outcomes)),
        ("LedgerSynced", *outbox.condition(world)),
    ]
    for kind, found in (("Reconciling", _moving(outcomes.values())), ("Stalled", _stuck(outcomes.values(), accepted))):
        if found:
            rows.append((kind, True, *found))
            break
    known = (world.model.get("status") or {}).get("conditions") or ()
    generation = world.model["metadata"].get("generation", 1)
    return [
        condition(known, kind, value, reason, text, generation=generation, now=world.now)
        for kind, value, reason, text in rows
    ]


_Row = tuple[bool | None, str, str]


def _accepted(world: World, state: ModelState, outcomes: Mapping[str, StageOutcome]) -> _Row:
    if error := passage.invalid_gate(world.stages):
        return False, ModelReason.INVALID_GATE, error
    for outcome in outcomes.values():
        conflict = targets.name_conflict(world, outcome.spec)
        if conflict:
            return False, ModelReason.NAME_CONFLICT, conflict
        for standing in outcome.standings.values():
            if standing.reason == VersionReason.INVALID_TEMPLATE:
                return False, ModelReason.INVALID_TEMPLATE, standing.message
        error = _present_template_error(world, outcome)
        if error:
            return False, ModelReason.INVALID_TEMPLATE, error
    for name in removed_stages(world, state):
        if current := state.stages[name].serves_on:
            text = (
                f"stage {name!r} was taken out of spec.stages while it carries version {current.version!r}, which "
                f"serves on; put the stage back, or set suspend: true there before taking it out"
            )
            return False, ModelReason.STAGE_REMOVED, text
    return True, ModelReason.ACCEPTED, "the spec is understood"


def _present_template_error(world: World, outcome: StageOutcome) -> str:
    current = outcome.state.current
    version = world.versions.get(current.version) if current else None
    if version is None or current is None:
        return ""
    built = build(world, outcome.spec, targets.replace_digest(version, current.digest))
    if built.error:
        return built.error
    if current.held_revision and current.held_message:
        return f"stage {outcome.spec.name!r}: the changed template was not taken: {current.held_message}"
    return ""


def _ready(world: World, outcomes: Mapping[str, StageOutcome]) -> tuple[str, bool | None, str, str]:
    """Whether every stage serves what it carries. Where people have to say what it is to carry: Waiting, for them.

    It is about what serves, so it may be True while a changed template is on its way or the spec is not accepted.
    """
    serving = [o for o in outcomes.values() if o.state.current]
    short: list[str] = []
    for outcome in serving:
        spec, current = outcome.spec, outcome.state.current
        assert current is not None
        if targets.is_withdrawn(world, spec, outcome.state):
            text = (
                f"stage {spec.name!r}: nobody asks for version {current.version!r} any more and no good version whose "
                "request stands can take over; it serves on"
            )
            return "Waiting", True, ModelReason.NO_SUCCESSOR, text
        if current.undo and trial.good_revision(world, spec, outcome.state) is None:
            text = f"stage {spec.name!r} has no good revision to go back to and serves on: {current.undo.message}"
            return "Waiting", True, ModelReason.UNDO_IMPOSSIBLE, text
        wanted = progress.wanted_replicas(world, spec, outcome.state)
        ready = progress.ready_pods(world.deployment(spec, current.revision)) if spec.serving else wanted
        if ready < wanted or current.effective_since is None:
            short.append(f"stage {spec.name!r} has {ready} of {wanted} pods ready")
    if not serving:
        return "Waiting", True, ModelReason.NOTHING_SERVES, "no stage carries a version yet"
    if short:
        return "Ready", False, ModelReason.PODS_NOT_READY, "; ".join(short)
    return "Ready", True, ModelReason.ALL_STAGES_READY, "every stage serves its version"


def _moving(outcomes: Iterable[StageOutcome]) -> tuple[str, str] | None:
    """That the Model's own change, of a template, is on its way. A version on its way says so itself."""
    for outcome in outcomes:
        for target in outcome.targets:
            if target.cause == Cause.RECONFIGURED and target.standing.step in (Step.CHECKING, Step.DEPLOYING):
                version = target.revision.version
                text = f"stage {outcome.spec.name!r}: version {version!r} gets the changed template"
                return target.standing.reason, text
    return None


def _stuck(outcomes: Iterable[StageOutcome], accepted: _Row) -> tuple[str, str] | None:
    """Why what the Model's own spec asks for does not come about.

    A version that failed by itself is not told of here: Argo CD applies versions after their Model and only when it is
    not Degraded, so the one that mends it would never come. The same goes for a template that a version does not fit.
    """
    is_accepted, reason, text = accepted
    if not is_accepted and reason != ModelReason.INVALID_TEMPLATE:
        return reason, text
    for outcome in outcomes:
        stage, state = outcome.spec.name, outcome.state
        line = max((r for r in state.requests if r.source == "Model"), key=lambda r: r.place, default=None)
        if line is None or line.version != outcome.spec.version or line.ended not in requests.IN_VAIN:
            continue
        if requests.following(state, line.place) is None:
            why = f"version {line.version!r}, which spec.stages[].version names for stage {stage!r}, is {line.ended}"
            return line.ended_reason, f"{why}: {line.ended_message}"
    return None


def _rollback_ready(world: World, outcomes: Mapping[str, StageOutcome]) -> _Row:
    """Whether a rollback of the last stage would be quick, as far as can be said beforehand."""
    outcome = outcomes.get(world.stages[-1].name)
    target = rollback.default_target(world, outcome.spec, outcome.state) if outcome else None
    if outcome is None or target is None:
        return False, ModelReason.ROLLBACK_NO_TARGET, "no good version was served before the present one"
    check = outcome.state.bytes_check
    if bytes_check.is_warm(world, outcome.spec, target):
        text = f"version {target.version!r} is running and takes over at once"
        return True, ModelReason.ROLLBACK_WARM, text
    if check and check.revision == target.hash and not check.ok:
        return False, ModelReason.ROLLBACK_BYTES_MISSING, check.message
    text = f"version {target.version!r} must be started first"
    return False, ModelReason.ROLLBACK_COLD, text


def removed_stages(world: World, state: ModelState) -> tuple[str, ...]:
    """Stages that are remembered and no longer in the spec."""
    known = {stage.name for stage in world.stages}
    return tuple(name for name in state.stages if name not in known)
