"""Who of those that the Model trusts has signed a bundle? The one module that does cryptography.

Keys and certificates are those of elliptic curves that `model-signing` makes: P-256, P-384, P-521, each with the hash
that belongs to it. A certificate has to lead to a root that the Model names, be valid now (nothing vouches for when a
signature was made, so an expired certificate may be anybody's by now), be made for signing, and belong to one of the
identities named beside the root: not everybody whom a company's authority certifies may sign its models.

`cryptography` is imported when there is a signature to be judged: a pod that has none to judge does not pay for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.signatures.bundle import Bundle, invalid
from modelyard.storage.signatures.trust import SignaturePolicy, TrustedKey, TrustedRoots, unusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
LONGEST_CHAIN = 8
SHOWN = 200
"""Characters of a certificate's names that are told: they are the signer's words."""


@dataclass(frozen=True)
class Signer:
    """Somebody trusted, who signed."""

    by: str
    """The key's name in the Model, or the identity by which the Model knows the certificate's holder."""
    method: str
    """Key or Certificate."""
    listed_as: str
    """Name of the entry in the Model's artifactPolicy.signature."""
    entry: str
    """Identity of that entry as it was."""
    fingerprint: str
    """`sha256:` and the SHA-256 of the public key (its SubjectPublicKeyInfo in DER)."""
    subject: str = ""
    """The certificate's."""


def find_signer(bundle: Bundle, policy: SignaturePolicy, now: datetime) -> Signer:
    """The trusted one who signed; SignatureUntrusted or SignatureInvalid when nobody did."""
    problems: list[ArtifactError] = []
    found = _by_certificate(bundle, policy, now, problems) if bundle.certificates else _by_key(bundle, policy, problems)
    if found:
        return found
    if problems:  # what could not be asked might have said yes
        raise max(problems, key=lambda problem: (problem.transient, problem.reason is ArtifactReason.SIGNATURE_INVALID))
    listed = [*(key.name for key in policy.keys), *(roots.name for roots in policy.certificates)]
    names = ", ".join(map(repr, listed)) or "nobody"
    kind = "a certificate" if bundle.certificates else "a key" + (f" {bundle.key_hint!r}" if bundle.key_hint else "")
    text = f"it was signed by {kind} that the Model's artifactPolicy.signature does not trust; it trusts: {names}"
    raise untrusted(text)


def untrusted(problem: str) -> ArtifactError:
    """The error of a signature by somebody else."""
    message = f"check signature: {problem}; have it signed by somebody who is listed, or list the signer"
    return ArtifactError(ArtifactReason.SIGNATURE_UNTRUSTED, message)


def _by_key(bundle: Bundle, policy: SignaturePolicy, problems: list[ArtifactError]) -> Signer | None:
    for trusted in policy.keys:
        try:
            key = _load_key(trusted)
        except ArtifactError as error:
            problems.append(error)
            continue
        if _has_signed(key, bundle):
            return Signer(trusted.name, "Key", trusted.name, trusted.id, _fingerprint(key))
        if bundle.key_hint == _hint(key):
            text = f"it says to be by the key {trusted.name!r}, and that key did not sign what it holds"
            problems.append(invalid(text))
    return None


def _by_certificate(
    bundle: Bundle, policy: SignaturePolicy, now: datetime, problems: list[ArtifactError]
) -> Signer | None:
    from cryptography import x509

    try:
        leaf, *others = [x509.load_der_x509_certificate(der) for der in bundle.certificates]
        key = _supported(leaf.public_key())
    except ValueError as error:
        raise invalid("one of its certificates cannot be read") from error
    if key is None:
        raise invalid(f"its certificate's key is none of {', '.join(CURVES)}")
    if not _has_signed(key, bundle):
        raise invalid("its certificate's key did not sign what it holds")
    refusals: list[str] = []
    for trusted in policy.certificates:
        try:
            roots = _load_roots(trusted)
            identity = _known_as(leaf, trusted) if _leads_to(leaf, others, roots, now, refusals) else None
        except ArtifactError as error:
            problems.append(error)
            continue
        if identity:
            subject = _shown(leaf.subject.rfc4514_string())
            return Signer(identity, "Certificate", trusted.name, trusted.id, _fingerprint(key), subject)
    if problems or not policy.certificates:
        return None
    names = _shown(", ".join(f"{kind} {value!r}" for kind, value in _identities(leaf)))
    why = refusals[0] if refusals else "none of the identities listed beside its root is its holder's"
    raise untrusted(f"the certificate of {names} is not trusted: {why}")


def _load_key(trusted: TrustedKey) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = _supported(load_pem_public_key(trusted.pem.read(trusted.entry)))
    except ValueError as error:
        raise unusable(trusted.entry, "it is not a public key in PEM") from error
    if key is None:
        raise unusable(trusted.entry, f"it is not a key of one of the curves {', '.join(CURVES)}")
    return key


def _load_roots(trusted: TrustedRoots) -> list[x509.Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(trusted.pem.read(trusted.entry))
    except ValueError as error:
        raise unusable(trusted.entry, "its roots are not certificates in PEM") from error


def _supported(key: object) -> EllipticCurvePublicKey | None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    return key if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES else None


def _has_signed(key: EllipticCurvePublicKey, bundle: Bundle) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    algorithm: hashes.HashAlgorithm = getattr(hashes, CURVES[key.curve.name])()
    try:
        key.verify(bundle.signature, bundle.signed_bytes, ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


def _leads_to(
    leaf: x509.Certificate,
    others: Iterable[x509.Certificate],
    roots: list[x509.Certificate],
    now: datetime,
    refusals: list[str],
) -> bool:
    """Whether the certificate is good for signing now, by one of the roots; otherwise why not is added."""
    from cryptography import x509
    from cryptography.x509 import verification

    agnostic = verification.Criticality.AGNOSTIC
    authorities = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, agnostic, None)
        .may_be_present(x509.KeyUsage, agnostic, _certifies)
    )
    signers = (
        verification.ExtensionPolicy.permit_all()
        .may_be_present(x509.KeyUsage, agnostic, _may_sign)
        .may_be_present(x509.ExtendedKeyUsage, agnostic, _is_for_code)
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(roots))
        .time(now)
        .max_chain_depth(LONGEST_CHAIN)
        .extension_policies(ca_policy=authorities, ee_policy=signers)
        .build_client_verifier()
    )
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        refusals.insert(0, f"it is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}, not now")
        return False
    try:
        verifier.verify(leaf, list(others))
    except (verification.VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
        refusals.append(_shown(str(error)))
        return False
    return True


def _certifies(policy: object, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key usage does not include certificate signing")


def _may_sign(policy: object, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("its key usage does not include digital signatures")


def _is_for_code(policy: object, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    """A server's or a person's log-in certificate is not one for signing, though it could."""
    from cryptography.x509.oid import ExtendedKeyUsageOID

    fit = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and fit.isdisjoint(usage):
        raise ValueError("its extended key usage does not include code signing")


def _known_as(leaf: x509.Certificate, trusted: TrustedRoots) -> str | None:
    own = set(_identities(leaf))
    return next((value for kind, value in trusted.identities if (kind, value) in own), None)


def _identities(leaf: x509.Certificate) -> Iterator[tuple[str, str]]:
    """Everything that a certificate says its holder is."""
    from cryptography import x509

    yield "subject", leaf.subject.rfc4514_string()
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return
    for kind, found in (
        ("email", names.get_values_for_type(x509.RFC822Name)),
        ("uri", names.get_values_for_type(x509.UniformResourceIdentifier)),
        ("dnsName", names.get_values_for_type(x509.DNSName)),
    ):
        for value in found:
            yield kind, value


def _hint(key: EllipticCurvePublicKey) -> str:
    """What a bundle calls a key: SHA-256 of its PEM text, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _fingerprint(key: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def _shown(text: str) -> str:
    """Names out of a certificate, on one line and not for ever."""
    return "".join(character if character.isprintable() else " " for character in text)[:SHOWN]
