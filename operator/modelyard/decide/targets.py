"""What could the stage's pointer move to, and how far is each?

There are four ways, each with the same needs (a revision and enough ready pods), tried in this order:

1. promotion: a request placed higher than the current one (the newest and the furthest-advanced are worked on);
2. rollback: the revision that an accepted Rollback goes back to;
3. succession: the current request was withdrawn, the good version placed last whose request stands takes over;
4. reconfiguration: the same version with a changed template.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from modelyard.api.reasons import VersionReason
from modelyard.decide import progress, requests
from modelyard.decide.progress import Progress
from modelyard.decide.revisions import Built, build
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Cause, Request, Revision, StageState, Step
from modelyard.decide.verification import Verdict
from modelyard.decide.world import World


@dataclass(frozen=True)
class Target:
    """A revision that the pointer could move to."""

    cause: Cause
    revision: Revision
    progress: Progress
    request: Request | None = None
    built: Built | None = None
    """How to make its Deployment; None when only an existing one can be used."""


@dataclass(frozen=True)
class Standing:
    """Where an open request stands, for people to read."""

    step: Step
    reason: str
    message: str = ""


def wanted_replicas(world: World, stage: StageSpec, state: StageState) -> int:
    """How many pods the stage wants: a switch needs as many ready ones of the target.

    Without `replicas` it is what the present Deployment has, which an autoscaler may have set.
    """
    if stage.serving is None or stage.suspend:
        return 0
    if stage.serving.replicas is not None:
        return stage.serving.replicas
    present = world.deployment(stage, state.current.revision) if state.current else None
    if present is None:
        return 1
    replicas = int(present["spec"].get("replicas", 1))
    return replicas or state.replicas_before_suspend or 1


class Promotion:
    """The open requests of a stage: which are worked on, and where each stands."""

    def __init__(self, world: World, stage: StageSpec, state: StageState, verdicts: dict[str, Verdict]) -> None:
        self._world, self._stage, self._state, self._verdicts = world, stage, state, verdicts
        self._wanted = wanted_replicas(world, stage, state)
        self._placing = requests.unplaced(world, stage, state)
        self.standings: dict[str, Standing] = {}
        self.failed: list[Request] = []
        self.targets: tuple[Target, ...] = self._choose()

    def _choose(self) -> tuple[Target, ...]:
        eligible: list[Target] = []
        for request in sorted(self._state.open_requests, key=lambda r: -r.place):
            target = self._consider(request)
            if target:
                eligible.append(target)
        worked = _worked_on(self._world, self._stage, eligible)
        for target in eligible:
            if target in worked:
                continue
            # Naming the newer version would write the status of every queued one whenever another comes.
            text = "a newer request is worked on; this one is taken up if that fails"
            assert target.request
            self.standings[target.request.id] = Standing(Step.QUEUED, VersionReason.QUEUED, text)
        return worked

    def _consider(self, request: Request) -> Target | None:
        """The target of a request that may be deployed now; otherwise its standing is noted."""
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
        held = self._held()
        if held:
            self._stand(request, *held)
            return None
        built = build(self._world, self._stage, replace_digest(version, verdict.digest))
        if built.error:
            self._stand(request, Step.HELD, VersionReason.INVALID_TEMPLATE, built.error)
            return None
        revision = replace(built.revision, place=request.place, request_id=request.id)
        if self._placing and self._world.deployment(self._stage, revision.hash) is None:
            text = "other requests that were seen with it get their places first"
            self._stand(request, Step.QUEUED, VersionReason.QUEUED, text)
            return None
        how_far = progress.of_revision(self._world, self._stage, revision.hash, self._wanted)
        return Target(Cause.PROMOTED, revision, how_far, request, built)

    def _held(self) -> tuple[Step, str, str] | None:
        stage = self._stage
        if stage.unsupported:
            text = f"{stage.unsupported}: this release runs neither, so nothing is promoted past them"
            return Step.HELD, VersionReason.NOT_SUPPORTED_YET, text
        if stage.suspend:
            text = f"stage {stage.name!r} is suspended; set suspend: false to go on"
            return Step.HELD, VersionReason.SUSPENDED, text
        if stage.paused:
            text = f"stage {stage.name!r} is paused; set paused: false to go on"
            return Step.HELD, VersionReason.PAUSED, text
        conflict = name_conflict(self._world, stage)
        return (Step.HELD, VersionReason.NAME_CONFLICT, conflict) if conflict else None

    def _stand(self, request: Request, step: Step, reason: str, message: str = "") -> None:
        self.standings[request.id] = Standing(step, str(reason), message)


def replace_digest(version: Any, digest: str) -> Any:
    """The version as it will be once this decision's verdict is in its status."""
    verification = {**version.verification, "state": "Passed"}
    status = {**version.status, "digest": digest, "verification": verification}
    return type(version)({**version.obj, "status": status})


def _worked_on(world: World, stage: StageSpec, eligible: list[Target]) -> tuple[Target, ...]:
    """The newest and the furthest-advanced of the eligible, which come newest first."""
    if not eligible:
        return ()

    def advance(target: Target) -> tuple[bool, bool, int]:
        deployed = world.deployment(stage, target.revision.hash)
        running = bool(deployed and deployed["spec"].get("replicas"))
        return target.progress.ready, running, progress.ready_pods(deployed)

    # A target that cannot make it is not ahead of anything.
    furthest = max((t for t in eligible if not t.progress.failed), key=advance, default=eligible[0])
    return tuple(target for target in eligible if target in (eligible[0], furthest))


def name_conflict(world: World, stage: StageSpec) -> str:
    """Which object that is not ours stands where one of the stage's should be; empty for none."""
    needed = [("ConfigMap", stage.object_name)]
    if stage.serving:
        needed.append(("Service", stage.serving.service_name))
    for kind, name in needed:
        if (kind, name) in world.seen.conflicts:
            return f"{kind} {name!r} exists and is not managed by Modelyard for this Model; rename or delete it" + (
                ", or set serving.serviceName" if kind == "Service" else ""
            )
    return ""


def kept(world: World, stage: StageSpec, revision: Revision) -> bool:
    """Whether a revision can still be served: its Deployment exists, or the same one can be made again."""
    if stage.serving is None or world.deployment(stage, revision.hash) is not None:
        return True
    return rebuild(world, stage, revision) is not None


def rebuild(world: World, stage: StageSpec, revision: Revision) -> Built | None:
    """How to make a revision's Deployment again; None when template or version have changed since."""
    version = world.versions.get(revision.version)
    if version is None:
        return None
    built = build(world, stage, replace_digest(version, revision.digest))
    return built if built.revision.hash == revision.hash and not built.error else None


def of_revision(world: World, stage: StageSpec, state: StageState, cause: Cause, revision: Revision) -> Target:
    """The target that an existing good revision is."""
    how_far = progress.of_revision(world, stage, revision.hash, wanted_replicas(world, stage, state))
    return Target(cause, revision, how_far, built=rebuild(world, stage, revision))


def successor(world: World, stage: StageSpec, state: StageState) -> Target | None:
    """The good version placed last whose request stands, when the current one's was withdrawn."""
    if not is_withdrawn(state) or state.current is None:
        return None
    standing: dict[str, Request] = {}
    for request in sorted(state.open_requests, key=lambda r: r.place):
        standing[request.version] = request
    candidates = []
    for revision in state.revisions:
        held_by = standing.get(revision.version)
        fits = revision.good and revision.hash != state.current.revision and kept(world, stage, revision)
        if held_by and fits:
            candidates.append((held_by.place, revision.sequence, revision, held_by))
    if not candidates:
        return None
    _, _, revision, request = max(candidates, key=lambda c: c[:2])
    target = of_revision(world, stage, state, Cause.SUCCEEDED, revision)
    return replace(target, request=request)


def is_withdrawn(state: StageState) -> bool:
    """Whether the request behind the current version was withdrawn, and nobody else asks for that version."""
    current = state.current
    if current is None or not current.request_id:
        return False
    request = state.request(current.request_id)
    if request is None or request.ended != Step.WITHDRAWN:
        return False
    return not any(r.version == current.version for r in state.open_requests)


def reconfigured(world: World, stage: StageSpec, state: StageState) -> Target | None:
    """The current version with the present template, where that makes another revision."""
    current = state.current
    version = world.versions.get(current.version) if current else None
    if current is None or version is None or stage.paused or stage.suspend:
        return None
    built = build(world, stage, replace_digest(version, current.digest))
    if built.error or built.revision.hash in (current.revision, current.held_revision):
        return None
    revision = replace(built.revision, place=current.place, request_id=current.request_id)
    how_far = progress.of_revision(world, stage, revision.hash, wanted_replicas(world, stage, state))
    return Target(Cause.RECONFIGURED, revision, how_far, state.request(current.request_id), built)


def hashes(targets: Iterable[Target]) -> frozenset[str]:
    """Hashes of the targets' revisions."""
    return frozenset(target.revision.hash for target in targets)
