"""The four kinds, as `kubectl` shows them: names, columns, selectable fields and the rules over whole objects.

`crd` makes the CRDs of it, `reference` the reference page.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from modelyard.api.base import MODEL_NAME, MODEL_NAME_LIMIT, MODEL_NAME_MESSAGE, ApiType, Rule
from modelyard.api.decisions import ApprovalSpec, RollbackSpec
from modelyard.api.model import ModelSpec
from modelyard.api.model_status import ModelStatus
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.api.names import API_VERSION
from modelyard.api.status import ApprovalStatus, ModelVersionStatus, RollbackStatus


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; a wide one is shown by `--output=wide` only."""

    name: str
    path: str
    description: str
    type: Literal["string", "date", "integer"] = "string"
    wide: bool = False


@dataclass(frozen=True)
class Names:
    """What a kind is called."""

    plural: str
    short: str

    @property
    def singular(self) -> str:
        """`modelversion` of `modelversions`."""
        return self.plural.removesuffix("s")


class Kind(ApiType):
    """An object as a whole."""

    names: ClassVar[Names]
    columns: ClassVar[tuple[Column, ...]]
    selectable: ClassVar[tuple[str, ...]] = ()

    api_version: str = API_VERSION
    """Group and version of the API: modelyard.dev/v1alpha1."""
    kind: str
    """Kind of the object."""
    metadata: dict[str, Any]
    """Standard object's metadata."""


_AGE = Column("Age", ".metadata.creationTimestamp", "When the object was created.", "date")

_AS_A_WHOLE = ".status.conditions[?(@.type!='Verified')]"
"""How a ModelVersion stands as a whole: Ready, Reconciling, Stalled or Waiting, which all say the same."""

_NO_SERVICE_TWICE = Rule(
    # A concatenation with metadata.name would exceed the budget of a rule: its length is not known beforehand.
    "!has(self.spec.stages) || self.spec.stages.all(a, !has(a.serving) || !has(a.serving.serviceName) || "
    "self.spec.stages.all(b, a.name == b.name || has(b.serving) && has(b.serving.serviceName) || "
    "!a.serving.serviceName.endsWith('-' + b.name) || self.metadata.name != "
    "a.serving.serviceName.substring(0, a.serving.serviceName.size() - b.name.size() - 1)))",
    "each stage has a Service of its own; one stage's serving.serviceName is another's default, <model>-<stage>",
    ".spec.stages",
)


class Model(Kind):
    """A machine-learning model: who owns it, how it is served, and the stages that its versions go through."""

    names = Names("models", "mdl")
    columns = (
        Column("Live", ".status.summary.live", "The version at the last stage."),
        Column("Since", ".status.summary.since", "Since when.", "date"),
        Column("Stages", ".status.summary.stages", "Every stage with its version."),
        Column("Pending", ".status.summary.pending", "What tries to enter a stage."),
        Column("Reason", ".status.summary.reason", "Why it is not there yet, or what is wrong."),
        Column("Rollback", ".status.summary.rollback", "The version that a Rollback would go back to."),
        Column("Team", ".spec.owner.team", "The team that owns the model.", wide=True),
        Column("Age", ".metadata.creationTimestamp", "When the object was created.", "date", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.size() <= {MODEL_NAME_LIMIT} && self.metadata.name.matches('{MODEL_NAME}')",
            f"metadata.name: {MODEL_NAME_MESSAGE}",
        ),
        _NO_SERVICE_TWICE,
    )

    spec: ModelSpec
    """What the owners of the model ask for."""
    status: ModelStatus | None = None
    """What each stage serves and how it came to be. Written by the operator alone."""


class ModelVersion(Kind):
    """One build of a Model: where its bytes lie, what it was made of, and the stage it is wanted at. Everything but
    spec.stage is fixed at creation."""

    names = Names("modelversions", "mv")
    columns = (
        Column("Model", ".spec.model", "The Model."),
        Column("Version", ".spec.version", "The version."),
        Column("Wanted", ".spec.stage", "The stage asked for."),
        Column("Stage", ".status.stage", "The furthest stage it carries."),
        Column("Step", ".status.request.step", "How far the request has come."),
        Column("Reason", f"{_AS_A_WHOLE}.reason", "Why it is there, or what verification found."),
        Column("By", ".status.request.requestedBy", "Who asked."),
        _AGE,
        Column("Digest", ".status.digest", "Digest of the bytes.", wide=True),
        Column("Format", ".status.artifact.format", "Format of the files.", wide=True),
        Column("Message", f"{_AS_A_WHOLE}.message", "The same as a sentence.", wide=True),
    )
    selectable = (".spec.model", ".spec.version", ".spec.stage")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.metadata.name == self.spec.model + '-' + self.spec.version",
            "metadata.name has to be <spec.model>-<spec.version>, so that no two objects claim one version",
        ),
    )

    spec: ModelVersionSpec
    """One build of a Model. Everything but `stage` is fixed at creation."""
    status: ModelVersionStatus | None = None
    """What was found out about the version, and where it is. Written by the operator alone."""


class Approval(Kind):
    """One person's verdict on one version's bytes at one stage. Created, never changed."""

    names = Names("approvals", "apr")
    columns = (
        Column("Model", ".spec.model", "The Model."),
        Column("Version", ".spec.version", "The version that is judged."),
        Column("Stage", ".spec.stage", "The stage it is judged for."),
        Column("Decision", ".spec.decision", "Approve or Reject."),
        Column("By", ".status.by", "Who made it."),
        Column("Counted", ".status.conditions[?(@.type=='Counted')].status", "Whether it counts."),
        Column("Reason", ".status.conditions[?(@.type=='Counted')].reason", "Why, or why not."),
        _AGE,
        Column("Comment", ".spec.comment", "Why the person decided so.", wide=True),
        Column("Message", ".status.conditions[?(@.type=='Counted')].message", "Why, as a sentence.", wide=True),
    )
    selectable = (".spec.model", ".spec.version", ".spec.stage")

    spec: ApprovalSpec
    """One person's verdict on one version's bytes at one stage. Fixed at creation."""
    status: ApprovalStatus | None = None
    """Whether the Approval counts. Written by the operator alone."""


class Rollback(Kind):
    """Move a stage back to a version that was good there, at once and without gates or approvals. Created, never
    changed; acts once. It does not belong in Git: `kubectl create` it."""

    names = Names("rollbacks", "rb")
    columns = (
        Column("Model", ".spec.model", "The Model."),
        Column("Stage", ".spec.stage", "The stage to move."),
        Column("From", ".status.fromVersion", "The version that carried the stage."),
        Column("To", ".status.toVersion", "The version it went back to."),
        Column("Outcome", ".status.outcome", "Pending, Applied or Refused."),
        Column("Reason", ".status.conditions[?(@.type=='Applied')].reason", "Why."),
        Column("By", ".status.by", "Who asked."),
        _AGE,
        Column("Ticket", ".spec.ticket", "The incident it belongs to.", wide=True),
        Column("Message", ".status.conditions[?(@.type=='Applied')].message", "Why, as a sentence.", wide=True),
    )
    selectable = (".spec.model", ".spec.stage")

    spec: RollbackSpec
    """Move a stage back to a version that was good there. Acts once; fixed at creation."""
    status: RollbackStatus | None = None
    """What became of the Rollback. Written by the operator alone."""


KINDS: tuple[type[Kind], ...] = (Model, ModelVersion, Approval, Rollback)
