"""What stands before a candidate at a stage, and how far is it on its way there?

    for every stage before the one wanted:    BeforeDeploy gates -> its pods there, if a gate asks pods
                                              -> BeforeTraffic and AfterTraffic gates -> approvals
    at the stage wanted:                      BeforeDeploy gates -> its pods -> BeforeTraffic gates -> approvals
    when the stage has moved to it:           AfterTraffic gates

`targets` asks for each open request, `stage` for the revision that has just taken a stage. The gates of one phase run
at the same time. Only answers that are on record count (see `results`). Nothing here moves a pointer, and the stages
on the way keep theirs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard.api.reasons import VersionReason
from modelyard.decide import approvals, manifests, progress
from modelyard.decide.gates import asking, probe, results
from modelyard.decide.gates.asking import Start
from modelyard.decide.gates.probe import Probe
from modelyard.decide.gates.results import GateResult, Result, Subject
from modelyard.decide.progress import Progress
from modelyard.decide.revisions import Built, build
from modelyard.decide.spec import GateSpec, StageSpec
from modelyard.decide.state import Current, Request, Revision, StageState, Standing, Step
from modelyard.decide.versions import Version
from modelyard.decide.world import World


@dataclass(frozen=True)
class Way:
    """How far a candidate has come."""

    results: tuple[GateResult, ...] = ()
    """What is to be on record of every gate that was asked."""
    on_record: tuple[GateResult, ...] = ()
    """What is so already."""
    starts: tuple[Start, ...] = ()
    probes: tuple[Probe, ...] = ()
    standing: Standing | None = None
    """What it waits for; None when nothing but its own pods is missing, or nothing at all."""
    ending: Standing | None = None
    """Why it goes no further."""
    may_deploy: bool = False
    """Whether its pods may run at the stage wanted."""
    steps: int = 0
    """How many phases lie behind it."""
    look_again_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing stands before it any more."""
        return self.standing is None and self.ending is None

    def in_the_queue(self) -> "Way":
        """What remains while others are worked on: what is on record, and evaluations that run and ask no pods."""
        kept = (line for line in self.results if line in self.on_record or line.job)
        kept = (line for line in kept if line.is_final or line.when == "BeforeDeploy")
        return replace(self, results=tuple(kept), starts=(), probes=())


class _Walk:
    """One candidate's way, phase by phase. A phase that is not passed yet leaves why in `standing` or `ending`."""

    def __init__(self, world: World, states: Mapping[str, StageState], version: Version) -> None:
        self._world, self._states, self._version = world, states, version
        self._recorded = results.recorded(version)
        self._results: list[GateResult] = []
        self._starts: list[Start] = []
        self._probes: list[Probe] = []
        self._moments: list[datetime] = []
        self._standing: Standing | None = None
        self._ending: Standing | None = None
        self.may_deploy = False
        self._steps = 0

    def way(self) -> Way:
        """Where the walk has come to."""
        return Way(
            results=tuple(self._results),
            on_record=self._recorded,
            starts=tuple(self._starts),
            probes=tuple(self._probes),
            standing=self._standing,
            ending=self._ending,
            may_deploy=self.may_deploy,
            steps=self._steps,
            look_again_at=min(self._moments, default=None),
        )

    def pass_by(self, stage: StageSpec, request: Request) -> bool:
        """Pass a stage before the one wanted."""
        if stage.gates and not self._passes_gates_of(stage):
            return False
        version = self._version
        return approvals.has_consent(self._world, stage, version.version, version.digest) or self.approved(
            stage, request
        )

    def _passes_gates_of(self, stage: StageSpec) -> bool:
        candidate = build(self._world, stage, self._version)
        subject = self._subject(stage, candidate.revision)
        pods = stage.gates_at("BeforeTraffic", "AfterTraffic")
        files = stage.gates_at("BeforeDeploy")
        return self.passes(subject, files, passing_by=True) and self._passes_there(subject, pods, candidate)

    def arrive(self, stage: StageSpec, request: Request, candidate: Built, pods: Progress) -> bool:
        """Pass the stage wanted. With Replace the incumbent gives way to the pods, so people are asked first."""
        subject = self._subject(stage, candidate.revision)
        people_first = bool(stage.serving and stage.serving.strategy == "Replace")
        if not self.passes(subject, stage.gates_at("BeforeDeploy")):
            return False
        if people_first and not self.approved(stage, request):
            return False
        if held := _closed(stage):
            self._standing = held
            return False
        self.may_deploy = True
        return self.asked_at_pods(subject, candidate, pods) and (people_first or self.approved(stage, request))

    def asked_at_pods(self, subject: Subject, candidate: Built, pods: Progress) -> bool:
        """Whether the candidate's pods are ready and the BeforeTraffic gates have passed them."""
        gates = subject.stage.gates_at("BeforeTraffic")
        if self._is_refused(subject, gates):
            return self.passes(subject, gates)
        if not pods.ready:
            self._keep(subject, gates)
            return False
        if self._has_all(subject, gates) or not self._needs_endpoint(subject.stage, gates):
            return self.passes(subject, gates)
        return self._passes_behind_a_service(subject, gates, candidate)

    def _passes_there(self, subject: Subject, gates: tuple[GateSpec, ...], candidate: Built) -> bool:
        """Whether the gates that ask pods have passed a candidate at a stage that it does not want."""
        stage = subject.stage
        needs_no_pods = self._is_refused(subject, gates) or not self._needs_endpoint(stage, gates)
        if needs_no_pods or self._has_all(subject, gates, passing_by=True):
            return self.passes(subject, gates, passing_by=True)
        if stage.suspend:
            self._standing = _closed(stage)
            return False
        if candidate.error:
            self._standing = Standing(Step.HELD, VersionReason.INVALID_TEMPLATE, candidate.error)
            return False
        self._probes.append(Probe(stage.name, candidate.revision, candidate))
        wanted = progress.wanted_replicas(self._world, stage, self._states[stage.name])
        pods = progress.of_revision(self._world, stage, candidate.revision.hash, wanted)
        if not pods.ready:
            self._keep(subject, gates)
            text = f"candidate at stage {stage.name!r}: {pods.message}"
            if pods.failed:
                self._ending = Standing(Step.FAILED, pods.reason, text)
            else:
                self._standing = Standing(Step.DEPLOYING, pods.reason, text)
                self._look_again(pods.look_again_at)
            return False
        return self._passes_behind_a_service(subject, gates, candidate, passing_by=True)

    def _passes_behind_a_service(
        self, subject: Subject, gates: tuple[GateSpec, ...], candidate: Built, *, passing_by: bool = False
    ) -> bool:
        """Ask the gates once the candidate's Service reaches its pods; let go of it when they have answered."""
        stage, revision = subject.stage, candidate.revision
        name = probe.service_name(stage, revision.hash)
        if ("Service", name) in self._world.seen.conflicts:
            text = f"Service {name!r} exists and is not managed by Modelyard for this Model; rename or delete it"
            self._standing = Standing(Step.HELD, VersionReason.NAME_CONFLICT, text)
            return False
        mine = Probe(stage.name, revision, candidate)
        self._probes = [*(p for p in self._probes if p != mine), mine]
        settled = probe.settled_at(self._world, stage, revision.hash)
        if settled is None or self._world.now < settled:
            self._look_again(settled)
            text = f"the gates of stage {stage.name!r} start when every node reaches the candidate's Service {name!r}"
            self._standing = Standing(Step.CHECKING, VersionReason.GATE_PENDING, text)
            self._keep(subject, gates)
            return False
        endpoint = probe.endpoint(self._world, stage, revision.hash)
        return self.passes(replace(subject, endpoint=endpoint), gates, passing_by=passing_by)

    def _keep(self, subject: Subject, gates: Iterable[GateSpec]) -> None:
        """Let evaluations that run go on while the pods that they ask are not all ready."""
        for gate in gates:
            known = results.known(self._recorded, results.asked(subject, gate), passing_by=False)
            if known:
                self._results.append(known)

    def _needs_endpoint(self, stage: StageSpec, gates: Iterable[GateSpec]) -> bool:
        return stage.serving is not None and any(gate.job is not None for gate in gates)

    def _is_refused(self, subject: Subject, gates: Iterable[GateSpec]) -> bool:
        """Whether one of the gates has said no before, which needs no pods to be said again."""
        lines = (results.known(self._recorded, results.asked(subject, g), passing_by=False) for g in gates)
        return any(line is not None and line.is_final and not line.passes for line in lines)

    def _has_all(self, subject: Subject, gates: Iterable[GateSpec], *, passing_by: bool = False) -> bool:
        lines = (results.known(self._recorded, results.asked(subject, g), passing_by=passing_by) for g in gates)
        return all(line is not None and line.passes for line in lines)

    def _subject(self, stage: StageSpec, revision: Revision) -> Subject:
        current = self._states[stage.name].current
        incumbent = _incumbent(self._states[stage.name], current, revision)
        return subject_of(self._world, stage, self._version, revision, incumbent)

    def passes(self, subject: Subject, gates: Iterable[GateSpec], *, passing_by: bool = False) -> bool:
        """Ask the gates of one phase, all at the same time; whether all have passed."""
        answers = [asking.ask(self._world, subject, gate, self._recorded, passing_by=passing_by) for gate in gates]
        lines = [asked.line for asked in answers]
        self._results += lines
        self._starts += [asked.start for asked in answers if asked.start]
        for asked in answers:
            self._look_again(asked.look_again_at)
        waiting = [line for line in lines if not (line.passes and line in self._recorded)]
        if not waiting:
            self._steps += 1
            return True
        for said, reason in ((Result.FAILED, VersionReason.GATE_FAILED), (Result.ERROR, VersionReason.GATE_ERROR)):
            final = [line for line in waiting if line.result == said and line.is_final and line in self._recorded]
            if final:
                self._ending = Standing(Step.FAILED, reason, "; ".join(map(_sentence, final)))
                return False
        self._standing = _waiting(waiting)
        return False

    def approved(self, stage: StageSpec, request: Request) -> bool:
        """Whether the people that a stage wants have consented."""
        count = approvals.tally(self._world, stage, request, self._version, self._version.digest)
        self._look_again(count.look_again_at)
        if count.held:
            self._standing = Standing(Step.AWAITING_APPROVAL, *count.held)
            return False
        self._steps += 1
        return True

    def _look_again(self, moment: datetime | None) -> None:
        if moment:
            self._moments.append(moment)


def to_stage(
    world: World,
    states: Mapping[str, StageState],
    stage: StageSpec,
    request: Request,
    candidate: tuple[Version, Built, Progress],
) -> Way:
    """How far a request is on its way to a stage, past those before it."""
    version, built, pods = candidate
    on_the_way = world.stages[: world.stages.index(stage)]
    if error := invalid_gate((*on_the_way, stage)):
        return Way(standing=Standing(Step.HELD, VersionReason.INVALID_GATE, error))
    walk = _Walk(world, states, version)
    if all(walk.pass_by(earlier, request) for earlier in on_the_way):
        walk.arrive(stage, request, built, pods)
    return walk.way()


def to_same_stage(world: World, stage: StageSpec, state: StageState, candidate: tuple[Version, Built, Progress]) -> Way:
    """How far a changed template of the present version is: its pods are asked once more, people are not."""
    version, built, pods = candidate
    if error := invalid_gate((stage,)):
        return Way(standing=Standing(Step.HELD, VersionReason.INVALID_GATE, error))
    walk = _Walk(world, {stage.name: state}, version)
    subject = subject_of(world, stage, version, built.revision, _revision_of(state, state.current))
    walk.asked_at_pods(subject, built, pods)
    return walk.way()


def after_traffic(world: World, stage: StageSpec, state: StageState, version: Version) -> Way:
    """How far the AfterTraffic gates are with the revision that has taken the stage."""
    current = state.current
    revision = _revision_of(state, current)
    assert current
    assert revision
    if error := invalid_gate((stage,)):
        return Way(standing=Standing(Step.HELD, VersionReason.INVALID_GATE, error))
    walk = _Walk(world, {stage.name: state}, version)
    subject = subject_of(world, stage, version, revision, current.replaced)
    subject = replace(subject, endpoint=manifests.endpoint(world, stage))
    walk.passes(subject, stage.gates_at("AfterTraffic"))
    return walk.way()


def subject_of(
    world: World, stage: StageSpec, version: Version, revision: Revision, incumbent: Revision | None
) -> Subject:
    """A candidate at a stage with what its gates see of it."""
    if incumbent is None:
        return Subject(stage, version, revision, None)
    other = world.versions.get(incumbent.version)
    return Subject(stage, version, revision, incumbent, (other.spec.get("metrics") or {}) if other else {})


def _incumbent(state: StageState, current: Current | None, candidate: Revision) -> Revision | None:
    """What a candidate is compared with: who carries the stage, or who did before it, if it does so itself."""
    if current and current.version == candidate.version:
        return current.replaced
    return _revision_of(state, current)


def _revision_of(state: StageState, current: Current | None) -> Revision | None:
    if current is None:
        return None
    known = state.revision(current.revision)
    return known or Revision(hash=current.revision, version=current.version, digest=current.digest)


def invalid_gate(stages: Iterable[StageSpec]) -> str:
    """What is wrong with the first gate that cannot be run; empty when all can."""
    return next((gate.error for stage in stages for gate in stage.gates if gate.error), "")


def _closed(stage: StageSpec) -> Standing | None:
    """Why nothing is deployed for a stage now, on purpose."""
    if stage.suspend:
        text = f"stage {stage.name!r} is suspended; set suspend: false to go on"
        return Standing(Step.HELD, VersionReason.SUSPENDED, text)
    if stage.paused:
        text = f"stage {stage.name!r} is paused; set paused: false to go on"
        return Standing(Step.HELD, VersionReason.PAUSED, text)
    return None


def _sentence(line: GateResult) -> str:
    """Why a gate lets nothing through, with its numbers and what can be done."""
    if line.result == Result.FAILED:
        return f"{line.where} failed: {line.message}"
    again = "for another attempt set the annotation modelyard.dev/retry of the ModelVersion to a new value"
    return f"{line.where} gave no answer ({line.reason}): {line.message}; {again}"


def _waiting(lines: list[GateResult]) -> Standing:
    """What a candidate waits for, as far as its gates go."""
    running = any(line.result == Result.RUNNING for line in lines)
    reason = VersionReason.GATE_RUNNING if running else VersionReason.GATE_PENDING
    if any(line.next_attempt_at for line in lines):
        reason = VersionReason.GATE_RETRYING
    text = "; ".join(f"{line.where}: {line.message}" for line in lines)
    return Standing(Step.CHECKING, reason, text)
