"""Who of those that the Model trusts has signed a bundle?

A key that the Model lists; or the holder of a certificate that leads to one of its roots and belongs to one of the
identities named beside the root: not everybody whom a company's authority certifies may sign its models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.signatures.bundle import Bundle, invalid
from modelyard.storage.signatures.certificates import Holder, load_roots, objection, read_chain, shown
from modelyard.storage.signatures.keys import fingerprint, has_signed, hint, load_key

if TYPE_CHECKING:
    from datetime import datetime

    from modelyard.storage.signatures.trust import SignaturePolicy, TrustedRoots


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
    """The trusted one who signed; an ArtifactError that says why nobody did."""
    return _by_certificate(bundle, policy, now) if bundle.certificates else _by_key(bundle, policy)


def _by_key(bundle: Bundle, policy: SignaturePolicy) -> Signer:
    problems: list[ArtifactError] = []
    for trusted in policy.keys:
        try:
            key = load_key(trusted)
        except ArtifactError as error:
            problems.append(error)
            continue
        if has_signed(key, bundle):
            return Signer(trusted.name, "Key", trusted.name, trusted.id, fingerprint(key))
        if bundle.key_hint == hint(key):
            raise invalid(f"it says to be by the key {trusted.name!r}, and that key did not sign what it holds")
    _raise(problems)
    name = f" {bundle.key_hint!r}" if bundle.key_hint else ""
    raise _untrusted(f"it was signed by a key{name} that the Model does not list", policy)


def _by_certificate(bundle: Bundle, policy: SignaturePolicy, now: datetime) -> Signer:
    holder = read_chain(bundle.certificates)
    if not has_signed(holder.key, bundle):
        raise invalid("its certificate's key did not sign what it holds")
    problems: list[ArtifactError] = []
    objections: list[str] = []
    for trusted in policy.certificates:
        try:
            objections.append(objection(holder, load_roots(trusted), now) or _not_listed(holder, trusted))
        except ArtifactError as error:
            problems.append(error)
            continue
        if not objections[-1]:
            identity = next(value for kind, value in trusted.identities if (kind, value) in holder.identities)
            subject = shown(holder.subject)
            return Signer(identity, "Certificate", trusted.name, trusted.id, fingerprint(holder.key), subject)
    _raise(problems)
    why = "; ".join(dict.fromkeys(objections)) or "the Model lists no authorities"
    raise _untrusted(f"the certificate of {holder.names} is not trusted: {why}", policy)


def _not_listed(holder: Holder, trusted: TrustedRoots) -> str:
    known = any(identity in holder.identities for identity in trusted.identities)
    return "" if known else f"{trusted.entry}.identities does not list its holder"


def _raise(problems: list[ArtifactError]) -> None:
    """What could not be asked might have said yes, above all what may yet come."""
    if problems:
        raise max(problems, key=lambda problem: problem.transient)


def _untrusted(problem: str, policy: SignaturePolicy) -> ArtifactError:
    listed = [*(key.name for key in policy.keys), *(roots.name for roots in policy.certificates)]
    names = ", ".join(map(repr, listed)) or "nobody"
    message = (
        f"check signature: {problem} (its artifactPolicy.signature lists: {names}); have it signed by somebody who is "
        "listed, or list the signer"
    )
    return ArtifactError(ArtifactReason.SIGNATURE_UNTRUSTED, message)
