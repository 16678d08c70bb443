"""The status of a Model: what each stage serves, what wants to, what it could go back to, and how it came to be.

It is the operator's memory as well: the items of `stages` keep whatever the operator's present release writes
there (`OpenType`), and only what people and tools may rely on is described.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from modelyard.api.base import ApiType, OpenType, list_map
from modelyard.api.status import Conditions, Status


class Revision(OpenType):
    """Something the stage served, or is about to: frozen when built."""

    hash: str | None = None
    """Short hash of version, digest and pod template; ends the Deployment's name."""
    version: str | None = None
    """The version."""
    digest: str | None = None
    """Digest of its bytes."""
    place: int | None = None
    """Place of the request that brought it here."""
    request_id: str | None = None
    """The request that brought it here."""
    good: bool | None = None
    """Whether it carried the stage, passed its AfterTraffic gates, and was not undone or rolled away from since: only
    then one can go back to it."""
    served_from: datetime | None = None
    """When it took the stage."""
    served_until: datetime | None = None
    """When it was replaced."""
    warm_until: datetime | None = None
    """Until when its pods are kept running."""


class Replaced(OpenType):
    """What the stage served before, as far as gates compare with it."""

    hash: str | None = None
    """Hash of the revision."""
    version: str | None = None
    """The version."""
    digest: str | None = None
    """Digest of its bytes."""
    uri: str | None = None
    """Where its bytes lie."""


class Undo(OpenType):
    """Why a stage goes back."""

    reason: str | None = None
    """Why, as one CamelCase word."""
    message: str | None = None
    """What the gate said."""


class Current(OpenType):
    """The pointer of a stage."""

    version: str | None = None
    """The version that carries the stage."""
    digest: str | None = None
    """Digest of its bytes."""
    revision: str | None = None
    """Hash of the revision: version, digest and pod template together."""
    place: int | None = None
    """Place of the request that brought it here."""
    request_id: str | None = None
    """The request that brought it here; absent when nobody asks for this version any more."""
    sequence: int | None = None
    """The stage's counter, one more at each move."""
    since: datetime | None = None
    """When the pointer moved."""
    effective_since: datetime | None = None
    """Since when the Service's endpoints are only pods of this revision."""
    by: str | None = None
    """Who asked for it."""
    cause: str | None = None
    """Why the pointer moved: Promoted, RolledBack, Succeeded (its successor was withdrawn), Reconfigured or Undone."""
    replaced: Replaced | None = None
    """What the stage served before: AfterTraffic gates compare with it."""
    on_trial: bool | None = None
    """Whether its AfterTraffic gates have not all passed yet."""
    undo: Undo | None = None
    """Set when one of them said no: the stage goes back as soon as a good revision's pods are ready."""


class StageRequest(OpenType):
    """Somebody's standing wish that a version carries the stage."""

    id: str | None = None
    """Identity of the request."""
    source: str | None = None
    """Whose field it is: ModelVersion (spec.stage) or Model (spec.stages[].version)."""
    version: str | None = None
    """The version."""
    place: int | None = None
    """Place in the order of the stage's requests."""
    uid: str | None = None
    """Identity of the object that asks."""
    generation: int | None = None
    """Its generation that asked."""
    requested_by: str | None = None
    """Who asked."""
    requested_at: datetime | None = None
    """When it was asked."""
    reason: str | None = None
    """Why, in the requester's own words (the annotation modelyard.dev/reason)."""
    retry: str | None = None
    """The last value of modelyard.dev/retry seen while it was open."""
    retried_by: str | None = None
    """Who set that."""
    served: bool | None = None
    """Whether it ever carried the stage. How far one is that does not, the version's status.request says."""
    ended: str | None = None
    """How it ended: Failed, Rejected, RolledBack, Withdrawn or Superseded; absent while it stands."""
    ended_reason: str | None = None
    """Why it ended, as one CamelCase word."""
    ended_message: str | None = None
    """Why it ended, as a sentence."""
    ended_at: datetime | None = None
    """When it ended."""


class Candidate(OpenType):
    """A revision that tries to enter the stage."""

    version: str | None = None
    """The version."""
    digest: str | None = None
    """Digest of its bytes, once known."""
    revision: str | None = None
    """Hash of the revision, once built."""
    cause: str | None = None
    """What the move would be: as in `current.cause`."""
    step: str | None = None
    """How far it has come."""
    reason: str | None = None
    """Why it is there, as one CamelCase word."""
    message: str | None = None
    """Why it is there, as a sentence."""


class RollbackTarget(OpenType):
    """What a Rollback without toVersion would go back to."""

    version: str | None = None
    """The version."""
    revision: str | None = None
    """Hash of the revision."""
    warm: bool | None = None
    """Whether its pods are running: a rollback is then one write."""


class PendingRollback(OpenType):
    """A Rollback whose target's pods are starting; the present version serves on."""

    uid: str | None = None
    """Identity of the Rollback."""
    name: str | None = None
    """Name of the Rollback."""


class HandledRollback(OpenType):
    """A Rollback that has acted or was refused; it never acts again."""

    uid: str | None = None
    """Identity of the Rollback."""
    outcome: str | None = None
    """Applied or Refused."""


class Replicas(OpenType):
    """Pods of the stage's present revision."""

    wanted: int | None = None
    """How many there should be."""
    ready: int | None = None
    """How many are ready."""


class StageStatus(OpenType):
    """One stage."""

    name: str
    """Name of the stage."""
    current: Current | None = None
    """What the stage serves; absent until something did."""
    last_place: int | None = None
    """The place given to the newest request."""
    requests: list[StageRequest] | None = None
    """The requests for the stage, ended ones included until they are forgotten."""
    revisions: list[Revision] | None = None
    """The revisions that are kept."""
    candidates: list[Candidate] | None = None
    """What tries to enter the stage."""
    rollback: PendingRollback | None = None
    """A Rollback whose target's pods are starting."""
    handled_rollbacks: list[HandledRollback] | None = None
    """The Rollbacks that have acted or were refused."""
    rollback_target: RollbackTarget | None = None
    """What a Rollback without toVersion would go back to; absent when there is nothing."""
    endpoint: str | None = None
    """Where the stage is served inside the cluster: host and port."""
    paused: bool | None = None
    """Whether the stage's pointer is frozen."""
    suspended: bool | None = None
    """Whether the stage is scaled to zero on purpose."""
    replicas: Replicas | None = None
    """Pods of the stage's present revision."""


class Summary(ApiType):
    """The answers to the daily questions; the columns of `kubectl get models`."""

    live: str | None = None
    """The version at the last stage."""
    since: datetime | None = None
    """Since when."""
    stages: str | None = None
    """Every stage with its version, as in `staging=8,production=7`."""
    pending: str | None = None
    """What tries to enter a stage, as in `8 to production`."""
    reason: str | None = None
    """Why it is not there yet, or what is wrong, as one CamelCase word."""
    rollback: str | None = None
    """The version that a Rollback of the last stage would go back to, as in `6 (warm)`."""


class LedgerStatus(OpenType):
    """What is known of the Model's chain in the ledger, and what is still to be appended to it."""

    number: int | None = None
    """Number of the last record that is known to be in the chain. `modelyard ledger verify` takes it, with its hash, to
    tell whether the chain was cut or written anew since."""
    sha256: str | None = None
    """Hash of that record."""
    count: int | None = None
    """How many entries there ever were."""
    chain: str | None = None
    """The cluster that the chain is named after, where this cluster has taken it over from there."""
    recalled: int | None = None
    """The record up to which the stages were taken up from the ledger, because the status was lost."""
    outbox: list[dict[str, Any]] | None = None
    """Entries on their way to the ledger, oldest first. Each has: ordinal; entry, as in the record; and of one that
    tells of a version or an Approval that object's uid (subject) and the mark in its status.recorded."""
    deleted: list[str] | None = None
    """Uids of the ModelVersions whose deletion was told last, so that it is told once."""


class ModelStatus(Status):
    """What each stage serves and how it came to be. Written by the operator alone; a cache of the ledger where one is
    configured."""

    summary: Summary | None = None
    """The answers to the daily questions; the columns of `kubectl get models`."""
    stages: Annotated[list[StageStatus], Field(json_schema_extra=list_map("name"))] | None = None
    """Every stage: what it serves, what tries to enter it, what it could go back to."""
    transitions: list[dict[str, Any]] | None = None
    """The last 50 moves of a stage's pointer and other acts on a stage, oldest first; the last 10 where a ledger keeps
    them all. Each has: stage; type (Promoted, RolledBack, Succeeded, Reconfigured, Undone, Suspended, Resumed, Paused
    or Unpaused); sequence, the stage's counter after it; from and to, what the stage served before and after (version,
    digest, revision); by, who asked; reason and ticket, in the requester's words (of an Undone: what the gate said);
    requestedAt; at, when it was decided and recorded; effectiveAt, when the Service's endpoints followed."""
    ledger: LedgerStatus | None = None
    """What is known of the Model's chain in the ledger; absent until one is configured."""
    conditions: Conditions | None = None
    """Accepted: the spec is understood. Ready: every stage serves what it carries. RollbackReady: there is a warm
    version to go back to. LedgerSynced: the record is in the ledger. Waiting, in place of Ready: people have to say
    what a stage is to serve. Reconciling: a changed template is on its way. Stalled: what the spec itself asks for does
    not come about."""
