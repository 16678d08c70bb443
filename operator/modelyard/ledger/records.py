"""What a record says. Whoever reads one in ten years has this text, the record, and neither cluster nor operator.

A record is one JSON object: the *entry*, which the operator commits in the Model's status together with what
happened, and the *seal*, which is added when the entry is appended to its chain:

    seal    schema, cluster, namespace, model, number, previous; key and signature where records are signed
    entry   type, at, and whatever of the fields of `Entry` applies

Rules that keep old records readable: fields are added, never renamed, given another meaning or another unit; times
are RFC 3339 in UTC; an absent field means "not known" or "does not apply", never zero. Readers ignore what they do
not know. `decide` makes entries, `writing` seals them, `asof` reads them. Pure: no IO here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.api import codec
from modelyard.ledger.canonical import canonical, sha256_of

SCHEMA = "modelyard.dev/ledger/v1"
SEAL = ("schema", "cluster", "namespace", "model", "number", "previous", "key", "signature")
LATER = ("effectiveAt", "operator")
"""Fields that do not tell one entry from another: it may get them after it was committed, or be committed once more,
by a newer operator, when a status was lost."""
NOTHING_BEFORE = "sha256:" + "0" * 64
"""`previous` of a chain's first record."""


class RecordType(StrEnum):
    """What happened."""

    PROMOTED = "Promoted"
    """The stage moved to a version that was asked for and passed everything."""
    ROLLED_BACK = "RolledBack"
    """The stage moved back because a Rollback asked for it."""
    SUCCEEDED = "Succeeded"
    """The request of what served was withdrawn, and the last good version took over."""
    UNDONE = "Undone"
    """The stage moved back because a gate failed after the switch."""
    RECONFIGURED = "Reconfigured"
    """The same version serves with another pod template."""
    ADOPTED = "Adopted"
    """Another cluster took the chain over; its records follow."""
    SUSPENDED = "Suspended"
    """The stage was scaled to zero on purpose: nothing serves."""
    RESUMED = "Resumed"
    """The stage serves again what it served before it was suspended."""
    PAUSED = "Paused"
    """The stage's version was frozen for all but rollback and undo."""
    UNPAUSED = "Unpaused"
    """The freeze was lifted."""
    REGISTERED = "Registered"
    """A version was registered."""
    VERIFIED = "Verified"
    """A version's bytes were read, and are what they should be; the digest is pinned."""
    APPROVED = "Approved"
    """A person approved a version for a stage."""
    REJECTED = "Rejected"
    """A person rejected a version for a stage."""
    FAILED = "Failed"
    """A version did not get to a stage, or its bytes were not what they should be."""
    WITHDRAWN = "Withdrawn"
    """The wish that a version carries a stage was taken back."""
    DELETED = "Deleted"
    """A Model or a version was deleted from the cluster."""
    CONFIRMED = "Confirmed"
    """What had taken the stage passed its AfterTraffic gates, and can be gone back to from then on."""


MOVES = frozenset(
    {
        RecordType.PROMOTED, RecordType.ROLLED_BACK, RecordType.SUCCEEDED, RecordType.UNDONE,
        RecordType.RECONFIGURED, RecordType.ADOPTED,
    }
)  # fmt: skip
"""Types that say what a stage serves from then on: `to`."""


@dataclass(frozen=True)
class Pointed:
    """What a stage serves."""

    version: str
    digest: str = ""
    revision: str = ""
    """Hash of version, digest and pod template together."""
    since: datetime | None = None
    """Since when, for what served before."""


@dataclass(frozen=True)
class Version:
    """What is known of a version: where it came from and what it is."""

    version: str
    uid: str = ""
    digest: str = ""
    uri: str = ""
    size_bytes: int | None = None
    file_count: int | None = None
    files: tuple[Mapping[str, Any], ...] = ()
    """Of Verified: each file that was read, with its path, sha256 and size; empty where there are too many. The digest
    is over all of them. Files that were declared are in `spec`."""
    format: str = ""
    signature: Mapping[str, Any] = field(default_factory=dict)
    """Who was found to have signed the files: `by`, `method`, `fingerprint`, `subject`, `uri`."""
    created_at: datetime | None = None
    requested_by: str = ""
    """Who registered it, where that is known."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The ModelVersion's spec: author, source, run, pipeline, datasets, baseModels, hyperparameters, metrics,
    dependencies, declared files. Without values of environment variables, which may be secret."""
    omitted: tuple[str, ...] = ()
    """Fields of the spec that were too long to be recorded."""


ASKED_ANEW = "it was asked for anew (modelyard.dev/request)"
"""The message of a Withdrawn that makes room for another request of the same version. Chains are read by it (`memory`),
so it stays as it is."""


@dataclass(frozen=True)
class Request:
    """Who wanted it, and why."""

    by: str = ""
    at: datetime | None = None
    reason: str = ""
    change: str = ""
    """The Git commit or pipeline that the requester named; not verified."""
    ticket: str = ""
    source: str = ""
    """The object that asked: a ModelVersion, the Model, or a Rollback, with its name."""
    id: str = ""
    """Identity of the request: uid and generation of the object, and its annotation modelyard.dev/request."""


@dataclass(frozen=True)
class Ended:
    """A request that ended unserved, or because of a Rollback, by the time of a move."""

    version: str
    outcome: str
    """RolledBack or Superseded. Requests that failed, were rejected or withdrawn have records of their own."""
    id: str = ""
    """Identity of the request."""


@dataclass(frozen=True)
class Gate:
    """What a gate said, with the numbers that it judged."""

    stage: str
    name: str
    result: str
    when: str = ""
    reason: str = ""
    message: str = ""
    attempt: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    incumbent_version: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    candidate: Mapping[str, Any] = field(default_factory=dict)
    incumbent: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Approval:
    """One person's verdict on one version's bytes at one stage."""

    name: str
    """Name of the Approval."""
    by: str
    decision: str = "Approve"
    stage: str = ""
    version: str = ""
    digest: str = ""
    at: datetime | None = None
    comment: str = ""
    uid: str = ""


@dataclass(frozen=True)
class Entry:
    """What happened, as it is committed; see the module for how to read it."""

    type: str
    at: datetime
    """When it was decided and committed. For what was only observed: when it happened, if that is known."""
    uid: str = ""
    """The Model's; tells a Model from a later one of the same name."""
    operator: str = ""
    """The operator's version."""
    stage: str = ""
    sequence: int | None = None
    """The stage's counter of moves."""
    from_: Pointed | None = None
    to: Pointed | None = None
    version: Version | None = None
    """The version that it is about."""
    request: Request | None = None
    approvals: tuple[Approval, ...] = ()
    """The approvals that counted; for Approved and Rejected, the one."""
    gates: tuple[Gate, ...] = ()
    reason: str = ""
    """Why, as one CamelCase word."""
    message: str = ""
    """Why, as a sentence."""
    endpoint: str = ""
    """Where the stage is served inside the cluster."""
    effective_at: datetime | None = None
    """When all traffic went to `to`, where that was known in time."""
    place: int | None = None
    """Of a move: the place of `to` in the stage's order. The newest that passes wins; one goes back to lower ones."""
    template: Mapping[str, Any] = field(default_factory=dict)
    """Of Promoted and Reconfigured: the pod template that `to` is served with, as it was written. Without values of
    environment variables, which may be secret; `to.revision` vouches for them."""
    on_trial: bool | None = None
    """Whether AfterTraffic gates still have to pass; Confirmed says when they did."""
    held: str = ""
    """After a move back: the revision that the template of that time made of the version, and that was not applied."""
    ended: tuple[Ended, ...] = ()
    """Of a move: the requests that ended at the stage with it, or since the move before."""


@dataclass(frozen=True)
class Record(Entry):
    """An entry in its chain."""

    schema: str = SCHEMA
    cluster: str = ""
    namespace: str = ""
    model: str = ""
    number: int = 0
    """Position in the chain, from 1."""
    previous: str = NOTHING_BEFORE
    """`sha256:` and the SHA-256 of the bytes of the record before."""
    key: str = ""
    """Name of the key that it is signed with: `ed25519:` and 16 hex digits of the SHA-256 of the public key."""
    signature: str = ""
    """Ed25519 over the record's canonical JSON without this field, in Base64."""


@dataclass(frozen=True)
class Head:
    """How far a chain goes: the last record's number and hash."""

    number: int
    sha256: str


START = Head(0, NOTHING_BEFORE)
"""Of a chain without records."""


def load_record(document: Mapping[str, Any]) -> Record:
    """Read a record. Raises ValueError when the document cannot be one."""
    try:
        return codec.load(Record, document)
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"not a record: {error}") from error


def identity(document: Mapping[str, Any]) -> str:
    """What tells an entry from every other, sealed or not: the hash of what was committed.

    What happens only once is known by what it happened to. It may be seen again, by another process or because the
    status that knew of it was lost, and is then told at another moment.
    """
    told = _once(document) or {key: item for key, item in document.items() if key not in (*SEAL, *LATER)}
    return sha256_of(canonical(told))


def _once(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """What says all of an entry that there is once; None for others, and where it does not say enough."""
    about: tuple[Any, ...]
    match document.get("type"):
        case RecordType.DELETED:
            version = document.get("version") or {}
            about = (version.get("version"), version.get("uid"))
        case RecordType.CONFIRMED:
            about = (document.get("stage"), document.get("to"))
        case RecordType.WITHDRAWN if (document.get("request") or {}).get("id"):
            about = (document.get("stage"), document["request"]["id"])
        case _:
            return None
    return {"type": document["type"], "uid": document.get("uid"), "about": list(about)}
