"""Who wrote it? Ed25519 signatures, by which a chain that somebody else wrote anew is told from the one there was.

    a record   {..., "key": "ed25519:0f3a…", "signature": "…"}     signed over its canonical JSON without `signature`
    a head     {"number": 17, "sha256": "sha256:…", "at": …, ...}  the same; see `heads`

A signed record vouches for all before it, because it carries the hash of the last. So it does not matter from when on
records are signed, nor that keys change: what comes after the last valid signature is what nobody vouches for.

The operator signs; whoever verifies has the public key from elsewhere, not from the store. Standard tools do as well:
openssl pkeyutl -verify -rawin.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelyard.ledger.canonical import canonical
from modelyard.ledger.errors import KeyFileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY, SIGNATURE = "key", "signature"
"""Fields of what is signed."""
MAKE_ONE = "make one with `openssl genpkey -algorithm ed25519`"


class Signer:
    """The holder of a private key."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.key = _name(private.public_key())
        """The key's name, as it stands in what is signed."""

    def signed(self, document: Mapping[str, Any]) -> bytes:
        """The canonical JSON of the document with its signature."""
        named = {**document, KEY: self.key}
        signature = base64.b64encode(self._private.sign(canonical(named))).decode()
        return canonical({**named, SIGNATURE: signature})


class Keys:
    """The public keys that somebody trusts."""

    def __init__(self, public: "Iterable[Ed25519PublicKey]") -> None:
        self._known = {_name(key): key for key in public}

    def have(self, document: Mapping[str, Any]) -> bool:
        """Whether the document says that it is signed with one of them."""
        return document.get(KEY) in self._known

    def vouch_for(self, document: Mapping[str, Any]) -> bool:
        """Whether one of them signed the document as it is."""
        from cryptography.exceptions import InvalidSignature

        key = self._known.get(str(document.get(KEY)))
        if key is None:
            return False
        try:
            signature = base64.b64decode(str(document.get(SIGNATURE)), validate=True)
            key.verify(signature, canonical({name: item for name, item in document.items() if name != SIGNATURE}))
        except (InvalidSignature, ValueError):
            return False
        return True


def load_signer(pem: bytes, source: str) -> Signer:
    """The private key in a PEM text; KeyFileError names the source."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except Exception as error:  # of many kinds, for everything that a file can hold
        raise KeyFileError(
            f"read signing key {source}: no unencrypted private key in PEM ({error}); {MAKE_ONE}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"read signing key {source}: found {type(key).__name__}, expected an Ed25519 key; {MAKE_ONE}"
        )
    return Signer(key)


def load_keys(pems: Mapping[str, bytes]) -> Keys:
    """The public keys in PEM texts, by where each comes from."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for source, pem in pems.items():
        advice = "get it with `openssl pkey -in key.pem -pubout`"
        try:
            key = load_pem_public_key(pem)
        except Exception as error:
            raise KeyFileError(f"read public key {source}: no public key in PEM ({error}); {advice}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFileError(f"read public key {source}: found {type(key).__name__}, expected Ed25519; {advice}")
        found.append(key)
    return Keys(found)


def _name(key: "Ed25519PublicKey") -> str:
    return "ed25519:" + hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]
