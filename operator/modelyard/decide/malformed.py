"""Objects that do not have their kind's shape are set aside, and told so.

`decide` asks first. The API server's schema refuses such objects, so there are none, unless they were stored under
another schema. One of them must not stop the decisions on all others: a version, an Approval or a Rollback counts as
if it did not exist. Of a Model that cannot be read nothing is decided: what serves serves on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelyard.api.reasons import ApprovalReason, ModelReason, RollbackReason, VersionReason
from modelyard.decide import shapes
from modelyard.decide.conditions import condition
from modelyard.decide.plan import Action, Commit, ReplaceStatus
from modelyard.decide.snapshot import Obj, Snapshot

_CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "Model": {"Accepted": ModelReason.MALFORMED},
    "ModelVersion": {"Verified": VersionReason.MALFORMED, "Ready": VersionReason.MALFORMED},
    "Approval": {"Counted": ApprovalReason.MALFORMED},
    "Rollback": {"Applied": RollbackReason.MALFORMED, "Ready": RollbackReason.MALFORMED},
}
"""What becomes False."""


@dataclass(frozen=True)
class Sorted:
    """A snapshot without what cannot be read."""

    seen: Snapshot
    writes: tuple[Action, ...]
    """What is said on the objects that were set aside."""


def sort_out(seen: Snapshot, now: datetime) -> Sorted:
    """Set aside the versions, Approvals and Rollbacks that cannot be read."""
    bad = {id(obj): wrong for obj in _written(seen) if (wrong := _wrong(obj))}
    if not bad:
        return Sorted(seen, ())
    writes = tuple(write for obj in _written(seen) if id(obj) in bad for write in _told(obj, bad[id(obj)], now))
    kept = replace(
        seen,
        versions={name: obj for name, obj in seen.versions.items() if id(obj) not in bad},
        deleted=tuple(obj for obj in seen.deleted if id(obj) not in bad),
        approvals=tuple(obj for obj in seen.approvals if id(obj) not in bad),
        rollbacks=tuple(obj for obj in seen.rollbacks if id(obj) not in bad),
    )
    return Sorted(kept, writes)


def commit(model: Obj, now: datetime) -> tuple[bool, Commit | None]:
    """Whether a Model cannot be read, and what is then to be written into its status, if it is not there yet."""
    wrong = _wrong(model)
    if not wrong:
        return False, None
    status = _status(model, wrong, now)
    metadata = model["metadata"]
    return True, Commit(metadata["name"], metadata["resourceVersion"], status) if status != model.get(
        "status"
    ) else None


def _written(seen: Snapshot) -> Iterable[Obj]:
    return (*seen.versions.values(), *seen.deleted, *seen.approvals, *seen.rollbacks)


def _wrong(obj: Obj) -> str:
    return shapes.misfit(obj, shapes.KINDS[obj["kind"]])


def _told(obj: Obj, wrong: str, now: datetime) -> Iterator[ReplaceStatus]:
    status, metadata = _status(obj, wrong, now), obj["metadata"]
    if status != obj.get("status"):
        yield ReplaceStatus(obj["kind"], metadata["name"], metadata["uid"], status)


def _status(obj: Obj, wrong: str, now: datetime) -> dict[str, Any]:
    """The object's status with its conditions False; what else it says stays."""
    before = obj.get("status") or {}
    known, generation = before.get("conditions") or (), obj["metadata"].get("generation", 1)
    false = {
        kind: condition(known, kind, False, reason, f"{wrong}; correct it", generation=generation, now=now)
        for kind, reason in _CONDITIONS[obj["kind"]].items()
    }
    others = [each for each in known if each["type"] not in false]
    return {**before, "observedGeneration": generation, "conditions": [*others, *false.values()]}
