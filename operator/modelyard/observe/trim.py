"""What of an object is worth keeping in memory.

Called for every object that enters the cache. It drops what no decision reads (ownership records, a copy of the
manifest that `kubectl apply` leaves behind, most of a Pod) and shares the field names, which are the same in
thousands of objects. It never changes the object it is given.
"""

import sys
from typing import Any

from modelyard.decide.snapshot import Obj

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
POD_SPEC = ("nodeName",)
_NO_MANAGED_FIELDS = frozenset({"managedFields", "selfLink"})


def trimmed(obj: Obj) -> dict[str, Any]:
    """Return a copy without what no decision reads."""
    kept: dict[str, Any] = {field: value for field, value in obj.items() if field != "metadata"}
    if obj["kind"] == "Pod":
        kept["spec"] = {field: obj["spec"][field] for field in POD_SPEC if field in obj.get("spec", {})}
    kept["metadata"] = _metadata(obj)
    shared: dict[str, Any] = _share_names(kept)
    return shared


def _metadata(obj: Obj) -> dict[str, Any]:
    given = obj["metadata"]
    kept = {field: value for field, value in given.items() if field not in _NO_MANAGED_FIELDS}
    if LAST_APPLIED in kept.get("annotations", {}):
        kept["annotations"] = {name: text for name, text in kept["annotations"].items() if name != LAST_APPLIED}
    if obj["kind"] == "ModelVersion" and (owner := _stage_owner(given.get("managedFields") or ())):
        kept["managedFields"] = [owner]
    return kept


def _stage_owner(managed_fields: Any) -> dict[str, Any] | None:
    """Who set `spec.stage` and when: the one ownership record that says when a stage was asked for."""
    for record in managed_fields:
        if "f:stage" in (record.get("fieldsV1") or {}).get("f:spec", {}):
            owner = {field: value for field, value in record.items() if field in ("manager", "operation", "time")}
            return owner | {"fieldsV1": {"f:spec": {"f:stage": {}}}}
    return None


def _share_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {sys.intern(name): _share_names(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_share_names(item) for item in value]
    return value
