"""Whose signatures of artifacts a Model trusts, where a version's signature lies, and who was found to have signed."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelyard.api.base import ApiType, Line, OpenType, Rule, Word, list_map, validated

_PUBLIC_KEY = Rule(
    "self.contains('-----BEGIN PUBLIC KEY-----')",
    "a key is PEM text with a '-----BEGIN PUBLIC KEY-----' block, as `openssl pkey -pubout` prints it",
)
_ROOTS = Rule(
    "self.contains('-----BEGIN CERTIFICATE-----')",
    "roots are PEM text with at least one '-----BEGIN CERTIFICATE-----' block",
)


class KeyReference(ApiType):
    """A key of a ConfigMap or Secret in the Model's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the object."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """The key in its data."""


class PemSource(ApiType):
    """Where PEM text is taken from. Whoever may change that object decides whom the Model trusts."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.configMapKeyRef) != has(self.secretKeyRef)",
            "PEM text comes from a configMapKeyRef or a secretKeyRef; set exactly one of them",
        ),
    )

    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap in the Model's namespace."""
    secret_key_ref: KeyReference | None = None
    """A key of a Secret in the Model's namespace."""


class TrustedKey(ApiType):
    """A public key whose signatures are trusted."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.publicKey) != has(self.publicKeyFrom)",
            "a key is either publicKey or publicKeyFrom; set exactly one of them",
        ),
    )

    name: Word
    """What the key is called, such as `release-2026`; unique in the list. Versions show it as who signed."""
    public_key: Annotated[str, Field(max_length=2048, json_schema_extra=validated(_PUBLIC_KEY))] | None = None
    """The key as PEM text; of the curves P-256, P-384 or P-521."""
    public_key_from: PemSource | None = None
    """Where the key is taken from when a version is verified."""


class SignerIdentity(ApiType):
    """Whom a certificate belongs to, in one of the ways in which certificates say it; compared exactly."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.email), has(self.uri), has(self.dnsName), has(self.subject)].filter(given, given).size() == 1",
            "an identity is one of email, uri, dnsName and subject; set exactly one of them",
        ),
    )

    email: Line | None = None
    """An e-mail address among its alternative names."""
    uri: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A URI among its alternative names, such as a SPIFFE ID."""
    dns_name: Line | None = None
    """A DNS name among its alternative names."""
    subject: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Its subject, as RFC 4514 writes it: `CN=Model release,O=Example`."""


class TrustedCertificates(ApiType):
    """Certificate authorities, and whose signatures of those whom they certify are trusted."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.roots) != has(self.rootsFrom)", "roots are given or rootsFrom is; set exactly one of them"),
    )

    name: Word
    """What the entry is called; unique in the list."""
    roots: Annotated[str, Field(max_length=32768, json_schema_extra=validated(_ROOTS))] | None = None
    """Certificates of the authorities, as PEM text. None of the system's is trusted."""
    roots_from: PemSource | None = None
    """Where they are taken from when a version is verified."""
    identities: Annotated[list[SignerIdentity], Field(min_length=1, max_length=32)]
    """Who may sign: any of these. An authority certifies many, few of whom sign models."""


class SignaturePolicy(ApiType):
    """Whose signatures are trusted, and whether an artifact needs one."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.required) || !self.required || has(self.keys) || has(self.certificates)",
            "required needs somebody whose signature is trusted; list keys or certificates",
            ".required",
        ),
    )

    required: bool | None = None
    """Whether an artifact has to be signed by somebody listed here before its version is served. Without it a good
    signature is told of and a bad one is a warning. Default: false."""
    keys: Annotated[list[TrustedKey], Field(min_length=1, max_length=16, json_schema_extra=list_map("name"))] | None = (
        None
    )
    """Public keys whose signatures are trusted."""
    certificates: (
        Annotated[list[TrustedCertificates], Field(min_length=1, max_length=4, json_schema_extra=list_map("name"))]
        | None
    ) = None
    """Certificate authorities, and whose signatures of those whom they certify are trusted."""


class ArtifactSignature(ApiType):
    """Where the artifact's signature lies."""

    uri: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            json_schema_extra=validated(
                Rule(
                    r"self.matches('^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([^/].*)?[^/]$')",
                    "a signature is one object: s3://BUCKET/KEY, without a slash at its end",
                )
            ),
        ),
    ]
    """The signature: a bundle of the `model-signing` tools. In the artifact's folder it is one of its files."""


class SignatureStatus(OpenType):
    """Who was found to have signed the artifact's files, all of them. Their digest was pinned in the same write."""

    by: str | None = None
    """Who signed: the name of the key in the Model, or the identity of the certificate's holder."""
    method: str | None = None
    """Key or Certificate."""
    fingerprint: str | None = None
    """`sha256:` and the SHA-256 of the signer's public key (its SubjectPublicKeyInfo in DER)."""
    subject: str | None = None
    """The certificate's subject."""
    listed_as: str | None = None
    """Name of the entry in the Model's artifactPolicy.signature that made the signer trusted."""
    entry: str | None = None
    """Hash of that entry as it was: where signatures are required, it has to be in the Model still when the version
    asks for a stage; otherwise the version is verified anew."""
    uri: str | None = None
    """Where the signature lies."""
