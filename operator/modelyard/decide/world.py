"""The snapshot with its Model's spec understood, and the time: what every question inside a decision is asked of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from modelyard.api import names
from modelyard.decide.snapshot import Obj, Snapshot
from modelyard.decide.spec import StageSpec, parse_stages
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

    @classmethod
    def of(cls, seen: Snapshot, model: Obj, now: datetime) -> "World":
        """Understand a snapshot whose Model exists."""
        found = (Version(obj) for obj in seen.versions.values())
        versions = {v.version: v for v in found if "deletionTimestamp" not in v.obj["metadata"]}
        return cls(seen, now, model, parse_stages(model), versions)

    @property
    def uid(self) -> str:
        """Identity of the Model."""
        return str(self.model["metadata"]["uid"])

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
