"""Do the bytes of a cold rollback target still exist? Looked at once a day, by a Job that reads no bytes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from modelyard.decide import jobs, manifests, progress, rollback
from modelyard.decide.plan import Create
from modelyard.decide.revisions import short_hash
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import BytesCheck, Revision, StageState
from modelyard.decide.world import World

INTERVAL = timedelta(days=1)


def cold_target(world: World, stage: StageSpec, state: StageState) -> Revision | None:
    """The default rollback target, when its pods do not run and its bytes would have to be fetched."""
    target = rollback.default_target(world, stage, state)
    if target is None or stage.serving is None or not target.uri or is_warm(world, stage, target):
        return None
    return target


def is_warm(world: World, stage: StageSpec, revision: Revision) -> bool:
    """Whether a revision has pods ready to take traffic."""
    return stage.serving is None or progress.ready_pods(world.deployment(stage, revision.hash)) > 0


def observe(world: World, stage: StageSpec, state: StageState) -> StageState:
    """Note the result of the check, when its Job has one."""
    target = cold_target(world, stage, state)
    job = world.seen.jobs.get(_job_name(world, stage, state, target)) if target else None
    result = jobs.result(world, job) if job else None
    if target is None or result is None:
        return state
    error = result.get("error") or {}
    if error.get("transient"):
        return state  # the store is down, which says nothing of the bytes; tomorrow again
    check = BytesCheck(target.hash, world.now, ok=not error, message=str(error.get("message", "")))
    return replace(state, bytes_check=check)


def due_at(world: World, stage: StageSpec, state: StageState) -> datetime | None:
    """When the next check is due; None while there is no cold target."""
    target = cold_target(world, stage, state)
    if target is None:
        return None
    last = state.bytes_check
    if last is not None and last.revision == target.hash:
        return last.at + INTERVAL
    return (target.served_until or world.now) + INTERVAL


def job(world: World, stage: StageSpec, state: StageState) -> Iterator[Create]:
    """The Job of a check that is due."""
    target = cold_target(world, stage, state)
    due = due_at(world, stage, state)
    if target is None or due is None or world.now < due:
        return
    name = _job_name(world, stage, state, target)
    if name in world.seen.jobs:
        return
    version = world.versions.get(target.version)
    artifact = (version.status.get("artifact") or {}) if version else {}
    objects = [[entry["path"], entry["versionId"]] for entry in artifact.get("objects") or ()]
    task = {
        "kind": "check",
        "uri": target.uri,
        "digest": target.digest,
        "objects": objects or None,
        "fileCount": artifact.get("fileCount"),
        "sizeBytes": artifact.get("sizeBytes"),
    }
    yield Create(jobs.build(world, name, "check", task, manifests.owner(world.model), target.version))


def _job_name(world: World, stage: StageSpec, state: StageState, target: Revision | None) -> str:
    last = state.bytes_check.at if state.bytes_check else None
    key = [stage.name, target.hash if target else "", str(last)]
    return f"{world.seen.name}-check-{short_hash(key)}"
