"""The few certificates of the native cluster: an authority, the API server's, and its own as a client.

Everybody else authenticates by token (see `access`), so nothing more is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.cluster.places import API_SERVICE_ADDRESS, HOST_ADDRESS, NODE_ADDRESS, STATE
from dev.cluster.say import run

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = STATE / "pki"
CA = FOLDER / "ca.crt"
DAYS = "365"


def ensure() -> None:
    """Make what is missing. Existing certificates stay, since running programs hold them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o700)
    if not CA.exists():
        _key("ca")
        _openssl("req", "-x509", "-new", "-key", _at("ca.key"), "-days", DAYS, "-subj", "/CN=modelyard-dev", "-out", CA)
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = ["127.0.0.1", HOST_ADDRESS, NODE_ADDRESS, API_SERVICE_ADDRESS]
    subjects = [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    _sign("apiserver", "/CN=kube-apiserver", f"extendedKeyUsage=serverAuth\nsubjectAltName={','.join(subjects)}\n")
    _sign("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet", "extendedKeyUsage=clientAuth\n")
    if not _at("serviceaccounts.key").exists():
        _key("serviceaccounts", "RSA", "rsa_keygen_bits:2048")  # service account tokens are RS256


def _sign(name: str, subject: str, extensions: str) -> None:
    if _at(f"{name}.crt").exists():
        return
    _key(name)
    request, wanted = _at(f"{name}.csr"), _at(f"{name}.ext")
    wanted.write_text(extensions)
    _openssl("req", "-new", "-key", _at(f"{name}.key"), "-subj", subject, "-out", request)
    signer: list[str | Path] = ["-CA", CA, "-CAkey", _at("ca.key"), "-CAcreateserial"]
    _openssl("x509", "-req", "-in", request, *signer, "-days", DAYS, "-extfile", wanted, "-out", _at(f"{name}.crt"))


def _key(name: str, algorithm: str = "EC", option: str = "ec_paramgen_curve:P-256") -> None:
    _openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", _at(f"{name}.key"))


def _at(name: str) -> Path:
    return FOLDER / name


def _openssl(*arguments: str | Path) -> None:
    run(["openssl", *arguments], why="make the cluster's certificates")
