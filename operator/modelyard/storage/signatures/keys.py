"""Elliptic curve keys: read one, ask whether it signed a bundle, say what it is called.

P-256, P-384 and P-521, each with the hash that belongs to it, as `model-signing` makes them. `cryptography` is imported
when a signature is judged: a pod that has none to judge does not pay for it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from modelyard.storage.signatures.trust import TrustedKey, unusable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from modelyard.storage.signatures.bundle import Bundle

CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


def load_key(trusted: TrustedKey) -> EllipticCurvePublicKey:
    """One of the Model's keys; SignaturePolicyInvalid when it cannot be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    pem = trusted.pem.read(trusted.entry)
    try:
        key = supported(load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise unusable(trusted.entry, "it is not a public key in PEM") from error
    if key is None:
        raise unusable(trusted.entry, f"it is not a key of one of the curves {', '.join(CURVES)}")
    return key


def supported(key: object) -> EllipticCurvePublicKey | None:
    """The key, if it is of a kind that signatures are made with."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    return key if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES else None


def has_signed(key: EllipticCurvePublicKey, bundle: Bundle) -> bool:
    """Whether the bundle's signature is over its payload and by this key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    algorithm: hashes.HashAlgorithm = getattr(hashes, CURVES[key.curve.name])()
    try:
        key.verify(bundle.signature, bundle.signed_bytes, ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


def hint(key: EllipticCurvePublicKey) -> str:
    """What a bundle calls a key: SHA-256 of its PEM text, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def fingerprint(key: EllipticCurvePublicKey) -> str:
    """What everybody else calls it: SHA-256 of its SubjectPublicKeyInfo in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"
