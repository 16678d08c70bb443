"""What a decision is made on: everything known about one Model at one moment.

`observe` builds it from its cache; `decide` reads it and nothing else. Objects are plain dicts, as the API
server gave them, and are never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelyard.ledger.memory import Memory

Obj = Mapping[str, Any]


@dataclass(frozen=True)
class HelperPods:
    """How the operator's own containers run in the namespaces of Models (verify, fetch, check)."""

    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    resources: Obj = field(default_factory=dict)
    tolerations: tuple[Obj, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    run_as_user: int | None = 65532


@dataclass(frozen=True)
class Settings:
    """What of the operator's settings decisions look at: part of every Snapshot."""

    helper: HelperPods
    admission: bool = False
    shared_accounts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LedgerSeen:
    """How far a Model's record has come in the ledger that is configured."""

    operator: str = ""
    """The operator's version, as records tell it."""
    cluster: str = ""
    """The name under which this cluster writes."""
    appended: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    """Entries of the outbox that are in the chain, by ordinal: number and sha256 of the record."""
    reason: str = ""
    problem: str = ""
    """Why the chain cannot be read or appended to now, for a person to read; empty when it can."""
    memory: Memory | None = None
    """What the chain tells of the Model. None as long as it was not read: only a Plan that asks for it has it read."""


@dataclass(frozen=True)
class Snapshot:
    """One Model with its versions and everything made for it."""

    namespace: str
    name: str
    model: Obj | None
    """None when there is no such Model (it was deleted, or its versions came first)."""
    versions: Mapping[str, Obj] = field(default_factory=dict)
    """ModelVersions whose state can still change, by object name; settled ones may be left out."""
    deleted: tuple[Obj, ...] = ()
    """ModelVersions that were deleted since the Model's status was written, as far as somebody watched."""
    rollbacks: tuple[Obj, ...] = ()
    """Rollbacks of this Model without a final Applied condition, and those just changed."""
    approvals: tuple[Obj, ...] = ()
    """Approvals of the versions above, and those just changed."""
    deployments: Mapping[str, Obj] = field(default_factory=dict)
    jobs: Mapping[str, Obj] = field(default_factory=dict)
    services: Mapping[str, Obj] = field(default_factory=dict)
    configmaps: Mapping[str, Obj] = field(default_factory=dict)
    pods: tuple[Obj, ...] = ()
    endpointslices: tuple[Obj, ...] = ()
    conflicts: frozenset[tuple[str, str]] = frozenset()
    """(kind, name) of needed names that were found taken by objects that are not ours."""
    refusals: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) of objects that the API server refused to make, and its words."""
    free_verifications: int = 4
    """How many more verification Jobs may run in the namespace now."""
    helper: HelperPods = field(default_factory=lambda: HelperPods(image="modelyard"))
    admission: bool = False
    """Whether the admission policies are installed: only then it is known who made an Approval or a request."""
    shared_accounts: frozenset[str] = frozenset()
    """Names of users that stand for many people, such as a GitOps tool's."""
    ledger: LedgerSeen | None = None
    """None when no ledger is configured."""
    clock_set_forth_at: datetime | None = None
    """When the clock was last seen to be set forth; what began before has not lasted as long as it looks."""
