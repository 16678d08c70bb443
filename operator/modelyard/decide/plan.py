"""What a decision asks for: the writes that bring the world to where it should be, in order.

`execute` carries it out: first the commit (the Model's status, a compare-and-set on its resourceVersion), then
the actions in their order, then the Events. A Plan is compared with `==` in tests.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelyard.decide.snapshot import Obj


@dataclass(frozen=True)
class Sighting:
    """An object as it was when something was decided because of it."""

    kind: str
    name: str
    uid: str
    generation: int | None = None
    """None for the kinds that have none."""
    resource_version: str = ""
    """Where its status counts as well; else empty."""

    @classmethod
    def of(cls, obj: Obj, *, with_status: bool = False) -> "Sighting":
        """What was seen of an object."""
        metadata = obj["metadata"]
        version = metadata["resourceVersion"] if with_status else ""
        return cls(obj["kind"], metadata["name"], metadata["uid"], metadata.get("generation"), version)

    def shows(self, present: Obj) -> bool:
        """Whether the object of that name is still as it was seen."""
        metadata = present["metadata"]
        same = (metadata["uid"], metadata.get("generation")) == (self.uid, self.generation)
        return same and self.resource_version in ("", metadata.get("resourceVersion"))


@dataclass(frozen=True)
class Commit:
    """Write the Model's status if nobody wrote the Model since it was read. Failing that, nothing else is done."""

    name: str
    resource_version: str
    status: Obj
    counts_on: tuple[Sighting, ...] = ()
    """Whether each is still there, as it was seen, is read before (see `sightings`)."""


@dataclass(frozen=True)
class Create:
    """Create an object; an existing one that is not ours is a name conflict, never adopted."""

    manifest: Obj


@dataclass(frozen=True)
class ReplaceStatus:
    """Write an object's whole status. `uid` guards against a namesake made since."""

    kind: str
    name: str
    uid: str
    status: Obj


@dataclass(frozen=True)
class Patch:
    """JSON merge patch of an object of ours."""

    kind: str
    name: str
    body: Obj
    resource_version: str = ""
    """The state that was decided on, where what was written since must not be turned back."""


@dataclass(frozen=True)
class Delete:
    """Delete an object of ours as it was decided on, for in another state it may be needed; its dependents go after."""

    kind: str
    name: str
    uid: str
    resource_version: str
    counts_on: tuple[Sighting, ...] = ()
    """What told that nobody needs it; read before, as for a commit."""

    @classmethod
    def of(cls, obj: Obj, *, counts_on: tuple[Sighting, ...] = ()) -> "Delete":
        """Delete what was seen."""
        metadata = obj["metadata"]
        return cls(obj["kind"], metadata["name"], metadata["uid"], metadata["resourceVersion"], counts_on)


Action = Create | ReplaceStatus | Patch | Delete


@dataclass(frozen=True)
class EventNote:
    """A Kubernetes Event to publish after everything was written."""

    kind: str
    name: str
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """The writes of one reconciliation; empty when the world is as it should be."""

    commit: Commit | None = None
    actions: tuple[Action, ...] = ()
    events: tuple[EventNote, ...] = ()
    look_again_at: datetime | None = None
    """When time alone can change the decision; None when only an event can."""
    waits_for_verification: bool = False
    """A verification is held back only by the namespace's limit: look again when a Job there ends."""
    asks_ledger: bool = False
    """What the ledger tells of the Model is needed and was not read yet: look again when it was."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.commit or self.actions or self.events)
