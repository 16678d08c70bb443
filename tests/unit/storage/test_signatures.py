"""What hostile, broken and merely odd signatures meet with. What honest ones do: `tests/store/test_signatures.py`."""

import base64
import hashlib
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelyard.storage.errors import ArtifactError
from modelyard.storage.local import LocalStore, local_location
from modelyard.storage.signatures import trust
from modelyard.storage.signatures.bundle import MAX_BYTES, MEDIA_TYPE, PAYLOAD_TYPE, Bundle, parse_bundle
from modelyard.storage.signatures.signers import find_signer
from modelyard.storage.signatures.statement import PREDICATE_TYPE, STATEMENT_TYPE
from modelyard.storage.verification import Expectation, Verified, verify
from tests.signing import CODE_SIGNING, Certificate, Key

Document = dict[str, Any]
NOW = datetime.now(UTC)
KEY = Key()
CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def statement(**changes: Any) -> Document:
    """An honest statement on one file, as `model_signing` makes them."""
    resources = [{"name": "model.bin", "algorithm": "sha256", "digest": SHA256}]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "m", "digest": {"sha256": hashlib.sha256(bytes.fromhex(SHA256)).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"serialization": {"method": "files", "hash_type": "sha256"}, "resources": resources},
    } | changes


def predicate(*resources: Any, **serialization: Any) -> Document:
    honest = {"method": "files", "hash_type": "sha256"}
    return {"predicate": {"serialization": honest | serialization, "resources": list(resources)}}


def bundle(payload: bytes | Document | None = None, by: Key = KEY, **changes: Any) -> Document:
    """A bundle whose signature is good, whatever was signed."""
    raw = payload if isinstance(payload, bytes) else json.dumps(statement() if payload is None else payload).encode()
    signed = Bundle(raw, b"").signed_bytes
    signature = base64.b64encode(by.private.sign(signed, ec.ECDSA(hashes.SHA256()))).decode()
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(raw).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": signature, "keyid": ""}],
        },
    } | changes


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Verified]:
    """Verify one file with this signature beside it, by a Model that trusts KEY and requires a signature."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.bin").write_bytes(CONTENT)

    def judge(content: bytes | Document, **policy: Any) -> Verified:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (tmp_path / "m.sig").write_bytes(raw)
        task = {"required": True, "keys": [KEY.trusted()], **policy}
        return verify(LocalStore(), local_location(str(tmp_path / "m")), Expectation.parse({"signature": task}), NOW)

    return judge


def test_the_honest_one_passes(judged: Callable[..., Verified]) -> None:
    signed = judged(bundle()).signed
    assert signed
    assert signed.signer.by == "release"


ENVELOPE = bundle()["dsseEnvelope"]
SIG = ENVELOPE["signatures"][0]
KEYLESS = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
RESOURCE = {"name": "model.bin", "algorithm": "sha256", "digest": SHA256}
REFUSED: dict[str, tuple[bytes | Document, str, str]] = {
    "empty": (b"", "SignatureInvalid", "it is empty"),
    "not JSON": (b"-----BEGIN PGP SIGNATURE-----", "SignatureInvalid", "not JSON"),
    "not UTF-8": (b'{"\xff": 1}', "SignatureInvalid", "not JSON"),
    "a number": (b"7", "SignatureInvalid", "not a JSON object"),
    "nested without end": (b"[" * 1500, "SignatureInvalid", "not JSON"),
    "a million empty lists": (b"[" + b"[]," * 1_000_000 + b"[]]", "SignatureInvalid", "parts"),
    "a million texts": (b'["a"' + b',"b"' * 1_000_000 + b"]", "SignatureInvalid", "parts"),
    "larger than any signature": (b" " * (MAX_BYTES + 1), "SignatureInvalid", "at most"),
    "another media type": (bundle(mediaType="application/json"), "SignatureUnsupported", "application/json"),
    "keyless": (bundle(verificationMaterial=KEYLESS), "SignatureUnsupported", "keyless"),
    "no material": (bundle(verificationMaterial={}), "SignatureInvalid", "neither publicKey nor"),
    "material of a wrong type": (bundle(verificationMaterial=[1]), "SignatureInvalid", "verificationMaterial"),
    "no envelope": (bundle(dsseEnvelope=None), "SignatureInvalid", "dsseEnvelope"),
    "another payload type": (
        bundle(dsseEnvelope=ENVELOPE | {"payloadType": "text/plain"}), "SignatureInvalid", "text/plain"
    ),
    "no signature": (bundle(dsseEnvelope=ENVELOPE | {"signatures": []}), "SignatureInvalid", "0 signatures"),
    "two signatures": (bundle(dsseEnvelope=ENVELOPE | {"signatures": [SIG, SIG]}), "SignatureInvalid", "2 signatures"),
    "a signature of a wrong type": (bundle(dsseEnvelope=ENVELOPE | {"signatures": [7]}), "SignatureInvalid", "exactly"),
    "not base64": (bundle(dsseEnvelope=ENVELOPE | {"payload": "%%%"}), "SignatureInvalid", "not base64"),
    "not ASCII": (bundle(dsseEnvelope=ENVELOPE | {"payload": "\u00e4"}), "SignatureInvalid", "not base64"),
    "no certificates": (
        bundle(verificationMaterial={"x509CertificateChain": {"certificates": []}}), "SignatureInvalid", "0 certif"
    ),
    "eleven certificates": (
        bundle(verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}] * 11}}),
        "SignatureInvalid", "11 certificates",
    ),
    "no certificate": (
        bundle(verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}),
        "SignatureInvalid", "cannot be read",
    ),
    "signed by another key": (bundle(by=Key()), "SignatureUntrusted", "lists: 'release'"),
    "the payload exchanged": (
        bundle(dsseEnvelope=ENVELOPE | {"payload": base64.b64encode(b"{}").decode()}), "SignatureUntrusted", "lists"
    ),
    "signed: not JSON": (bundle(b"\x00"), "SignatureInvalid", "not a statement"),
    "signed: a list": (bundle(b"[]"), "SignatureInvalid", "not a statement"),
    "signed: nested": (bundle(b"[" * 100_000), "SignatureInvalid", "not a statement"),
    "signed: of another type": (bundle(statement(_type="x")), "SignatureInvalid", "type 'x'"),
    "signed: another predicate": (
        bundle(statement(predicateType="https://slsa.dev/provenance/v1")), "SignatureUnsupported", "slsa"
    ),
    "signed: no files": (
        bundle(
            statement(subject=[{"digest": {"sha256": hashlib.sha256(b"").hexdigest()}}], **predicate())
        ),
        "SignatureInvalid", "lists no files",
    ),
    "signed: a file twice": (bundle(statement(**predicate(RESOURCE, RESOURCE))), "SignatureInvalid", "twice"),
    "signed: a short hash": (
        bundle(statement(**predicate(RESOURCE | {"digest": "abcd"}))), "SignatureInvalid", "not a statement"
    ),
    "signed: hash of a wrong type": (
        bundle(statement(**predicate(RESOURCE | {"digest": 7}))), "SignatureInvalid", "not a statement"
    ),
    "signed: name of a wrong type": (
        bundle(statement(**predicate(RESOURCE | {"name": ["model.bin"]}))), "SignatureInvalid", "not a statement"
    ),
    "signed: another algorithm": (
        bundle(statement(**predicate(RESOURCE | {"algorithm": "md5"}))), "SignatureInvalid", "not a statement"
    ),
    "signed: its own digest is wrong": (
        bundle(statement(subject=[{"digest": {"sha256": "0" * 64}}])), "SignatureInvalid", "own digest"
    ),
    "signed: two subjects": (bundle(statement(subject=[{}, {}])), "SignatureInvalid", "not a statement"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason", "named"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_signature_is_refused_with_a_sentence(
    judged: Callable[..., Verified], content: bytes | Document, reason: str, named: str
) -> None:
    with pytest.raises(ArtifactError) as refused:
        judged(content)
    assert (refused.value.reason, refused.value.transient) == (reason, False)
    assert named in refused.value.message
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize(("content", "reason"), [pair[:2] for pair in REFUSED.values()], ids=REFUSED)
def test_where_nobody_demands_one_it_is_a_warning(
    judged: Callable[..., Verified], content: bytes | Document, reason: str
) -> None:
    found = judged(content, required=False)
    assert [note.reason for note in found.notes] == [reason]
    assert found.signed is None


def test_a_signature_by_somebody_trusted_over_other_bytes_is_refused_even_then(
    judged: Callable[..., Verified], tmp_path: Path
) -> None:
    (tmp_path / "m" / "model.bin").write_bytes(b"Weights")
    with pytest.raises(ArtifactError) as refused:
        judged(bundle(), required=False)
    assert refused.value.reason == "SignatureMismatch"
    assert SHA256 in refused.value.message


def test_a_wrong_signature_under_a_trusted_keys_name(judged: Callable[..., Verified]) -> None:
    """Not a stranger's: the Model's key is named, so that one looks for what was altered."""
    hint = hashlib.sha256(KEY.public_pem.encode()).hexdigest()
    with pytest.raises(ArtifactError) as refused:
        judged(bundle(by=Key(), verificationMaterial={"publicKey": {"hint": hint}}))
    assert refused.value.reason == "SignatureInvalid"
    assert "'release'" in refused.value.message


WORDS = (
    "mediaType verificationMaterial dsseEnvelope payload payloadType signatures sig publicKey hint "
    "x509CertificateChain certificates certificate rawBytes"
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS.split()), inner), max_leaves=12
)


@settings(max_examples=30)
@given(DOCUMENTS)
def test_nothing_that_parses_makes_it_crash(document: Any) -> None:
    for candidate in (document, {"mediaType": MEDIA_TYPE, "verificationMaterial": document, "dsseEnvelope": document}):
        with pytest.raises(ArtifactError):
            parse_bundle(json.dumps(candidate).encode())


ROOT = Certificate("root")
LEAF = Certificate("releases", ROOT, authority=False, email="release@example.com", purposes=(CODE_SIGNING,))
LEAF_DER = LEAF.made.public_bytes(Encoding.DER)
POLICY = trust.SignaturePolicy.parse({"certificates": [ROOT.trusted({"subject": "CN=releases"})]})
OVER_NOTHING = LEAF.key.private.sign(Bundle(b"", b"").signed_bytes, ec.ECDSA(hashes.SHA256()))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, len(LEAF_DER) - 1), st.integers(0, 255)), min_size=1, max_size=3))
@example([(0, LEAF_DER[0])])
@example([(LEAF_DER.index(bytes.fromhex("06082a8648ce3d030107")) + 5, 0)])  # another curve
@example([(12, 85)])  # another version of X.509
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_certificate_makes_it_crash_and_no_altered_one_is_trusted(changes: list[tuple[int, int]]) -> None:
    altered = bytearray(LEAF_DER)
    for position, value in changes:
        altered[position] = value
    found = Bundle(b"", OVER_NOTHING, certificates=(bytes(altered),))
    if altered == LEAF_DER:
        assert find_signer(found, POLICY, NOW).subject == "CN=releases"
        return
    with pytest.raises(ArtifactError) as refused:
        find_signer(found, POLICY, NOW)
    assert refused.value.reason in ("SignatureInvalid", "SignatureUntrusted")


@pytest.mark.parametrize("content", [b"[]," * 5_000_000, b'"\\ud800",' * 1_000_000], ids=["lists", "texts"])
def test_a_hostile_signature_costs_no_memory(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError):
            parse_bundle(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


RSA = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
UNUSABLE: dict[str, tuple[Document, str]] = {
    "no PEM": ({"pem": "-----BEGIN PUBLIC KEY-----\nAAAA"}, "not a public key in PEM"),
    "a key of another kind": ({"pem": RSA.decode()}, "one of the curves"),
    "a curve that is not used": ({"pem": Key(ec.SECP256K1()).public_pem}, "one of the curves"),
}


@pytest.mark.parametrize(("entry", "named"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_of_the_model_that_cannot_be_used(judged: Callable[..., Verified], entry: Document, named: str) -> None:
    bad = {"name": "broken", "id": "b", **entry}
    with pytest.raises(ArtifactError) as refused:
        judged(bundle(), keys=[bad])
    assert (refused.value.reason, refused.value.transient) == ("SignaturePolicyInvalid", False)
    assert "keys[broken]" in refused.value.message
    assert named in refused.value.message
    assert judged(bundle(), keys=[bad, KEY.trusted()]).signed, "it is in nobody's way"


@pytest.mark.parametrize("kind", ["keys", "certificates"])
def test_what_a_config_map_does_not_hold_yet_is_waited_for(
    judged: Callable[..., Verified], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "TRUST_FOLDER", str(tmp_path))
    root = Certificate("root")
    leaf = Certificate("releases", root, authority=False)
    entry = {"name": "shared", "id": "s", "file": "0.pem", "origin": "key 'a' of ConfigMap 'keys'"}
    policy: Document = {"keys": [], "certificates": [], kind: [{**entry, "identities": [{"subject": "CN=releases"}]}]}
    chain = [{"rawBytes": base64.b64encode(one.made.public_bytes(Encoding.DER)).decode()} for one in (leaf, root)]
    material = {"publicKey": {}} if kind == "keys" else {"x509CertificateChain": {"certificates": chain}}
    signed = bundle(by=KEY if kind == "keys" else leaf.key, verificationMaterial=material)
    with pytest.raises(ArtifactError) as refused:
        judged(signed, **policy)
    assert (refused.value.reason, refused.value.transient) == ("SignaturePolicyInvalid", True)
    assert "key 'a' of ConfigMap 'keys'" in refused.value.message
    (tmp_path / "0.pem").write_text(KEY.public_pem if kind == "keys" else root.pem)
    found = judged(signed, **policy).signed
    assert found
    assert found.signer.listed_as == "shared"


def test_a_signature_that_is_overwritten_while_the_model_is_read(
    judged: Callable[..., Verified], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in the folder is one of the files: what was judged has to be what was hashed."""
    inside = tmp_path / "m" / "model.sig"
    inside.write_text(json.dumps(bundle()))
    read, opened = LocalStore.read, []

    def overwriting(store: LocalStore, bucket: str, item: Any, start: int, length: int) -> Any:
        opened.append(item.path)
        if opened.count("model.sig") == 2:
            inside.write_text(inside.read_text().replace("sig", "gis", 1))
        return read(store, bucket, item, start, length)

    monkeypatch.setattr(LocalStore, "read", overwriting)
    with pytest.raises(ArtifactError) as refused:
        judged(b"")
    assert (refused.value.reason, refused.value.transient) == ("ChangedWhileRead", True)
