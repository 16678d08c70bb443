"""Which Model an object belongs to: the key of the queue and of the cache."""

from typing import NamedTuple

from modelyard.api import names
from modelyard.decide.snapshot import Obj

_NAMED_IN_SPEC = frozenset({"ModelVersion", "Approval", "Rollback"})


class Key(NamedTuple):
    """One Model with everything made for it: the unit of reconciliation."""

    namespace: str
    model: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.model}"


def key_of(obj: Obj) -> Key | None:
    """The Model an object belongs to; None when it belongs to none."""
    metadata = obj["metadata"]
    if obj["kind"] == "Model":
        return Key(metadata["namespace"], metadata["name"])
    if obj["kind"] in _NAMED_IN_SPEC:
        spec = obj.get("spec")
        model = spec.get("model") if isinstance(spec, dict) else None
    else:
        model = (metadata.get("labels") or {}).get(names.LABEL_MODEL)
    return Key(metadata["namespace"], model) if model and isinstance(model, str) else None


def version_named(obj: Obj) -> str:
    """The version that a ModelVersion is, or an Approval is about; empty for one that does not say it."""
    version = obj["spec"].get("version")
    return version if isinstance(version, str) else ""
