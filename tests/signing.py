"""Signs models with the real `model_signing`, with keys and certificates that are made for the test."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)
CODE_SIGNING, SERVER_AUTH = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass
class Key:
    """A private key, and its parts as files and tasks want them."""

    curve: ec.EllipticCurve = field(default_factory=ec.SECP256R1)

    def __post_init__(self) -> None:
        self.private = ec.generate_private_key(self.curve)

    @property
    def pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def fingerprint(self) -> str:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return f"sha256:{digest.finalize().hex()}"

    def trusted(self, name: str = "release") -> dict[str, Any]:
        """As the verify pod is told of it."""
        return {"name": name, "id": f"id-of-{name}", "pem": self.public_pem}


@dataclass
class Certificate:
    """A certificate with its key; an authority unless it says otherwise."""

    name: str
    issuer: "Certificate | None" = None
    authority: bool = True
    email: str = ""
    days: tuple[float, float] = (-1, 30)
    signs: bool | None = True
    """Its key usage: whether it includes digital signatures; None for no key usage at all."""
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    key: Key = field(default_factory=Key)

    def __post_init__(self) -> None:
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        issuer = self.issuer or self
        builder = x509.CertificateBuilder(
            issuer_name=issuer.made.subject if self.issuer else own,
            subject_name=own,
            public_key=self.key.private.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=NOW + timedelta(days=self.days[0]),
            not_valid_after=NOW + timedelta(days=self.days[1]),
        )
        for extension in self._extensions():
            builder = builder.add_extension(extension, critical=False)
        self.made = builder.sign(issuer.key.private, hashes.SHA256())

    def _extensions(self) -> Iterable[x509.ExtensionType]:
        yield x509.BasicConstraints(ca=self.authority, path_length=None)
        if self.signs is not None:
            others = (False,) * 4
            yield x509.KeyUsage(
                self.signs and not self.authority, *others, self.authority, self.authority, False, False
            )
        if self.email:
            yield x509.SubjectAlternativeName([x509.RFC822Name(self.email)])
        if self.purposes:
            yield x509.ExtendedKeyUsage(self.purposes)

    @property
    def pem(self) -> str:
        return self.made.public_bytes(Encoding.PEM).decode()

    def trusted(self, *identities: dict[str, str], name: str = "corporate") -> dict[str, Any]:
        """As the verify pod is told of it, with those whose signatures count."""
        return {"name": name, "id": f"id-of-{name}", "pem": self.pem, "identities": list(identities)}


def sign(model: Path, signature: Path, by: Key | list[Certificate], **hashing: Any) -> bytes:
    """Sign a folder or a file as `model_signing sign` does; by a certificate with those that lead to its root."""
    from model_signing import signing
    from model_signing.hashing import Config

    signer = signing.Config()
    work = signature.parent
    if isinstance(by, Key):
        (work / "private.pem").write_bytes(by.pem)
        signer = signer.use_elliptic_key_signer(private_key=work / "private.pem")
    else:
        (work / "private.pem").write_bytes(by[0].key.pem)
        for index, certificate in enumerate(by):
            (work / f"{index}.crt").write_text(certificate.pem)
        signer = signer.use_certificate_signer(
            private_key=work / "private.pem",
            signing_certificate=work / "0.crt",
            certificate_chain=[work / f"{index}.crt" for index in range(1, len(by))],
        )
    if hashing:
        signer = signer.set_hashing_config(getattr(Config(), hashing.pop("how", "use_file_serialization"))(**hashing))
    signer.sign(model, signature)
    return signature.read_bytes()
