"""One decision on one Model: from a snapshot and the time to the Plan. The table of contents of this package.

0. set aside what cannot be read (`malformed`, `shapes`);
1. understand the Model's spec (`spec`, `world`) and read what is remembered of it (`state`, `recovery`);
2. register who asks for which stage (`requests`);
3. judge every version's artifact (`verification`);
4. advance every stage (`stage`, with `promotion`, `rollback`, `trial`, `targets`), past gates and people
   (`gates.passage`, `approvals`);
5. put what happened into the outbox of the ledger (`outbox`, `chronicle`);
6. derive the writes: the commit, Services and Deployments (`serving`), Jobs, statuses, Events.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from modelyard.api import codec
from modelyard.decide import (
    approval_statuses,
    approvals,
    bytes_check,
    events,
    jobs,
    malformed,
    manifests,
    orphans,
    outbox,
    recovery,
    requests,
    rollback_statuses,
    serving,
    sightings,
    stage,
    statuses,
    summary,
    unknown,
    verification,
)
from modelyard.decide.gates import upkeep
from modelyard.decide.gates.passage import Way
from modelyard.decide.gates.probe import Probe
from modelyard.decide.plan import Action, Commit, Delete, Plan
from modelyard.decide.snapshot import Obj, Snapshot
from modelyard.decide.stage import StageOutcome
from modelyard.decide.state import ModelState, StageState, Transition
from modelyard.decide.verification import Verifications
from modelyard.decide.world import World


def decide(seen: Snapshot, now: datetime) -> Plan:
    """What is to be done for this Model now. Reads no clock, no network, no log."""
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    readable = malformed.sort_out(seen, now)
    plan = _decide_readable(readable.seen, now)
    return replace(plan, actions=(*plan.actions, *readable.writes)) if readable.writes else plan


def _decide_readable(seen: Snapshot, now: datetime) -> Plan:
    if seen.model is None:
        return orphans.plan(seen, now)
    if "deletionTimestamp" in seen.model["metadata"]:
        return Plan()
    unreadable, commit = malformed.commit(seen.model, now)
    if unreadable:
        return Plan(commit=commit)
    return _decide(World.of(seen, seen.model, now), seen.model)


def _decide(world: World, model: Obj) -> Plan:
    before = ModelState.parse(model.get("status") or {})
    if recovery.is_unknown(world, before):
        return unknown.plan(world)
    recovered = recovery.recover(world, before)
    fresh = recovered is not None
    state = recovered or before
    world = replace(world, memory=state)
    for spec in world.stages:
        known = state.stages.get(spec.name) or StageState(spec.name)
        state = state.with_stage(requests.register(world, spec, known))
    world = replace(world, memory=state)
    verified = verification.judge(world, state)
    outcomes, transitions = _advance(world, state, verified, fresh=fresh)
    state = replace(state, stages={**state.stages, **{name: o.state for name, o in outcomes.items()}})
    for transition in transitions:
        state = state.record(transition)
    state = _effective_times(state)
    state, deletions = _taken_down(world, state)
    adopted = recovery.adopted(world) if fresh else None
    state = outbox.advance(world, recovered or before, state, transitions, verified.verdicts, adopted=adopted)
    outcomes = {name: replace(outcome, state=state.stages[name]) for name, outcome in outcomes.items()}
    version_writes = tuple(statuses.version_statuses(world, state, outcomes, verified.verdicts))
    approval_writes = tuple(approval_statuses.approval_statuses(world, state, verified.verdicts))
    actions: list[Action] = []
    for outcome in outcomes.values():
        actions += serving.actions(world, outcome, _probes(outcomes, outcome.spec.name))
    actions += deletions
    actions += verified.jobs
    actions += upkeep.actions(world, _ways(outcomes))
    for outcome in outcomes.values():
        actions += bytes_check.job(world, outcome.spec, outcome.state)
    actions += version_writes
    actions += rollback_statuses.rollback_statuses(world, state)
    actions += approval_writes
    status = summary.model_status(world, state, outcomes)
    changed = not outbox.is_same(status, model.get("status") or {})
    return Plan(
        commit=Commit(
            world.seen.name,
            model["metadata"]["resourceVersion"],
            status,
            counts_on=tuple(
                sightings.of_commit(world, recovered or before, outcomes, status_is_lost=fresh and not before.stages)
            ),
        )
        if changed
        else None,
        actions=tuple(actions),
        events=tuple(
            events.events(
                world,
                recovered or before,
                state,
                transitions,
                (*version_writes, *approval_writes),
                recovered=recovered,
            )
        )
        + events.of_ledger(world, status),
        look_again_at=_look_again_at(world, verified, outcomes),
        waits_for_verification=verified.waits_for_slot,
        asks_ledger=recovery.asks_ledger(world)
        and any(requests.unplaced(world, spec, state.stages[spec.name]) for spec in world.stages),
    )


def _advance(
    world: World, state: ModelState, verified: Verifications, *, fresh: bool
) -> tuple[dict[str, StageOutcome], tuple[Transition, ...]]:
    outcomes: dict[str, StageOutcome] = {}
    transitions: tuple[Transition, ...] = ()
    for spec in world.stages:
        states = {**state.stages, **{name: earlier.state for name, earlier in outcomes.items()}}
        outcome = stage.advance(world, spec, states, verified.verdicts, fresh=fresh)
        outcome = replace(outcome, state=serving.remember_replicas(world, outcome))
        outcome = replace(outcome, state=bytes_check.observe(world, spec, outcome.state))
        outcomes[spec.name] = outcome
        transitions += outcome.transitions
    spent = approvals.spend(world, {name: outcome.state for name, outcome in outcomes.items()}, verified.verdicts)
    return {name: replace(outcome, state=spent[name]) for name, outcome in outcomes.items()}, transitions


def _ways(outcomes: dict[str, StageOutcome]) -> Iterator[Way]:
    for outcome in outcomes.values():
        for ways in outcome.ways.values():
            yield from ways


def _probes(outcomes: dict[str, StageOutcome], name: str) -> Iterator[Probe]:
    """The candidates that gates ask at a stage, on their way to it or past it."""
    return (probe for way in _ways(outcomes) for probe in way.probes if probe.stage == name)


def _effective_times(state: ModelState) -> ModelState:
    """Write into the history when the last move of each stage became effective."""
    lines = list(state.transitions)
    current = {name: stage.current for name, stage in state.stages.items() if stage.current}
    for index, line in enumerate(lines):
        pointer = current.get(line["stage"])
        if pointer is None or "effectiveAt" in line or line.get("sequence") != pointer.sequence:
            continue
        if pointer.effective_since:
            lines[index] = {**line, "effectiveAt": codec.format_time(pointer.effective_since)}
    return replace(state, transitions=tuple(lines))


def _taken_down(world: World, state: ModelState) -> tuple[ModelState, tuple[Delete, ...]]:
    """Take down stages that are no longer in the spec, but for those that serve on.

    A stage is remembered until nothing of it is left: nobody else would know by then that it may be deleted.
    """
    deletions: list[Delete] = []
    for name in summary.removed_stages(world, state):
        if state.stages[name].serves_on:
            continue
        left = list(_of_stage(world, name))
        if not left:
            state = replace(state, stages={n: stage for n, stage in state.stages.items() if n != name})
        deletions += (Delete.of(obj) for obj in left if "deletionTimestamp" not in obj["metadata"])
    return state, tuple(deletions)


def _of_stage(world: World, name: str) -> Iterator[Obj]:
    for objects in (world.seen.services, world.seen.configmaps, world.seen.deployments):
        for obj in objects.values():
            if manifests.stage_of(obj) == name:
                yield obj


def _look_again_at(world: World, verified: Verifications, outcomes: dict[str, StageOutcome]) -> datetime | None:
    moments = [verified.look_again_at]
    for outcome in outcomes.values():
        moments += [outcome.look_again_at, bytes_check.due_at(world, outcome.spec, outcome.state)]
    for job in world.seen.jobs.values():
        for done in (job.get("status") or {}).get("conditions") or ():
            if done["type"] in ("Complete", "Failed") and jobs.result(world, job) is None:
                moments.append(world.now + jobs.RESULT_GRACE)
    return min((moment for moment in moments if moment), default=None)
