"""A ModelVersion as decisions read it, and the order of versions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.api import names
from modelyard.api.codec import parse_time
from modelyard.decide.snapshot import Obj
from modelyard.decide.state import ENDED, Step

_DOTTED = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Version:
    """One ModelVersion."""

    obj: Obj

    @property
    def name(self) -> str:
        """Name of the object: `<model>-<version>`."""
        return str(self.obj["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Identity of the object; a version deleted and made again has another."""
        return str(self.obj["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Counts the edits of `spec.stage`, since nothing else of the spec can change."""
        return int(self.obj["metadata"].get("generation", 1))

    @property
    def version(self) -> str:
        """`spec.version`."""
        return str(self.spec["version"])

    @property
    def stage(self) -> str:
        """The stage asked for; empty for none."""
        return str(self.spec.get("stage") or "")

    @property
    def spec(self) -> Mapping[str, Any]:
        """The object's spec."""
        spec: Mapping[str, Any] = self.obj["spec"]
        return spec

    @property
    def status(self) -> Mapping[str, Any]:
        """The object's status; empty when nobody wrote one."""
        status: Mapping[str, Any] = self.obj.get("status") or {}
        return status

    @property
    def artifact(self) -> Mapping[str, Any]:
        """`spec.artifact`."""
        artifact: Mapping[str, Any] = self.spec.get("artifact") or {}
        return artifact

    @property
    def digest(self) -> str:
        """The pinned digest; empty until verified. It stays while the version is verified anew."""
        return str(self.status.get("digest", ""))

    @property
    def verification(self) -> Mapping[str, Any]:
        """What is recorded of the verification."""
        found: Mapping[str, Any] = self.status.get("verification") or {}
        return found

    @property
    def recorded_request(self) -> Mapping[str, Any]:
        """What the status says of the present or last request."""
        found: Mapping[str, Any] = self.status.get("request") or {}
        return found

    @property
    def request_id(self) -> str:
        """Identity of the present request; empty when no stage is asked for."""
        if self.stage in ("", names.STAGE_ARCHIVED):
            return ""
        nonce = self.annotations.get(names.ANNOTATION_REQUEST)
        return f"{self.uid}/{self.generation}" + (f"/{nonce}" if nonce else "")

    @property
    def retry(self) -> str:
        """The attempt that was asked for (modelyard.dev/retry); empty when nobody asked for another one."""
        return self.annotations.get(names.ANNOTATION_RETRY, "")

    @property
    def retried_by(self) -> str:
        """Who asked for it."""
        return self.annotations.get(names.ANNOTATION_RETRIED_BY, "") if self.retry else ""

    @property
    def has_ended(self) -> bool:
        """Whether the present request ended for good, and nobody asks for another attempt."""
        recorded = self.recorded_request
        if recorded.get("id") != self.request_id or recorded.get("step") not in ENDED:
            return False
        return not is_retried(str(recorded["step"]), str(recorded.get("retry", "")), self.retry)

    @property
    def annotations(self) -> Mapping[str, str]:
        """The object's annotations."""
        found: Mapping[str, str] = self.obj["metadata"].get("annotations") or {}
        return found

    @property
    def created(self) -> datetime:
        """When the object was created."""
        return parse_time(self.obj["metadata"]["creationTimestamp"])

    @property
    def asked_at_creation(self) -> bool:
        """Whether the present request was made by creating the object."""
        return self.generation == 1 and names.ANNOTATION_REQUEST not in self.annotations

    @property
    def requested_at(self) -> datetime:
        """When the stage was last set: the time of the manager that owns the field, else the creation."""
        for entry in self.obj["metadata"].get("managedFields") or ():
            fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
            if "f:stage" in fields and "time" in entry and not self.asked_at_creation:
                return parse_time(entry["time"])
        return self.created


def is_retried(ended: str, before: str, now: str) -> bool:
    """Whether the annotation modelyard.dev/retry makes anew what ended: only what failed, and once for each value."""
    return ended == Step.FAILED and now not in ("", before)


def is_older(version: str, than: str) -> bool:
    """Whether both are dotted numbers and the first is the lower one."""
    if not (_DOTTED.fullmatch(version) and _DOTTED.fullmatch(than)):
        return False
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in version.split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def settled(obj: Obj) -> bool:
    """Whether nothing of this ModelVersion can change until it or its Model's spec is edited.

    `observe` leaves settled versions out of the snapshots that other objects' events ask for, so that an event
    costs the same whether a Model has 10 versions or 10,000.
    """
    version = Version(obj)
    status = version.status
    if status.get("observedGeneration") != version.generation or status.get("stages"):
        return False
    if version.stage == names.STAGE_ARCHIVED:
        return True
    if version.verification.get("state") not in ("Passed", "Failed"):
        return False
    if not version.stage:
        return True
    return version.has_ended
