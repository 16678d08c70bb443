"""What could the stage's pointer move to, and how far is each?

There are five ways, each with the same needs (a revision and enough ready pods), tried in this order:

1. promotion: a request placed higher than the current one (see `promotion`), past gates and approvals;
2. rollback: the revision that an accepted Rollback goes back to (see `rollback`);
3. undo: the last good revision, when an AfterTraffic gate said no (see `trial`);
4. succession: the current request was withdrawn, the good version placed last whose request stands takes over;
5. reconfiguration: the same version with a changed template, past the gates that ask its pods.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from modelyard.decide import progress
from modelyard.decide.gates import passage
from modelyard.decide.gates.passage import Way
from modelyard.decide.progress import Progress
from modelyard.decide.revisions import Built, build, build_recorded
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Cause, Request, Revision, StageState, Standing, Step
from modelyard.decide.versions import Version
from modelyard.decide.world import World

UNGATED = Way()
"""The way of what was good before: nobody is asked about it."""


@dataclass(frozen=True)
class Target:
    """A revision that the pointer could move to."""

    cause: Cause
    revision: Revision
    progress: Progress
    request: Request | None = None
    built: Built | None = None
    """How to make its Deployment; None when only an existing one can be used."""
    way: Way = UNGATED
    """What gates and people say to it."""

    @property
    def may_take_over(self) -> bool:
        """Whether the pointer may move to it now."""
        return self.progress.ready and self.way.is_open

    @property
    def failed(self) -> Standing | None:
        """Why it is not going to make it."""
        if self.progress.failed:
            return Standing(Step.FAILED, str(self.progress.reason), self.progress.message)
        return self.way.ending

    @property
    def standing(self) -> Standing:
        """What it waits for."""
        return self.way.standing or Standing(Step.DEPLOYING, str(self.progress.reason), self.progress.message)


def replace_digest(version: Version, digest: str) -> Version:
    """The version as it will be once this decision's verdict is in its status."""
    verification = {**version.verification, "state": "Passed"}
    status = {**version.status, "digest": digest, "verification": verification}
    return Version({**version.obj, "status": status})


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
    if version is not None:
        built = build(world, stage, replace_digest(version, revision.digest))
        if built.revision.hash == revision.hash and not built.error:
            return built
    return build_recorded(world, stage, revision, version)


def of_revision(world: World, stage: StageSpec, state: StageState, cause: Cause, revision: Revision) -> Target:
    """The target that an existing good revision is."""
    how_far = progress.of_revision(world, stage, revision.hash, progress.wanted_replicas(world, stage, state))
    return Target(cause, revision, how_far, built=rebuild(world, stage, revision))


def successor(world: World, stage: StageSpec, state: StageState) -> Target | None:
    """The good version placed last whose request stands, when the current one's was withdrawn."""
    if not is_withdrawn(world, stage, state) or state.current is None:
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


def is_withdrawn(world: World, stage: StageSpec, state: StageState) -> bool:
    """Whether the request behind the current version was withdrawn, and nobody else asks for that version.

    A version that has moved on to a later stage keeps this one.
    """
    current = state.current
    if current is None or not current.request_id:
        return False
    request = state.request(current.request_id)
    if request is None or request.ended != Step.WITHDRAWN:
        return False
    version = world.versions.get(current.version)
    later = world.stages[world.stages.index(stage) + 1 :]
    if version and version.uid == request.uid and any(version.stage == each.name for each in later):
        return False
    return not any(r.version == current.version for r in state.open_requests)


def reconfigured(world: World, stage: StageSpec, state: StageState) -> Target | None:
    """The current version with the present template, where that makes another revision."""
    current = state.current
    version = world.versions.get(current.version) if current else None
    if current is None or version is None or stage.paused or stage.suspend:
        return None
    if current.on_trial or current.undo:
        return None  # one change at a time: what it would go back to is not known to be good yet
    version = replace_digest(version, current.digest)
    built = build(world, stage, version)
    if built.error or built.revision.hash in (current.revision, current.held_revision):
        return None
    revision = replace(built.revision, place=current.place, request_id=current.request_id)
    how_far = progress.of_revision(world, stage, revision.hash, progress.wanted_replicas(world, stage, state))
    way = passage.to_same_stage(world, stage, state, (version, built, how_far))
    return Target(Cause.RECONFIGURED, revision, how_far, state.request(current.request_id), built, way)


def hashes(targets: Iterable[Target]) -> frozenset[str]:
    """Hashes of the targets' revisions."""
    return frozenset(target.revision.hash for target in targets)
