"""What do versions, Rollbacks and Approvals say whose Model does not exist?

Called instead of everything else. What they say is all that happens: there is nothing to decide without a Model, and
what was found out about a version stays on record for the Model that may come (again).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modelyard.api import codec, names
from modelyard.api.reasons import ApprovalReason, RollbackReason, VersionReason
from modelyard.decide import approval_statuses
from modelyard.decide.conditions import Being, Said, condition, judged
from modelyard.decide.objections import Finding, stamp_of
from modelyard.decide.plan import Plan, ReplaceStatus
from modelyard.decide.rollback import is_final
from modelyard.decide.rollback_statuses import rollback_status
from modelyard.decide.snapshot import Obj, Snapshot
from modelyard.decide.state import ENDED, Step
from modelyard.decide.versions import Version


def plan(seen: Snapshot, now: datetime) -> Plan:
    """Tell each of them that there is no such Model."""
    text = f"there is no Model {seen.name!r} in namespace {seen.namespace!r}; create it"
    return Plan(actions=tuple(write for write in _writes(seen, text, now) if write))


def _writes(seen: Snapshot, text: str, now: datetime) -> Iterator[ReplaceStatus | None]:
    for obj in seen.versions.values():
        yield _unless_same("ModelVersion", obj, _version_status(Version(obj), text, now))
    for obj in seen.rollbacks:
        if not is_final(obj):
            status = rollback_status(obj, now, "Refused", RollbackReason.MODEL_NOT_FOUND, text)
            yield _unless_same("Rollback", obj, status)
    for obj in seen.approvals:
        finding = Finding(obj, stamp_of(obj) if seen.admission else "", ApprovalReason.MODEL_NOT_FOUND, text)
        yield _unless_same("Approval", obj, approval_statuses.approval_status(finding, now))


def _unless_same(kind: str, obj: Obj, status: dict[str, Any]) -> ReplaceStatus | None:
    metadata = obj["metadata"]
    return ReplaceStatus(kind, metadata["name"], metadata["uid"], status) if status != obj.get("status") else None


def _version_status(version: Version, text: str, now: datetime) -> dict[str, Any]:
    known, reason = version.status.get("conditions") or (), VersionReason.MODEL_NOT_FOUND
    status = {
        **version.status,
        "observedGeneration": version.generation,
        "stage": names.STAGE_NONE if version.status.get("stage", "none") == names.STAGE_NONE else names.STAGE_ARCHIVED,
        "stages": [],
        "request": _request(version, text, now),
        "conditions": [
            condition(known, "Verified", None, reason, text, generation=version.generation, now=now),
            *judged(known, Said(Being.WAITING, reason, text), generation=version.generation, now=now),
        ],
    }
    return {key: value for key, value in status.items() if value not in ([], {})}


def _request(version: Version, text: str, now: datetime) -> dict[str, Any]:
    """What is asked for, which nobody works on; a request that has ended stays ended. Its place is kept."""
    recorded = version.recorded_request
    has_ended = recorded.get("step") in ENDED
    if not version.request_id:
        return dict(recorded) if has_ended else {}
    same = recorded if recorded.get("id") == version.request_id else {}
    if same and has_ended:
        return dict(recorded)
    since = same["since"] if same.get("step") == Step.HELD and "since" in same else codec.format_time(now)
    held = {"step": Step.HELD.value, "reason": VersionReason.MODEL_NOT_FOUND.value, "message": text, "since": since}
    asked = {"id": version.request_id, "stage": version.stage, "generation": version.generation}
    return {**same, **asked, **held}
