"""Whose certificate is it, and is it good for signing models now?

It has to lead to a root that the Model names, be valid now (nothing vouches for when a signature was made, so an
expired certificate may be anybody's by now), and be made for signing. The chain comes from a stranger: it is read to
the end at once, and whatever the library cannot make of it is no certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelyard.storage.signatures.bundle import invalid
from modelyard.storage.signatures.keys import CURVES, supported
from modelyard.storage.signatures.trust import TrustedRoots, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

LONGEST_CHAIN = 8
SHOWN = 200
"""Characters of a certificate's names that are told: they are the signer's words."""


@dataclass(frozen=True)
class Holder:
    """The signer, as the certificate says, and the certificate."""

    key: EllipticCurvePublicKey
    subject: str
    identities: tuple[tuple[str, str], ...]
    """Kind (`subject`, `email`, `uri`, `dnsName`) and value: everything that it says its holder is."""
    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...]
    """Those between it and its root."""

    @property
    def names(self) -> str:
        """All identities, for a person to read."""
        return shown(", ".join(f"{kind} {value!r}" for kind, value in self.identities))


def read_chain(chain: Sequence[bytes]) -> Holder:
    """The signer's certificate, which comes first, and the others; SignatureInvalid when one is none."""
    from cryptography import x509

    try:
        leaf, *others = [x509.load_der_x509_certificate(der) for der in chain]
        key = supported(leaf.public_key())
        identities = tuple(_identities(leaf))
        subject = leaf.subject.rfc4514_string()
    except Exception as error:
        raise invalid(f"one of its certificates cannot be read ({type(error).__name__})") from error
    if key is None:
        raise invalid(f"its certificate's key is none of {', '.join(CURVES)}")
    return Holder(key, subject, identities, leaf, tuple(others))


def load_roots(trusted: TrustedRoots) -> list[x509.Certificate]:
    """The authorities that the Model names; SignaturePolicyInvalid when they cannot be used."""
    from cryptography.x509 import load_pem_x509_certificates

    pem = trusted.pem.read(trusted.entry)
    try:
        return load_pem_x509_certificates(pem)
    except Exception as error:
        raise unusable(trusted.entry, f"its roots are not certificates in PEM ({type(error).__name__})") from error


def objection(holder: Holder, roots: Sequence[x509.Certificate], now: datetime) -> str:
    """Why the certificate is not good for signing now by one of the roots; empty when it is."""
    from cryptography import x509
    from cryptography.x509 import verification

    leaf = holder.certificate
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        return f"it is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}, not now"
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
        .store(verification.Store(list(roots)))
        .time(now)
        .max_chain_depth(LONGEST_CHAIN)
        .extension_policies(ca_policy=authorities, ee_policy=signers)
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, list(holder.others))
    except Exception as error:
        return shown(str(error))
    return ""


def shown(text: str) -> str:
    """Names out of a certificate, on one line and not for ever."""
    return "".join(character if character.isprintable() else " " for character in text)[:SHOWN]


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


def _identities(leaf: x509.Certificate) -> Iterator[tuple[str, str]]:
    from cryptography import x509

    yield "subject", leaf.subject.rfc4514_string()
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for kind, found in (
        ("email", names.get_values_for_type(x509.RFC822Name)),
        ("uri", names.get_values_for_type(x509.UniformResourceIdentifier)),
        ("dnsName", names.get_values_for_type(x509.DNSName)),
    ):
        for value in found:
            yield kind, value
