"""Which of a stage's open requests are worked on, and where does each stand?

`stage` asks once for every stage of a decision. Requests do not cancel each other: the newest and the furthest-advanced
go on, past gates and people; the others are queued until one of these fails or takes the stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from modelyard.api.reasons import VersionReason
from modelyard.decide import approvals, progress, requests
from modelyard.decide.gates import passage
from modelyard.decide.gates.passage import Way
from modelyard.decide.revisions import Built, build
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Cause, Request, StageState, Standing, Step
from modelyard.decide.targets import Target, name_conflict, replace_digest
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World


@dataclass(frozen=True)
class _Contender:
    """An open request that may be worked on. It has a target once its pods may run."""

    request: Request
    way: Way
    version: Version
    target: Target | None = None


class Promotion:
    """The open requests of a stage: which are worked on, and where each stands. `states`: of every stage."""

    def __init__(
        self, world: World, stage: StageSpec, states: Mapping[str, StageState], verdicts: dict[str, Verdict]
    ) -> None:
        self._world, self._stage, self._states, self._verdicts = world, stage, states, verdicts
        self._state = states[stage.name]
        self._wanted = progress.wanted_replicas(world, stage, self._state)
        self.standings: dict[str, Standing] = {}
        self.failed: list[Request] = []
        self.ways: dict[str, tuple[Way, ...]] = {}
        """By version: what its gates are to do and to have on record."""
        self.targets: tuple[Target, ...] = self._choose()

    @cached_property
    def _placing(self) -> bool:
        """Whether others still wait for their place. It takes a look at every version, and is seldom asked."""
        return requests.unplaced(self._world, self._stage, self._state)

    def _choose(self) -> tuple[Target, ...]:
        contenders: list[_Contender] = []
        for request in sorted(self._state.open_requests, key=lambda r: -r.place):
            contender = self._consider(request)
            if contender:
                contenders.append(contender)
        worked = _worked_on(self._world, self._stage, contenders)
        for contender in contenders:
            request, way = contender.request, contender.way
            if contender not in worked:
                # Naming the newer version would write the status of every queued one whenever another comes.
                text = "a newer request is worked on; this one is taken up if that fails"
                self._stand(request, Step.QUEUED, VersionReason.QUEUED, text)
                way = way.in_the_queue()
            elif contender.target is None and way.standing:
                self.standings[request.id] = way.standing
            self.ways[request.version] = (*self.ways.get(request.version, ()), way)
        return tuple(contender.target for contender in worked if contender.target)

    def _consider(self, request: Request) -> _Contender | None:
        """A request whose artifact is verified and which nothing holds; otherwise its standing is noted."""
        current = self._state.current
        if current and current.request_id == request.id:
            self._stand(request, Step.SERVING, VersionReason.SERVING)
            return None
        if current and request.place < current.place:
            text = "it was replaced, and takes over when nobody asks for the version that serves any more"
            self._stand(request, Step.STANDING_BY, VersionReason.STANDING_BY, text)
            return None
        version = self._world.versions.get(request.version)
        if version is None:
            name = f"{self._world.seen.name}-{request.version}"
            text = f"there is no ModelVersion {name!r}; create it, or correct the Model's spec.stages[].version"
            self._stand(request, Step.HELD, VersionReason.VERSION_NOT_FOUND, text)
            return None
        verdict = self._verdicts[request.version]
        if verdict.failed:
            self.failed.append(request.end(Step.FAILED, verdict.reason, verdict.message, self._world.now))
            return None
        if not verdict.passed:
            self._stand(request, Step.VERIFYING, verdict.reason, verdict.message)
            return None
        rejection = approvals.rejection(self._world, self._stage, request, version, verdict.digest)
        if rejection:
            self.failed.append(request.end(Step.REJECTED, VersionReason.REJECTED, rejection, self._world.now))
            return None
        held = self._held(request)
        if held:
            self._stand(request, *held)
            return None
        built = build(self._world, self._stage, replace_digest(version, verdict.digest))
        if built.error:
            self._stand(request, Step.HELD, VersionReason.INVALID_TEMPLATE, built.error)
            return None
        deployment = self._world.deployment(self._stage, built.revision.hash)
        if deployment is None and self._placing:
            text = "other requests that were seen with it get their places first"
            self._stand(request, Step.QUEUED, VersionReason.QUEUED, text)
            return None
        return self._contend(request, replace_digest(version, verdict.digest), built)

    def _contend(self, request: Request, version: Version, built: Built) -> _Contender | None:
        """How far a request has come past gates and people; None when they ended it."""
        pods = progress.of_revision(self._world, self._stage, built.revision.hash, self._wanted)
        way = passage.to_stage(self._world, self._states, self._stage, request, (version, built, pods))
        if way.ending:
            ending = request.end(way.ending.step, way.ending.reason, way.ending.message, self._world.now)
            self.failed.append(ending)
            return None
        deployment = self._world.deployment(self._stage, built.revision.hash)
        running = bool(deployment and deployment["spec"].get("replicas"))
        # Pods that run go on while a gate is asked again, of an incumbent that came meanwhile.
        if not (way.may_deploy or (running and way.standing and way.standing.step == Step.CHECKING)):
            return _Contender(request, way, version)
        revision = replace(built.revision, place=request.place, request_id=request.id)
        return _Contender(request, way, version, Target(Cause.PROMOTED, revision, pods, request, built, way))

    def _held(self, request: Request) -> tuple[Step, str, str] | None:
        current = self._state.current
        back = self._state.rollback
        if current and (current.undo or back) and current.version == request.version:
            text = f"stage {self._stage.name!r} goes back from this version; it is taken up when that is done"
            return Step.QUEUED, VersionReason.QUEUED, text
        target = self._state.revision(back.target) if back else None
        if target and target.version == request.version:
            text = f"stage {self._stage.name!r} goes back to this version"
            return Step.QUEUED, VersionReason.QUEUED, text
        conflict = name_conflict(self._world, self._stage)
        if conflict:
            return Step.HELD, VersionReason.NAME_CONFLICT, conflict
        reason = approvals.unexplained(self._world, request)
        return (Step.HELD, VersionReason.REASON_REQUIRED, reason) if reason else None

    def _stand(self, request: Request, step: Step, reason: str, message: str = "") -> None:
        self.standings[request.id] = Standing(step, str(reason), message)


def _worked_on(world: World, stage: StageSpec, contenders: list[_Contender]) -> tuple[_Contender, ...]:
    """The newest and the furthest-advanced of the contenders, which come newest first.

    What people have approved is ahead of all that waits for them: that may take days, or never come.
    """
    if len(contenders) < 2:
        return tuple(contenders)

    def advance(contender: _Contender) -> tuple[bool, bool, int, bool, int]:
        target, version = contender.target, contender.version
        # They may have approved it before it is their turn.
        consent = approvals.tally(world, stage, contender.request, version, version.digest).held is None
        if target is None:
            return False, consent, contender.way.steps, False, 0
        deployed = world.deployment(stage, target.revision.hash)
        running = bool(deployed and deployed["spec"].get("replicas"))
        return target.may_take_over, consent, contender.way.steps, running, progress.ready_pods(deployed)

    # One whose pods cannot make it is not ahead of anything.
    alive = (c for c in contenders if not (c.target and c.target.progress.failed))
    furthest = max(alive, key=advance, default=contenders[0])
    return tuple(contender for contender in contenders if contender in (contenders[0], furthest))
