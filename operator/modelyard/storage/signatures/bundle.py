"""What does a signature's file hold? Its outermost shape, read with bounds, and believed in nothing.

A bundle comes from the store, where anybody may have written it: it is measured before it is read, its braces and
commas are counted before it is parsed (an honest one has a few dozen, a hostile one would become a million objects),
and what was signed stays a string of bytes until somebody trusted is known to have signed it.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError

MAX_BYTES = 16 << 20
"""A signed file takes about 300 bytes of a bundle: enough for 50,000 of them."""
MAX_PARTS = 2000
"""Braces, brackets and commas of a bundle; what it carries stands in base64, which has none of them."""
MAX_CERTIFICATES = 10
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
AGAIN = "sign the model again with model_signing"


@dataclass(frozen=True)
class Bundle:
    """A signature as it was found; nothing of it is verified."""

    payload: bytes
    signature: bytes
    key_hint: str = ""
    """Which key it says to be by: SHA-256 of its PEM text. Empty for one by a certificate."""
    certificates: tuple[bytes, ...] = ()
    """The signer's certificate and those between it and the root, in DER. Empty for one by a key."""

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over: DSSE's pre-authentication encoding of the payload and its type."""
        return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(self.payload), self.payload)


def parse_bundle(content: bytes) -> Bundle:
    """Read a bundle; SignatureInvalid when it is none, SignatureUnsupported when it is of another kind."""
    document = _document(content)
    media_type = document.get("mediaType")
    if media_type != MEDIA_TYPE:
        raise _unsupported(f"it is of the type {str(media_type)[:80]!r}, and {MEDIA_TYPE!r} is expected")
    envelope = _object(document, "dsseEnvelope")
    payload_type = envelope.get("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise invalid(f"its payloadType is {str(payload_type)[:80]!r}, and {PAYLOAD_TYPE!r} is expected")
    signatures = _list(envelope, "signatures")
    if len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise invalid(f"its envelope has {len(signatures)} signatures, and exactly one is expected")
    material = _object(document, "verificationMaterial")
    return Bundle(
        payload=_base64(envelope, "payload"),
        signature=_base64(signatures[0], "sig"),
        key_hint=_key_hint(material),
        certificates=_certificates(material),
    )


def invalid(problem: str) -> ArtifactError:
    """The error of a signature that is none."""
    return ArtifactError(ArtifactReason.SIGNATURE_INVALID, f"read signature: {problem}; {AGAIN}")


def _unsupported(problem: str) -> ArtifactError:
    return ArtifactError(ArtifactReason.SIGNATURE_UNSUPPORTED, f"read signature: {problem}; {AGAIN}")


def _document(content: bytes) -> Mapping[str, Any]:
    if not content:
        raise invalid("it is empty")
    parts = sum(content.count(character) for character in (b"{", b"[", b","))
    if parts > MAX_PARTS:
        raise invalid(f"it has {parts} parts, and a Sigstore bundle has at most {MAX_PARTS}")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise invalid(f"it is not JSON ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise invalid("it is not a JSON object")
    return document


def _key_hint(material: Mapping[str, Any]) -> str:
    given = material.get("publicKey")
    hint = given.get("hint") if isinstance(given, dict) else None
    return hint[:128] if isinstance(hint, str) else ""


def _certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    if "certificate" in material:
        text = "it was made keyless (sigstore), which this release cannot check"
        raise _unsupported(f"{text}: it checks keys and certificates")
    if "x509CertificateChain" not in material:
        if not isinstance(material.get("publicKey"), dict):
            raise invalid("its verificationMaterial has neither publicKey nor x509CertificateChain")
        return ()
    chain = _list(_object(material, "x509CertificateChain"), "certificates")
    if not 1 <= len(chain) <= MAX_CERTIFICATES or not all(isinstance(entry, dict) for entry in chain):
        raise invalid(f"it has {len(chain)} certificates, and 1 to {MAX_CERTIFICATES} are expected")
    return tuple(_base64(entry, "rawBytes") for entry in chain)


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = parent.get(name)
    if not isinstance(found, dict):
        raise invalid(f"it has no object {name!r}")
    return found


def _list(parent: Mapping[str, Any], name: str) -> list[Any]:
    found = parent.get(name)
    if not isinstance(found, list):
        raise invalid(f"it has no list {name!r}")
    return found


def _base64(parent: Mapping[str, Any], name: str) -> bytes:
    found = parent.get(name)
    if not isinstance(found, str) or not found:
        raise invalid(f"it has no text {name!r}")
    try:
        return base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"its {name!r} is not base64") from error
