"""For every CEL rule of the CRDs, an object that breaks it and the field that the message has to name.

`leaf_cases` finds the rules on single fields by walking the schema, wherever they stand; the rules over several
fields are listed by hand. A test compares both with what the CRDs contain, so no rule goes without a case.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from modelyard.api.base import VALIDATIONS
from modelyard.api.kinds import KINDS
from modelyard.api.schema import structural
from tests.api.manifests import EXTERNAL, Obj, Path, full, with_, without, written


@dataclass(frozen=True)
class Broken:
    """An object that breaks one rule."""

    manifest: Obj
    field: str
    message: str

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.manifest['kind']} {self.field}: {self.message[:60]}"


BAD_VALUES: dict[str, Any] = {
    "a stage is 1-20": "Prod-1",
    "a stage cannot be called": "status",
    "a version is 1-63": "7_rc1",
    "a duration is written": "10 minutes",
    "a digest is": "sha256:123",
    "a sha256 is": "ABC",
    "a Model's name is": "Fraud_1",
    "a Service's name is": "7fraud",
    "an object's name is": "Models_S3",
    "a gate's name is": "Smoke Test",
    "a path has neither": "data\\model",
    "a path is relative": "data/../../etc/passwd",
    "an endpoint is": "minio:9000",
    "a URL with a password": "https://ci:token@example.com/x",
    "caBundle is PEM": "MIIB",
    "replicas is at least 1": 0,
    "this release reads artifacts from S3 only": "gs://models/fraud/7/",
    "the bucket of an s3 URI is": "s3://Models/fraud/7/",
    "an s3 URI names": "s3://models",
    "a key is PEM text": "MFkw",
    "roots are PEM text": "MIIB",
    "a signature is one object": "s3://models/fraud/7/",
    "each stage needs a Service": [
        {"name": "staging", "serving": {"serviceName": "fraud"}},
        {"name": "production", "serving": {"serviceName": "fraud"}},
    ],
}
"""By the beginning of the message: a value that breaks the rule on the field itself."""


def rules(schema: Obj, path: Path = ()) -> Iterator[tuple[Path, Obj, Obj]]:
    """Every rule below a schema, with its path (list items are 0) and the schema it is on."""
    for rule in schema.get(VALIDATIONS, ()):
        yield path, schema, rule
    for name, inner in schema.get("properties", {}).items():
        yield from rules(inner, (*path, name))
    if "items" in schema:
        yield from rules(schema["items"], (*path, 0))


def is_immutability(rule: Obj) -> bool:
    """Whether the rule compares with the old object; those have tests of their own."""
    return "oldSelf" in rule["rule"]


@cache
def leaf_cases() -> tuple[Broken, ...]:
    """A case for every rule on a single field or list, at every place it stands."""
    return tuple(
        Broken(with_(full(kind.__name__), path, bad), written(path), rule["message"])
        for kind in KINDS
        for path, _, rule in rules(structural(kind))
        if not is_immutability(rule) and (bad := _bad_value(rule["message"])) is not None
    )


def _bad_value(message: str) -> Any:
    return next((value for start, value in BAD_VALUES.items() if message.startswith(start)), None)


_MODEL, _VERSION = full("Model"), full("ModelVersion")
_GATE: Path = ("spec", "stages", 0, "gates", 0)
_SIGNATURE: Path = ("spec", "artifactPolicy", "signature")

OBJECT_CASES = [
    Broken(
        with_(_MODEL, ("metadata", "name"), "a" * 41),
        "metadata.name",
        "metadata.name: a Model's name is 1-40 lower-case letters, digits and '-', begins with a letter and ends with "
        "a letter or digit",
    ),
    Broken(
        with_(_VERSION, ("metadata", "name"), "fraud-v7"),
        "metadata.name",
        "metadata.name has to be <spec.model>-<spec.version>, so that no two objects claim one version",
    ),
    Broken(
        with_(
            _MODEL,
            ("spec", "stages"),
            [{"name": "staging"}, {"name": "production", "serving": {"serviceName": "fraud-staging"}}],
        ),
        "spec.stages",
        "each stage has a Service of its own; one stage's serving.serviceName is another's default, <model>-<stage>",
    ),
    Broken(
        without(_MODEL, ("spec", "serving")),
        "spec.stages",
        "a stage overrides serving, and the Model has none to override; add spec.serving or remove the stage's",
    ),
    Broken(
        with_(_MODEL, ("spec", "card", "uri"), "https://example.com"),
        "spec.card",
        "a card is either inline or a uri; set exactly one of them",
    ),
    Broken(with_(_MODEL, _GATE, {"name": "empty"}), written(_GATE), "a gate needs a job, checks, or both"),
    Broken(
        without(_MODEL, (*_GATE, "job")),
        written((*_GATE, "inputs")),
        "inputs says what is mounted into a gate's job, and this gate has none; remove inputs or add a job",
    ),
    Broken(
        with_(_VERSION, ("spec", "artifact", "external"), EXTERNAL),
        "spec.artifact",
        "an artifact is either a uri (bytes in object storage) or external (hosted by a provider); set exactly one",
    ),
    Broken(
        with_(_VERSION, ("spec", "artifact"), {"external": EXTERNAL, "files": _VERSION["spec"]["artifact"]["files"]}),
        "spec.artifact.files",
        "files lists what lies at uri, and there is no uri; remove files",
    ),
    Broken(
        with_(_VERSION, ("spec", "artifact"), {"external": EXTERNAL, "signature": {"uri": "s3://models/fraud/7.sig"}}),
        "spec.artifact.signature",
        "signature is over what lies at uri, and there is no uri; remove signature",
    ),
    Broken(
        with_(_MODEL, _SIGNATURE, {"required": True}),
        written((*_SIGNATURE, "required")),
        "required needs somebody whose signature is trusted; list keys or certificates",
    ),
    Broken(
        with_(_MODEL, (*_SIGNATURE, "keys", 0), {"name": "release"}),
        written((*_SIGNATURE, "keys", 0)),
        "a key is either publicKey or publicKeyFrom; set exactly one of them",
    ),
    Broken(
        with_(_MODEL, (*_SIGNATURE, "keys", 1, "publicKeyFrom"), {}),
        written((*_SIGNATURE, "keys", 1, "publicKeyFrom")),
        "PEM text comes from a configMapKeyRef or a secretKeyRef; set exactly one of them",
    ),
    Broken(
        without(_MODEL, (*_SIGNATURE, "certificates", 0, "roots")),
        written((*_SIGNATURE, "certificates", 0)),
        "roots are given or rootsFrom is; set exactly one of them",
    ),
    Broken(
        with_(_MODEL, (*_SIGNATURE, "certificates", 0, "identities", 0, "subject"), "CN=release"),
        written((*_SIGNATURE, "certificates", 0, "identities", 0)),
        "an identity is one of email, uri, dnsName and subject; set exactly one of them",
    ),
]
"""A case for every rule over several fields."""
