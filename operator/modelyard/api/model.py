"""The spec of a Model: who it belongs to, where its bytes lie, how it is served and through which stages it goes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard.api.base import (
    NO_PASSWORD,
    PATTERN_MESSAGE,
    ApiType,
    Line,
    ObjectName,
    Rule,
    StageName,
    Text,
    Uri,
    VersionName,
    Word,
    list_map,
    validated,
)
from modelyard.api.gates import ApprovalPolicy, Gate
from modelyard.api.serving import Serving, StageServing
from modelyard.api.signatures import SignaturePolicy

_UNIQUE_SERVICES = Rule(
    rule=(
        "self.all(a, !has(a.serving) || !has(a.serving.serviceName) || self.exists_one(b, has(b.serving) "
        "&& has(b.serving.serviceName) && b.serving.serviceName == a.serving.serviceName))"
    ),
    message="each stage needs a Service of its own; two stages have the same serving.serviceName",
)


class Owner(ApiType):
    """Who answers for the model."""

    team: Line | None = None
    """The team that owns the model."""
    contact: Line | None = None
    """How to reach it: an address, a channel, a page."""


class Consumer(ApiType):
    """Somebody who depends on the model."""

    name: Word
    """Name of the consumer, such as an application; unique in the list."""
    contact: Line | None = None
    """Whom to tell before it changes."""


class Card(ApiType):
    """The model card: either its text or where it is."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.inline) != has(self.uri)", "a card is either inline or a uri; set exactly one of them"),
    )

    inline: Annotated[str, Field(max_length=65536)] | None = None
    """The card itself, as Markdown."""
    uri: Uri | None = None
    """Where the card is."""


class SecretReference(ApiType):
    """A Secret in the Model's namespace."""

    name: ObjectName
    """Name of the Secret."""


class Storage(ApiType):
    """How the artifacts are read: the Secret named here, else the namespace's Secret `modelyard-storage`, else the
    pods' own identity (IRSA, Pod Identity, workload identity)."""

    secret_ref: SecretReference | None = None
    """Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where needed, AWS_SESSION_TOKEN, AWS_REGION and
    AWS_ENDPOINT_URL."""
    service_account_name: ObjectName | None = None
    """ServiceAccount whose identity reads the artifacts, in helper pods and in serving pods whose template names
    none."""
    endpoint: (
        Annotated[
            str,
            Field(
                max_length=2048,
                pattern=r"^https?://[^\s/]+.*$",
                json_schema_extra={
                    PATTERN_MESSAGE: "an endpoint is the URL of an S3 service, such as https://minio.storage.svc:9000",
                    **validated(NO_PASSWORD),
                },
            ),
        ]
        | None
    ) = None
    """URL of the S3 service. Default: AWS_ENDPOINT_URL of the Secret, else AWS's own."""
    region: Word | None = None
    """Region of the buckets. Default: AWS_REGION of the Secret or of the pods' identity."""
    ca_bundle: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=131072,
                json_schema_extra=validated(
                    Rule(
                        "self.contains('-----BEGIN CERTIFICATE-----')",
                        "caBundle is PEM text with at least one '-----BEGIN CERTIFICATE-----' block",
                    )
                ),
            ),
        ]
        | None
    ) = None
    """Certificates, as PEM text, that the S3 service's certificate is checked against. Default: the system's."""
    force_path_style: bool | None = None
    """Whether buckets are addressed in the path (https://host/bucket) and not in the host name, as most S3 services
    other than AWS need it. Default: false."""


class ArtifactPolicy(ApiType):
    """What is asked of every artifact of the model."""

    require_declared_files: bool | None = None
    """Whether each version has to list its files with their sha256. Default: false."""
    pickle: Literal["Allow", "Warn", "Refuse"] | None = None
    """What to do with files that run code when loaded (pickle, joblib). Known-dangerous ones are refused whatever this
    says. Default: Warn."""
    signature: SignaturePolicy | None = None
    """Whose signatures are trusted, and whether an artifact needs one. Signatures are not looked at without it."""


class Stage(ApiType):
    """A place that one version carries at a time, with a Service of its own."""

    name: StageName
    """Name of the stage; unique in the Model."""
    gates: Annotated[list[Gate], Field(max_length=16, json_schema_extra=list_map("name"))] | None = None
    """Checks that a candidate has to pass."""
    approvals: ApprovalPolicy | None = None
    """Whose consent a version needs."""
    serving: StageServing | None = None
    """What this stage overrides of spec.serving, field by field; a template given here replaces the whole one there."""
    version: VersionName | None = None
    """The version that carries this stage. When set it is the only request for the stage: the stage fields of
    ModelVersions are not heard there."""
    paused: bool | None = None
    """Whether the stage's pointer is frozen for all but rollback and undo. Default: false."""
    suspend: bool | None = None
    """Whether the stage is scaled to zero on purpose. Default: false."""


class ModelSpec(ApiType):
    """What the owners of a model ask for."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.serving) || !has(self.stages) || !self.stages.exists(stage, has(stage.serving))",
            "a stage overrides serving, and the Model has none to override; add spec.serving or remove the stage's",
            ".stages",
        ),
    )

    description: Text | None = None
    """What the model does, in a few sentences."""
    owner: Owner | None = None
    """Who answers for the model."""
    consumers: Annotated[list[Consumer], Field(max_length=100, json_schema_extra=list_map("name"))] | None = None
    """Who depends on the model."""
    card: Card | None = None
    """The model card: either its text or where it is."""
    storage: Storage | None = None
    """How the artifacts are read: the Secret named here, else the namespace's Secret `modelyard-storage`, else the
    pods' own identity (IRSA, Pod Identity, workload identity)."""
    artifact_policy: ArtifactPolicy | None = None
    """What is asked of every artifact of the model."""
    serving: Serving | None = None
    """How the model is served; a model without it has no server (batch, embedded)."""
    require_reason: bool | None = None
    """Whether every stage change has to give a reason, in the annotation modelyard.dev/reason. Default: false."""
    stages: (
        Annotated[
            list[Stage],
            Field(min_length=1, max_length=16, json_schema_extra={**list_map("name"), **validated(_UNIQUE_SERVICES)}),
        ]
        | None
    ) = None
    """The stages in the order that versions go through them. Default: staging, production."""
