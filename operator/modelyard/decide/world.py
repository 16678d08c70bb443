"""The snapshot with its Model's spec understood, and the time: what every question inside a decision is asked of."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from modelyard.api import names
from modelyard.decide.snapshot import Obj, Snapshot
from modelyard.decide.spec import StageSpec, parse_stages
from modelyard.decide.state import ModelState
from modelyard.decide.versions import Version


@dataclass(frozen=True)
class World:
    """One Model, understood."""

    seen: Snapshot
    now: datetime
    model: Obj
    stages: tuple[StageSpec, ...]
    versions: Mapping[str, Version]
    """ModelVersions of the snapshot, by version."""
    approvals: Mapping[tuple[str, str], tuple[Obj, ...]] = field(default_factory=dict)
    """Approvals of the snapshot by version and stage, oldest first."""
    memory: ModelState = field(default_factory=ModelState)
    """What was remembered of the Model when this decision began."""

    @classmethod
    def of(cls, seen: Snapshot, model: Obj, now: datetime) -> "World":
        """Understand a snapshot whose Model exists."""
        found = (Version(obj) for obj in seen.versions.values())
        versions = {v.version: v for v in found if "deletionTimestamp" not in v.obj["metadata"]}
        return cls(seen, now, model, parse_stages(model), versions, _by_version_and_stage(seen.approvals))

    def twins(self, version: Version) -> tuple[Version, ...]:
        """Other versions whose recorded digest is the same."""
        same = self._by_digest.get(version.digest, ())
        return tuple(other for other in same if other.uid != version.uid)

    @cached_property
    def _by_digest(self) -> Mapping[str, tuple[Version, ...]]:
        found: dict[str, tuple[Version, ...]] = {}
        for version in self.versions.values():
            if version.digest:
                found[version.digest] = (*found.get(version.digest, ()), version)
        return found

    @property
    def uid(self) -> str:
        """Identity of the Model."""
        return str(self.model["metadata"]["uid"])

    def end_of(self, time: timedelta, since: datetime) -> datetime:
        """When what began then has had its time."""
        return end_of(time, since, self.seen.clock_set_forth_at)

    def deployment(self, stage: StageSpec, revision: str) -> Obj | None:
        """The Deployment of a stage's revision, if there is one."""
        return self.seen.deployments.get(f"{stage.object_name}-{revision}")

    def pods_of(self, stage: StageSpec, revision: str) -> tuple[Obj, ...]:
        """Pods of a stage's revision that are not being deleted."""
        wanted = {names.LABEL_STAGE: stage.name, names.LABEL_REVISION: revision}
        return tuple(
            pod
            for pod in self.seen.pods
            if wanted.items() <= (pod["metadata"].get("labels") or {}).items()
            and "deletionTimestamp" not in pod["metadata"]
        )


def end_of(time: timedelta, since: datetime, clock_set_forth_at: datetime | None) -> datetime:
    """When what began then has had its time; what began before the clock was set forth counts from there.

    It has not lasted as long as it looks, and how long it has lasted nobody knows. So nothing is given up, and nothing
    that served is touched, early.
    """
    return max(since, clock_set_forth_at or since) + time


def _by_version_and_stage(approvals: Iterable[Obj]) -> dict[tuple[str, str], tuple[Obj, ...]]:
    found: dict[tuple[str, str], list[Obj]] = defaultdict(list)
    for obj in sorted(approvals, key=_age):
        found[obj["spec"]["version"], obj["spec"]["stage"]].append(obj)
    return {key: tuple(objects) for key, objects in found.items()}


def _age(approval: Obj) -> tuple[str, bool, str]:
    """Orders Approvals by age; of those made within a second, what was told that it counts goes on counting."""
    conditions = (approval.get("status") or {}).get("conditions") or ()
    counts = any(condition["status"] == "True" for condition in conditions)
    return approval["metadata"]["creationTimestamp"], not counts, approval["metadata"]["uid"]
