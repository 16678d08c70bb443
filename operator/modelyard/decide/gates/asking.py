"""How far is one gate with one candidate: what is on record, what its Job says, and is a Job to be started?

`passage` asks for every gate of the phase that a candidate has come to. Nothing is decided on an answer here; what
comes out is the line for the record, and it counts once it is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from modelyard.api import codec
from modelyard.api.reasons import GateReason
from modelyard.decide.gates import checks, ending, job, results
from modelyard.decide.gates.output import Output
from modelyard.decide.gates.results import GateResult, Result, Subject, shortened
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import GateSpec
from modelyard.decide.world import World

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=1)

_REASONS = {
    checks.Verdict.PASSED: GateReason.CHECKS_PASSED,
    checks.Verdict.FAILED: GateReason.CHECK_FAILED,
    checks.Verdict.ERROR: GateReason.CHECK_ERROR,
    checks.Verdict.SKIPPED: GateReason.NO_INCUMBENT,
}


@dataclass(frozen=True)
class Start:
    """A gate's Job that is due."""

    subject: Subject
    gate: GateSpec
    name: str

    def manifest(self, world: World) -> Obj:
        """The Job."""
        about = self.subject
        return job.build(world, about.stage, self.gate, self.name, about.revision, about.incumbent, about.endpoint)


@dataclass(frozen=True)
class Asked:
    """How far a gate is."""

    line: GateResult
    start: Start | None = None
    look_again_at: datetime | None = None


def ask(
    world: World, subject: Subject, gate: GateSpec, recorded: Iterable[GateResult], *, passing_by: bool = False
) -> Asked:
    """Look at the record first, then at other versions with the same bytes, then at the Job."""
    line = results.asked(subject, gate)
    known = results.known(recorded, line, passing_by=passing_by)
    if known and known.is_final:
        return Asked(known)
    twin = results.of_twin(line, gate, world.twins(subject.version)) if known is None else None
    if twin:
        return Asked(twin)
    if gate.job is None:
        declared = subject.version.spec.get("metrics") or {}
        return Asked(_judged(world, subject, gate, line, (declared, subject.incumbent_metrics)))
    if known and known.next_attempt_at:
        if world.now < known.next_attempt_at:
            return Asked(known, look_again_at=known.next_attempt_at)
        return _evaluated(world, subject, gate, replace(line, attempt=known.attempt + 1))
    if known:
        line = replace(line, attempt=known.attempt)
    return _evaluated(world, subject, gate, line, seen=bool(known and known.job))


def _evaluated(world: World, subject: Subject, gate: GateSpec, line: GateResult, *, seen: bool = False) -> Asked:
    """What the Job of an attempt says; it is started when there is none. `seen`: there was one."""
    name = results.job_name(world.seen.name, line, subject.version)
    found = world.seen.jobs.get(name)
    if found is None and seen:
        text = "its Job was deleted before its result was read"
        return Asked(_without_answer(world, gate, line, GateReason.JOB_DELETED, text))
    if found is None:
        return _started(world, subject, gate, line, name)
    line = replace(line, job=name, started_at=codec.parse_time(found["metadata"]["creationTimestamp"]))
    outcome = ending.outcome(world, found, needs_output=bool(gate.checks))
    if outcome is None:
        text = shortened(ending.waiting(world, found) or "its Job is running")
        running = replace(line, result=Result.RUNNING.value, message=text)
        return Asked(running, look_again_at=ending.look_again_at(world, found))
    if isinstance(outcome, Output):
        incumbent = outcome.incumbent if subject.incumbent else None
        return Asked(_judged(world, subject, gate, line, (outcome.candidate, incumbent)))
    return Asked(_without_answer(world, gate, line, outcome.reason, outcome.message))


def _started(world: World, subject: Subject, gate: GateSpec, line: GateResult, name: str) -> Asked:
    """The Job of an attempt is to be made, where nothing is in the way."""
    if ("Job", name) in world.seen.conflicts:
        text = f"Job {name!r} exists and is not managed by Modelyard for this Model; delete it"
        return Asked(replace(line, reason=GateReason.JOB_REFUSED.value, message=text))
    refusal = world.seen.refusals.get(("Job", name))
    if refusal:
        line = replace(line, reason=GateReason.JOB_REFUSED.value, message=shortened(f"its Job is refused: {refusal}"))
    else:
        line = replace(line, message="its Job is about to be started")
    # Not before the digest is on record: only then the versions with the same bytes are in view.
    is_recorded = bool(world.versions[subject.version.version].digest)
    return Asked(line, Start(subject, gate, name) if is_recorded else None)


def _without_answer(world: World, gate: GateSpec, line: GateResult, reason: str, message: str) -> GateResult:
    """An attempt that gave no answer: repeated after a while, as often as the gate says."""
    again = None
    if line.attempt <= gate.retries:
        again = world.now + min(FIRST_RETRY * 2 ** (line.attempt - 1), LONGEST_RETRY)
        message = f"attempt {line.attempt} of {gate.retries + 1}: {message}"
    return replace(
        line,
        result=Result.ERROR.value,
        reason=str(reason),
        message=shortened(message),
        finished_at=world.now,
        next_attempt_at=again,
    )


def _judged(
    world: World,
    subject: Subject,
    gate: GateSpec,
    line: GateResult,
    sides: tuple[Mapping[str, Any], Mapping[str, Any] | None],
) -> GateResult:
    """The answer that the numbers of candidate and incumbent give."""
    candidate, incumbent = sides
    said = checks.judge(gate.checks, candidate, incumbent, subject.version.spec)
    verdict = checks.outcome(said)
    telling = [each for each in said if each.result == verdict]
    text = "; ".join(f"{each.expression}: {each.message}" if each.message else each.expression for each in telling)
    return replace(
        line,
        result=verdict.value,
        reason=(_REASONS[verdict] if said else GateReason.JOB_SUCCEEDED).value,
        message=shortened(text),
        finished_at=world.now,
        checks=tuple(results.check_line(each) for each in said),
        candidate=results.numbers(candidate),
        incumbent=results.numbers(incumbent),
    )
