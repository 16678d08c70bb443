"""The spec of a ModelVersion: one build of a Model, what it was made of and where its bytes lie."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from modelyard.api.base import (
    PATTERN_MESSAGE,
    ApiType,
    Digest,
    Immutable,
    Line,
    ModelName,
    OpenType,
    Rule,
    Sha256,
    Text,
    Uri,
    VersionName,
    WantedStage,
    Word,
    list_map,
    validated,
)
from modelyard.api.signatures import ArtifactSignature

FreeForm = Annotated[dict[str, Any], Field(max_length=500)]
"""A map of what the API does not interpret."""

_S3_ONLY = Rule(
    "self.startsWith('s3://')",
    "this release reads artifacts from S3 only: s3://BUCKET/FOLDER/ for a folder or s3://BUCKET/KEY for one object",
)
_S3_BUCKET = Rule(
    r"!self.startsWith('s3://') || self.matches('^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$')",
    "the bucket of an s3 URI is 3-63 lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
)
_S3_SHAPE = Rule(
    r"!self.startsWith('s3://') || self.matches('^s3://[^/]+/([^/].*)?$')",
    "an s3 URI names a bucket and a path in it: s3://BUCKET/FOLDER/ for a folder or s3://BUCKET/KEY for one object",
)


class DeclaredFile(ApiType):
    """A file of the artifact as its author knows it."""

    path: Annotated[
        str,
        Field(
            pattern=r"^[^\\\n\r]+$",
            max_length=1024,
            json_schema_extra={
                PATTERN_MESSAGE: "a path has neither backslash nor line break",
                **validated(
                    Rule(
                        r"!self.matches('(^|/)[.]{0,2}(/|$)')",
                        "a path is relative to the artifact's root and has no empty, '.' or '..' parts",
                    )
                ),
            },
        ),
    ]
    """Path of the file, relative to the artifact's root; unique in the list."""
    sha256: Sha256
    """SHA-256 of the file, as sha256sum prints it."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Size of the file in bytes."""


class External(ApiType):
    """A model that an outside provider hosts."""

    provider: Word
    """The provider, such as `openai` or `bedrock`."""
    model: Line
    """The provider's name of the model."""
    revision: Line | None = None
    """The provider's revision of it, where it has such."""


class Artifact(ApiType):
    """What the version is: bytes in object storage, or a model that an outside provider hosts."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.uri) != has(self.external)",
            "an artifact is either a uri (bytes in object storage) or external (hosted by a provider); set exactly one",
        ),
        Rule(
            "!has(self.files) || has(self.uri)",
            "files lists what lies at uri, and there is no uri; remove files",
            ".files",
        ),
        Rule(
            "!has(self.signature) || has(self.uri)",
            "signature is over what lies at uri, and there is no uri; remove signature",
            ".signature",
        ),
    )

    uri: (
        Annotated[
            str, Field(min_length=1, max_length=1500, json_schema_extra=validated(_S3_ONLY, _S3_BUCKET, _S3_SHAPE))
        ]
        | None
    ) = None
    """Where the bytes lie. A folder ends in a slash, as in s3://models/fraud/7/; without one it is a single object."""
    external: External | None = None
    """A model that an outside provider hosts, instead of a uri."""
    digest: Digest | None = None
    """The digest that the artifact has to have: `sha256:` and the SHA-256 of what sha256sum prints for its files,
    sorted by path in byte order. Found out and recorded in status when absent."""
    files: (
        Annotated[list[DeclaredFile], Field(min_length=1, max_length=2048, json_schema_extra=list_map("path"))] | None
    ) = None
    """The files that the artifact consists of, each of which is compared. No others may be there."""
    signature: ArtifactSignature | None = None
    """Where the artifact's signature lies. Default, where the Model lists whom it trusts: `model.sig` in the artifact's
    folder, else beside it, under its name and `.sig`."""


class Framework(ApiType):
    """The library that the model was made with."""

    name: Line
    """Name of the library, such as `scikit-learn`."""
    version: Line | None = None
    """Its version."""


class EnvVar(OpenType):
    """An environment variable, as in a container: `value`, or `valueFrom`."""

    name: Line
    """Name of the variable; unique in the list."""


class Resources(OpenType):
    """Compute resources, as in a container."""

    limits: Annotated[dict[str, int | str], Field(max_length=32)] | None = None
    """The most that the container may use."""
    requests: Annotated[dict[str, int | str], Field(max_length=32)] | None = None
    """What the container is sure to get."""


class VersionServing(ApiType):
    """What this version's server needs, merged over the first container of the stage's template."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Image of the server; replaces the template's."""
    env: Annotated[list[EnvVar], Field(max_length=128, json_schema_extra=list_map("name"))] | None = None
    """Environment variables; added to the template's, of which they replace those of the same name."""
    resources: Resources | None = None
    """Compute resources; `limits` and `requests` replace the template's."""


class Source(ApiType):
    """The code that the version was made by."""

    repository: Uri | None = None
    """Where the code is."""
    revision: Line | None = None
    """The commit."""
    path: Annotated[str, Field(max_length=1024)] | None = None
    """The folder in the repository."""


class Run(ApiType):
    """The training run."""

    id: Line | None = None
    """The tracker's identifier of the run."""
    uri: Uri | None = None
    """Where the run can be seen."""
    experiment: Line | None = None
    """The experiment that the run belongs to."""


class Pipeline(ApiType):
    """The pipeline that the run was part of."""

    engine: Line | None = None
    """What ran it, such as `argo-workflows`."""
    run_id: Line | None = None
    """The engine's identifier of the pipeline run."""
    uri: Uri | None = None
    """Where the pipeline run can be seen."""


class Dataset(ApiType):
    """Data that the version was made or measured with."""

    name: Line
    """Name of the data set."""
    uri: Uri | None = None
    """Where the data is."""
    version: Line | None = None
    """Its version."""
    digest: Line | None = None
    """Its digest, in the notation of whoever computed it."""
    context: Word | None = None
    """What it was used for, such as `training` or `evaluation`."""


class BaseModelRef(ApiType):
    """A model that this one was made from."""

    ref: Uri
    """The model, such as `hf://org/name@revision` or `modelyard://namespace/model@version`."""
    relation: Word | None = None
    """How this one was made from it, such as `finetune`, `adapter`, `quantized` or `merge`."""


class Dependencies(ApiType):
    """What the model needs to run."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """An image in which it runs."""
    requirements: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=512)]], Field(max_length=1000)] | None
    ) = None
    """Packages that it needs, as pip writes them."""


class ModelVersionSpec(ApiType):
    """One build of a Model. Everything but `stage` is fixed at creation."""

    immutable = Immutable("register a new version instead", but=frozenset({"stage"}))

    model: ModelName
    """Name of the Model, in the same namespace."""
    version: VersionName
    """The version; the object's name is <model>-<version>."""
    stage: WantedStage | None = None
    """The stage asked for: one of the Model's, or `archived`. Absent for none. The one field that may change."""
    artifact: Artifact
    """What the version is: bytes in object storage, or a model that an outside provider hosts."""
    framework: Framework | None = None
    """The library that the model was made with."""
    format: Word | None = None
    """Format of the files: `mlflow`, `safetensors`, `gguf`, `onnx`, `joblib`, `pickle`, or another. Found out when
    absent, checked when given."""
    serving: VersionServing | None = None
    """What this version's server needs, merged over the first container of the stage's template."""
    author: Line | None = None
    """Who made the version."""
    source: Source | None = None
    """The code that the version was made by."""
    run: Run | None = None
    """The training run."""
    pipeline: Pipeline | None = None
    """The pipeline that the run was part of."""
    datasets: Annotated[list[Dataset], Field(max_length=256)] | None = None
    """Data that the version was made or measured with."""
    base_models: Annotated[list[BaseModelRef], Field(max_length=64)] | None = None
    """Models that this one was made from."""
    hyperparameters: FreeForm | None = None
    """What the training was set to."""
    metrics: FreeForm | None = None
    """What was measured. Numbers, or maps of them for slices; gates without a job judge these."""
    dependencies: Dependencies | None = None
    """What the model needs to run."""
    input_schema: FreeForm | None = None
    """What the model takes, in a schema language of the author's choice."""
    output_schema: FreeForm | None = None
    """What the model gives, in a schema language of the author's choice."""
    license: Line | None = None
    """Licence of the model, as an SPDX expression where there is one."""
    description: Text | None = None
    """What is special about this version."""
