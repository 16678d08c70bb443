"""What a Model remembers between decisions: per stage its pointer, its requests and its revisions.

It lives in the Model's status and is written by one compare-and-set. Everything else (Services, Deployments,
the statuses of versions and Rollbacks) is derived from it and from what is observed, so it may be lost at any
moment and is made again.

A request goes through:

    placed -> verifying -> checking -> deploying -> approved -> serving -> standing by -> serving ...
       \\_________\\___________\\___________\\___________\\__________\\____________\\__________ ended (never resumes)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.api import codec

TRANSITIONS_KEPT = 50
"""As long as no ledger keeps them all."""
TRANSITIONS_BESIDE_LEDGER = 10
"""Where one does: what is written at every commit is waited for by every rollback."""
ENDED_REQUESTS_KEPT = 10
OPEN_REQUESTS_KEPT = 200
"""Never-served requests a stage works through; with them a status stays far below what etcd takes."""
ROLLBACKS_KEPT = 10
VOIDED_KEPT = 200


class Step(StrEnum):
    """How far a request has come."""

    QUEUED = "Queued"
    VERIFYING = "Verifying"
    HELD = "Held"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    DEPLOYING = "Deploying"
    SWITCHING = "Switching"
    SERVING = "Serving"
    STANDING_BY = "StandingBy"
    FAILED = "Failed"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    WITHDRAWN = "Withdrawn"
    SUPERSEDED = "Superseded"


ENDED = frozenset({Step.FAILED, Step.REJECTED, Step.ROLLED_BACK, Step.WITHDRAWN, Step.SUPERSEDED})


class Cause(StrEnum):
    """Why a stage's pointer moved, or what else was recorded of a stage."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUCCEEDED = "Succeeded"
    RECONFIGURED = "Reconfigured"
    UNDONE = "Undone"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    PAUSED = "Paused"
    UNPAUSED = "Unpaused"


@dataclass(frozen=True)
class Standing:
    """Where an open request stands, for people to read."""

    step: Step
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Request:
    """A standing wish that a version carries the stage."""

    id: str
    version: str
    place: int
    source: str = "ModelVersion"
    """Whose field it is: ModelVersion (its stage) or Model (the stage's version)."""
    uid: str = ""
    generation: int = 0
    requested_by: str = ""
    requested_at: datetime | None = None
    reason: str = ""
    """The requester's own words (annotation modelyard.dev/reason)."""
    retry: str = ""
    """The last value of modelyard.dev/retry seen while it was open; another one makes a Failed request anew."""
    retried_by: str = ""
    served: bool = False
    """Whether it ever carried the stage."""
    ended: str = ""
    ended_reason: str = ""
    ended_message: str = ""
    ended_at: datetime | None = None
    recorded: bool | None = None
    """Whether its end was put into the outbox."""

    @property
    def is_open(self) -> bool:
        """Whether it can still carry the stage."""
        return not self.ended

    @property
    def attempt_id(self) -> str:
        """Identity of the attempt: the same request, retried, is another attempt."""
        return f"{self.id}~{self.retry}" if self.retry else self.id

    def end(self, step: Step, reason: str, message: str, now: datetime) -> "Request":
        """The same request, ended; one that ended before stays as it was."""
        if self.ended:
            return self
        return replace(self, ended=step.value, ended_reason=str(reason), ended_message=message, ended_at=now)


@dataclass(frozen=True)
class Revision:
    """What a stage points at: version, digest and pod template, frozen when built."""

    hash: str
    version: str
    digest: str
    uri: str = ""
    place: int = 0
    request_id: str = ""
    sequence: int = 0
    """The stage's counter when it last took the stage."""
    good: bool = False
    """Whether it carried the stage, passed its AfterTraffic gates, and was not undone or rolled away from since."""
    served_from: datetime | None = None
    served_until: datetime | None = None
    warm_until: datetime | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    """The pod template as the ledger has it, without values of environment variables. Only of a revision that was
    taken up from there; the others' Deployments exist."""


@dataclass(frozen=True)
class Undo:
    """Why a stage is to go back to its last good revision."""

    reason: str
    message: str


@dataclass(frozen=True)
class Current:
    """The pointer of a stage."""

    version: str
    digest: str
    revision: str
    place: int
    sequence: int
    since: datetime
    request_id: str = ""
    """Empty when nobody's request stands behind it (a rollback to a version nobody asks for)."""
    effective_since: datetime | None = None
    by: str = ""
    cause: str = Cause.PROMOTED.value
    held_revision: str = ""
    """A revision that the present template would make of this version and that is not to be tried (again)."""
    held_reason: str = ""
    held_message: str = ""
    replaced: Revision | None = None
    """What the stage served before: the incumbent that AfterTraffic gates compare with."""
    on_trial: bool = False
    """Whether its AfterTraffic gates have not all passed yet; it is good once they have."""
    undo: Undo | None = None
    """Set when one of them said no. The stage goes back as soon as a good revision's pods are ready; with none it
    serves on."""


@dataclass(frozen=True)
class PendingRollback:
    """An accepted Rollback whose target's pods are starting."""

    uid: str
    name: str
    place: int
    target: str
    """Hash of the revision to go back to."""
    accepted_at: datetime
    explicit: bool = False
    """Whether the target was named; an unnamed one may give way to the next good one."""
    failed: tuple[str, ...] = ()
    """Hashes of targets that could not be started."""
    by: str = ""
    reason: str = ""
    ticket: str = ""


@dataclass(frozen=True)
class HandledRollback:
    """A Rollback that has acted or was refused; it never acts again, whatever becomes of its own status."""

    uid: str
    outcome: str
    reason: str
    message: str
    from_version: str = ""
    to_version: str = ""
    sequence: int = 0
    at: datetime | None = None


@dataclass(frozen=True)
class Voided:
    """Approvals of a version that was rejected or rolled back do not count when made up to that moment."""

    at: datetime
    step: str
    """Rejected or RolledBack."""
    version: str = ""
    """Empty: any version. Stands for the oldest entries when there are too many."""


@dataclass(frozen=True)
class BytesCheck:
    """The last daily look whether a cold rollback target's bytes still exist."""

    revision: str
    at: datetime
    ok: bool = False
    message: str = ""


@dataclass(frozen=True)
class StageState:
    """All that is remembered of one stage."""

    name: str
    current: Current | None = None
    sequence: int = 0
    last_place: int = 0
    requests: tuple[Request, ...] = ()
    revisions: tuple[Revision, ...] = ()
    rollback: PendingRollback | None = None
    handled_rollbacks: tuple[HandledRollback, ...] = ()
    recalled_rollbacks: tuple[str, ...] = ()
    """Names of Rollbacks that have acted by what the ledger says: if one is brought back, it has another uid."""
    voided: tuple[Voided, ...] = ()
    """Outlives requests, versions and Rollbacks: the Approvals do too."""
    bytes_check: BytesCheck | None = None
    paused: bool = False
    suspended: bool = False
    replicas_before_suspend: int | None = None

    def request(self, request_id: str) -> Request | None:
        """The request of that id, if remembered."""
        return next((r for r in self.requests if r.id == request_id), None)

    def revision(self, revision_hash: str) -> Revision | None:
        """The revision of that hash, if kept."""
        return next((r for r in self.revisions if r.hash == revision_hash), None)

    def with_request(self, request: Request) -> "StageState":
        """The same stage with that request replaced."""
        return replace(self, requests=tuple(request if r.id == request.id else r for r in self.requests))

    def with_revision(self, revision: Revision) -> "StageState":
        """The same stage with that revision added or replaced."""
        others = tuple(r for r in self.revisions if r.hash != revision.hash)
        return replace(self, revisions=(*others, revision))

    @property
    def serves_on(self) -> Current | None:
        """What it goes on serving when it is taken out of the spec. Who means to end it suspends it first."""
        return None if self.suspended else self.current

    @property
    def open_requests(self) -> tuple[Request, ...]:
        """Requests that can still carry the stage."""
        return tuple(r for r in self.requests if r.is_open)


@dataclass(frozen=True)
class Pointed:
    """One side of a transition."""

    version: str
    digest: str
    revision: str


@dataclass(frozen=True)
class Transition:
    """A line of the Model's history."""

    stage: str
    type: str
    at: datetime
    sequence: int = 0
    from_: Pointed | None = None
    to: Pointed | None = None
    by: str = ""
    reason: str = ""
    ticket: str = ""
    requested_at: datetime | None = None
    effective_at: datetime | None = None


@dataclass(frozen=True)
class LedgerState:
    """What is remembered of the Model's chain in the ledger; see `outbox`."""

    number: int = 0
    """The last record that is known to be in the chain."""
    sha256: str = ""
    count: int = 0
    """How many entries were ever put into the outbox."""
    chain: str = ""
    """The cluster that the chain is named after, where that is another one."""
    recalled: int | None = None
    """The record up to which the state was taken up from the chain. From then on it is asked about every version that
    is new here: its request may have ended before."""
    outbox: tuple[Mapping[str, Any], ...] = ()
    """Entries that are not known to be in the chain, oldest first: ordinal and entry and, of one that tells of a
    version or an Approval, that object's uid (subject) and the mark in its status."""
    deleted: tuple[str, ...] = ()
    """Uids of the versions whose deletion was told last, newest last: another process may hear of it later."""


@dataclass(frozen=True)
class ModelState:
    """All that is remembered of one Model."""

    stages: Mapping[str, StageState] = field(default_factory=dict)
    transitions: tuple[Mapping[str, Any], ...] = ()
    """The history as it is written, newest last: it is long, grows at its end only and is seldom looked into."""
    ledger: LedgerState | None = None
    """None until a ledger is configured."""

    @classmethod
    def parse(cls, status: Mapping[str, Any]) -> "ModelState":
        """Read the state out of a Model's status."""
        stages = (codec.load(StageState, item) for item in status.get("stages") or ())
        ledger = codec.load(LedgerState, status["ledger"]) if "ledger" in status else None
        return cls({stage.name: stage for stage in stages}, tuple(status.get("transitions") or ()), ledger)

    def with_stage(self, stage: StageState) -> "ModelState":
        """The same Model with that stage replaced."""
        return replace(self, stages={**self.stages, stage.name: stage})

    def record(self, transition: Transition) -> "ModelState":
        """The same Model with one more line of history."""
        kept = TRANSITIONS_KEPT if self.ledger is None else TRANSITIONS_BESIDE_LEDGER
        return replace(self, transitions=(*self.transitions, codec.dump(transition))[-kept:])
