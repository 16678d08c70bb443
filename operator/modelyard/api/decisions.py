"""The specs of an Approval and a Rollback: what a person decides about a version, once."""

from typing import Literal

from modelyard.api.base import ApiType, Digest, Immutable, Line, ModelName, StageName, Text, VersionName


class ApprovalSpec(ApiType):
    """One person's verdict on one version's bytes at one stage. Fixed at creation."""

    immutable = Immutable("create a new Approval instead")

    model: ModelName
    """Name of the Model, in the same namespace."""
    version: VersionName
    """The version that is judged."""
    stage: StageName
    """The stage it is judged for."""
    digest: Digest
    """The version's digest (its status.digest): the verdict is about these bytes and no others."""
    decision: Literal["Approve", "Reject"]
    """Approve counts towards what the stage requires; one Reject ends the request."""
    comment: Text | None = None
    """Why; copied into the record."""


class RollbackSpec(ApiType):
    """Move a stage back to a version that was good there. Acts once; fixed at creation."""

    immutable = Immutable("create a new Rollback instead")

    model: ModelName
    """Name of the Model, in the same namespace."""
    stage: StageName
    """The stage to move."""
    to_version: VersionName | None = None
    """The version to go back to, which must have been good at this stage. Default: the good one placed last before the
    present one."""
    reason: Text | None = None
    """Why; copied into the record."""
    ticket: Line | None = None
    """The incident or change it belongs to; copied into the record."""
