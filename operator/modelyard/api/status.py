"""What all statuses share: conditions and observedGeneration; and the statuses of ModelVersion, Approval and Rollback.

Values that the operator chooses from a fixed set are plain strings here, not enums: a status with a word that an
older CRD does not list would be refused, and the operator could write nothing at all.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from modelyard.api.base import MAP_TYPE, ApiType, OpenType, list_map
from modelyard.api.signatures import SignatureStatus

UNSEEN = -1
"""observedGeneration of an object that was just made: without one, kstatus would take it to be as it should."""


class Condition(ApiType):
    """One aspect of an object's state. True is good, but for Reconciling, Stalled and Waiting, which are there only
    while they are True."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """The aspect; unique in the list."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, as one CamelCase word; listed in the reference."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, as a sentence that says what to do where something is to be done."""
    last_transition_time: datetime
    """When the status changed last."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the object that this was found at."""


Conditions = Annotated[list[Condition], Field(json_schema_extra=list_map("type"))]


class Status(ApiType):
    """What every status has. The operator alone writes it, always as a whole: it has one owner, not one a field."""

    model_config = ConfigDict(json_schema_extra={MAP_TYPE: "atomic"})

    observed_generation: Annotated[int, Field(ge=UNSEEN)] | None = None
    """The generation of the object that this status was derived from; -1 until the operator has seen the object."""


class HeldStage(ApiType):
    """A stage that the version carries."""

    name: str
    """Name of the stage."""
    since: datetime | None = None
    """Since when it carries it."""


class ArtifactWarning(ApiType):
    """Something about the artifact that does not keep it from being served."""

    reason: str
    """What it is, as one CamelCase word."""
    message: str
    """What it is, as a sentence."""


class PinnedObject(ApiType):
    """An object of the store as it was when verified."""

    path: str
    """Path relative to the artifact's root."""
    version_id: str | None = None
    """The store's version of the object; fetched by it ever after."""


class ArtifactStatus(OpenType):
    """What was found at the artifact's uri."""

    size_bytes: int | None = None
    """Size of all files together."""
    file_count: int | None = None
    """Number of files."""
    format: str | None = None
    """Format of the files."""
    objects: list[PinnedObject] | None = None
    """The store's versions of the files, where the store keeps versions."""
    warnings: list[ArtifactWarning] | None = None
    """What is noteworthy about the files, such as pickles."""
    signature: SignatureStatus | None = None
    """Who signed the files."""


class Verification(OpenType):
    """The reading of the artifact's bytes, by a Job in the namespace."""

    state: str | None = None
    """Pending, Running, Passed or Failed."""
    attempt: int | None = None
    """Number of the attempt; a cause that may pass (a store that is down) is tried again."""
    for_request: str | None = None
    """The request whose asking made it run again."""
    started_at: datetime | None = None
    """When the last attempt began."""
    finished_at: datetime | None = None
    """When the last attempt ended."""
    next_attempt_at: datetime | None = None
    """When it is tried again."""
    reason: str | None = None
    """Why it is in this state, as one CamelCase word."""
    message: str | None = None
    """Why it is in this state, as a sentence that says what to do."""


class RequestStatus(OpenType):
    """The wish that the version carries a stage, and how far it has come."""

    id: str | None = None
    """Identity of the request: a new one is made by editing spec.stage or the annotation modelyard.dev/request."""
    stage: str | None = None
    """The stage asked for."""
    generation: int | None = None
    """The object's generation that asked."""
    place: int | None = None
    """Place in the order of the stage's requests; the newest that passes wins."""
    step: str | None = None
    """How far it has come: Queued, Verifying, Held, Checking (its gates), AwaitingApproval, Deploying, Switching,
    Serving or StandingBy; or how it ended: Failed, Rejected, RolledBack, Withdrawn or Superseded."""
    reason: str | None = None
    """Why it is at this step, as one CamelCase word."""
    message: str | None = None
    """Why it is at this step, as a sentence that says what to do."""
    requested_by: str | None = None
    """Who asked."""
    requested_at: datetime | None = None
    """When it was asked."""
    retry: str | None = None
    """The last value of modelyard.dev/retry seen; another one makes a request anew that has Failed."""
    retried_by: str | None = None
    """Who set that."""
    since: datetime | None = None
    """Since when it is at this step."""
    overtaken_by: str | None = None
    """Of a request that Failed, was Rejected or RolledBack: the version that was asked for next at this stage. Absent
    as long as nobody asked for another."""


class CheckResult(OpenType):
    """What one check of a gate said."""

    expression: str | None = None
    """The check."""
    result: str | None = None
    """Passed, Failed, Error (no answer) or Skipped (it compares with an incumbent and there is none)."""
    message: str | None = None
    """The numbers it was judged by, or why there is no answer."""


class GateResult(OpenType):
    """What a gate said about the version. It holds for the digest, for the gate as it was then and, where the gate
    looks at these, for the revision and the incumbent; when one of them changes the gate is asked again."""

    stage: str | None = None
    """The stage the gate belongs to."""
    name: str | None = None
    """Name of the gate."""
    when: str | None = None
    """BeforeDeploy, BeforeTraffic or AfterTraffic."""
    result: str | None = None
    """Pending, Running, Passed, Failed (a check is false), Error (no answer) or Skipped (nothing to compare with)."""
    reason: str | None = None
    """Why, as one CamelCase word."""
    message: str | None = None
    """What it said, with numbers, or what it waits for."""
    attempt: int | None = None
    """Number of the attempt; one that gives no answer is repeated as often as the gate's job says."""
    retry: str | None = None
    """The value of modelyard.dev/retry that it was asked under."""
    retried_by: str | None = None
    """Who set that."""
    key: str | None = None
    """Hash of the gate as it was, and of the declared metrics where it looks at these."""
    digest: str | None = None
    """Digest of the version's bytes."""
    revision: str | None = None
    """The revision whose pods were asked; absent for a gate that asks none."""
    incumbent_version: str | None = None
    """The version that it was compared with, where the gate compares and there was one."""
    incumbent_digest: str | None = None
    """Digest of that version's bytes."""
    job: str | None = None
    """Name of its Job, which stays for ten minutes after the result was recorded."""
    started_at: datetime | None = None
    """When the Job was made."""
    finished_at: datetime | None = None
    """When the answer was found."""
    next_attempt_at: datetime | None = None
    """When it is tried again."""
    checks: list[CheckResult] | None = None
    """What each check said."""
    candidate: dict[str, Any] | None = None
    """The version's numbers."""
    incumbent: dict[str, Any] | None = None
    """The incumbent's numbers."""


class IgnoredApproval(OpenType):
    """An Approval that does not count."""

    name: str
    """Name of the Approval."""
    by: str | None = None
    """Who made it, where that is known."""
    reason: str | None = None
    """Why it does not count, as one CamelCase word; its own status says it as a sentence."""


class ApprovalCount(OpenType):
    """Whose consent the request has, at the first stage on its way that still wants some."""

    stage: str | None = None
    """The stage that the approvals are for."""
    required: int | None = None
    """How many distinct people have to approve."""
    approved_by: list[str] | None = None
    """Who approved so far."""
    missing: int | None = None
    """How many more people have to approve."""
    expired: list[str] | None = None
    """Whose consent has expired and was not renewed."""
    ignored: list[IgnoredApproval] | None = None
    """Approvals that do not count, the newest ten."""
    command: str | None = None
    """The line that approves, to be copied into a shell."""


class ModelVersionStatus(Status):
    """What was found out about the version, and where it is. Written by the operator alone."""

    digest: str | None = None
    """Digest of the version's bytes, pinned when they were first read; whoever fetches them checks it again."""
    stage: str | None = None
    """The furthest stage the version carries; `archived` once it carried one and carries none any more; else `none`."""
    stages: Annotated[list[HeldStage], Field(json_schema_extra=list_map("name"))] | None = None
    """All stages that the version carries."""
    artifact: ArtifactStatus | None = None
    """What was found at the artifact's uri."""
    verification: Verification | None = None
    """The reading of the artifact's bytes, by a Job in the namespace."""
    request: RequestStatus | None = None
    """The present wish that the version carries a stage, or the last one, and how far it has come."""
    gates: list[GateResult] | None = None
    """What the gates said about the version."""
    approvals: ApprovalCount | None = None
    """Whose consent the request has."""
    recorded: list[str] | None = None
    """What the ledger was told of the version, where one is configured."""
    conditions: Conditions | None = None
    """Verified: the bytes were read and are what they should be. And how the version stands as a whole, each with the
    same reason: Ready: what was asked for is so. Reconciling: the operator works on it. Stalled: the newest request for
    the stage Failed, was Rejected or RolledBack. Waiting: none of these; people, other objects or a later request
    decide."""


class ApprovalStatus(Status):
    """Whether the Approval counts. Written by the operator alone."""

    by: str | None = None
    """Who made it, where the admission policies say so."""
    recorded: list[str] | None = None
    """What the ledger was told of the Approval, where one is configured."""
    conditions: Conditions | None = None
    """Counted: the verdict counts for the version's request; otherwise why not. An Approval is an answer to others and
    has nothing to get to, so it has no Ready."""


class RollbackStatus(Status):
    """What became of the Rollback. Written by the operator alone."""

    outcome: str | None = None
    """Pending, Applied or Refused. Applied and Refused are final."""
    from_version: str | None = None
    """The version that carried the stage before."""
    to_version: str | None = None
    """The version that the stage went back to."""
    sequence: int | None = None
    """The stage's counter after the move."""
    by: str | None = None
    """Who asked."""
    applied_at: datetime | None = None
    """When the stage moved."""
    conditions: Conditions | None = None
    """Applied: the stage went back; otherwise why not. Ready: the same, for tools. Reconciling: it is about to.
    Stalled: it was refused, and there is something to be done about that. Waiting: it was refused, and there is not."""
