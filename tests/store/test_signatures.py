"""What `model_signing` signs is verified against a real S3 server, and nothing else is."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelyard.pods.verify import report
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import parse_uri
from modelyard.storage.s3 import S3Store
from modelyard.storage.signatures.bundle import MAX_BYTES, parse_bundle
from modelyard.storage.signatures.statement import parse_statement
from modelyard.storage.verification import Expectation, verify
from tests.signing import CODE_SIGNING, SERVER_AUTH, Certificate, Key, sign
from tests.store.conftest import Bucket, Helper, digest_of

FILES = {"MLmodel": b"flavors: {sklearn: {}}\n", "data/weights.bin": bytes(range(256)) * 100, "empty": b""}
MAIL = {"email": "release@example.com"}


class Desk:
    """Where models are signed and put into the bucket."""

    def __init__(self, bucket: Bucket, store: S3Store, folder: Path) -> None:
        self.bucket, self.store = bucket, store
        self.model, self.work = folder / "model", folder / "work"
        self.work.mkdir()
        for path, content in FILES.items():
            (self.model / path).parent.mkdir(parents=True, exist_ok=True)
            (self.model / path).write_bytes(content)

    def sign(self, by: Any, **hashing: Any) -> bytes:
        return sign(self.model, self.work / "model.sig", by, **hashing)

    def verify(self, key: str = "m/", **signature: Any) -> dict[str, Any]:
        """What the verify program finds, in this process; `warnings` are those that it would tell."""
        location = parse_uri(self.bucket.uri(key))
        expected = Expectation.parse({"signature": {"required": True, **signature}})
        return report(verify(self.store, location, expected, datetime.now(UTC)))

    def refused(self, key: str = "m/", **signature: Any) -> ArtifactError:
        with pytest.raises(ArtifactError) as refused:
            self.verify(key, **signature)
        return refused.value


@pytest.fixture
def desk(bucket: Bucket, store: S3Store, tmp_path: Path) -> Desk:
    return Desk(bucket, store, tmp_path)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_key_of_each_curve(desk: Desk, curve: ec.EllipticCurve) -> None:
    key = Key(curve)
    desk.bucket.put(FILES, "m/")
    desk.bucket.put({"m.sig": desk.sign(key)})
    outcome = desk.verify(keys=[Key().trusted("old"), key.trusted()])
    assert outcome["digest"] == digest_of(FILES)
    assert outcome["signature"] == {
        "by": "release",
        "method": "Key",
        "fingerprint": key.fingerprint,
        "listedAs": "release",
        "entry": "id-of-release",
        "uri": desk.bucket.uri("m.sig"),
    }


def test_a_signature_in_the_folder_counts_in_the_digest_and_not_in_itself(desk: Desk) -> None:
    key = Key()
    stored = {**FILES, "model.sig": desk.sign(key)}
    desk.bucket.put(stored, "m/")
    outcome = desk.verify(keys=[key.trusted()])
    assert outcome["digest"] == digest_of(stored)
    assert outcome["signature"]["uri"] == desk.bucket.uri("m/model.sig")


@pytest.mark.parametrize("uri", ["elsewhere/7.json", "m/signed/by-us"])
def test_a_signature_where_the_version_says(desk: Desk, uri: str) -> None:
    key = Key()
    desk.bucket.put(FILES, "m/")
    desk.bucket.put({uri: desk.sign(key)})
    outcome = desk.verify(required=False, uri=desk.bucket.uri(uri), keys=[key.trusted()])
    assert outcome["signature"]["uri"] == desk.bucket.uri(uri)


def test_one_file(desk: Desk) -> None:
    key = Key()
    signature = sign(desk.model / "MLmodel", desk.work / "model.sig", key)
    desk.bucket.put({"fraud/7": FILES["MLmodel"], "fraud/7.sig": signature})
    assert desk.verify("fraud/7", keys=[key.trusted()])["signature"]["by"] == "release"
    desk.bucket.put({"fraud/7": b"other"})
    assert desk.refused("fraud/7", keys=[key.trusted()]).reason == "SignatureMismatch"


def test_what_the_documented_commands_sign(desk: Desk) -> None:
    signer = certificate()
    for name, text in (("key", signer.key.pem.decode()), ("crt", signer.pem)):
        (desk.work / f"release.{name}").write_text(text)
    (desk.work / "release.pub").write_text(signer.key.public_pem)
    (desk.work / "intermediate.crt").write_text(MIDDLE.pem)
    shutil.copytree(desk.model, desk.work / "fraud" / "7")
    page = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^model_signing (sign .*)$", page, flags=re.MULTILINE)
    assert len(commands) == 2
    found = []
    for command in commands:
        whole = [sys.executable, "-m", "model_signing", *command.split()]
        subprocess.run(whole, cwd=desk.work, check=True, capture_output=True)
        desk.bucket.put({**FILES, "model.sig": (desk.work / "fraud" / "7" / "model.sig").read_bytes()}, "m/")
        found.append(desk.verify(keys=[signer.key.trusted()], certificates=[ROOT.trusted(MAIL)])["signature"]["by"])
    assert found == ["release", MAIL["email"]]


WEIGHTS = FILES["data/weights.bin"]
TAMPERED: dict[str, tuple[dict[str, bytes], str]] = {
    "altered byte": ({**FILES, "data/weights.bin": b"\xff" + WEIGHTS[1:]}, "data/weights.bin: signed with sha256"),
    "file added": ({**FILES, "extra.py": b"x"}, "extra.py: in the store and not signed"),
    "file removed": ({path: FILES[path] for path in FILES if path != "empty"}, "empty: signed and not in the store"),
    "unsigned by default": ({**FILES, ".gitattributes": b"x"}, ".gitattributes: in the store and not signed"),
}


@pytest.mark.parametrize("required", [True, False], ids=["required", "not required"])
@pytest.mark.parametrize(("stored", "named"), TAMPERED.values(), ids=TAMPERED)
def test_other_files_than_those_signed(desk: Desk, stored: dict[str, bytes], named: str, required: bool) -> None:
    key = Key()
    desk.bucket.put({**stored, "model.sig": desk.sign(key)}, "m/")
    refused = desk.refused(required=required, keys=[key.trusted()])
    assert (refused.reason, refused.transient) == ("SignatureMismatch", False)
    assert named in refused.message


def test_another_models_signature(desk: Desk) -> None:
    key = Key()
    signature = desk.sign(key)
    desk.bucket.put({"MLmodel": b"another: model\n", "model.sig": signature}, "m/")
    assert desk.refused(keys=[key.trusted()]).reason == "SignatureMismatch"


def test_a_key_that_is_not_listed(desk: Desk) -> None:
    desk.bucket.put({**FILES, "model.sig": desk.sign(Key())}, "m/")
    refused = desk.refused(keys=[Key().trusted()])
    assert (refused.reason, refused.transient) == ("SignatureUntrusted", False)
    assert "lists: 'release'" in refused.message
    warned = desk.verify(required=False, keys=[Key().trusted()])
    assert warned["warnings"][0]["reason"] == "SignatureUntrusted"
    assert "signature" not in warned


def test_no_signature(desk: Desk) -> None:
    desk.bucket.put(FILES, "m/")
    refused = desk.refused(keys=[Key().trusted()])
    assert (refused.reason, refused.transient) == ("SignatureMissing", False)
    assert desk.bucket.uri("m/model.sig") in refused.message
    assert desk.bucket.uri("m.sig") in refused.message
    assert desk.verify(required=False, keys=[Key().trusted()])["warnings"] == []


def test_a_signature_that_the_version_names_and_that_is_not_there(desk: Desk) -> None:
    desk.bucket.put(FILES, "m/")
    refused = desk.refused(required=False, uri=desk.bucket.uri("gone"), keys=[Key().trusted()])
    assert refused.reason == "SignatureMissing"
    assert "spec.artifact.signature.uri" in refused.message


def test_a_claim_that_nobody_can_judge_is_a_warning(desk: Desk) -> None:
    """The version says that it is signed, and the Model lists nobody."""
    desk.bucket.put({**FILES, "m.sig": desk.sign(Key())}, "m/")
    (warning,) = desk.verify(required=False, uri=desk.bucket.uri("m/m.sig"))["warnings"]
    assert warning["reason"] == "SignatureUntrusted"
    assert "lists: nobody" in warning["message"]


def test_a_signature_over_fifty_thousand_files_would_fit(desk: Desk) -> None:
    many = {f"model-{number:05}-of-50000.safetensors": b"" for number in range(1_000)}
    for path in many:
        (desk.model / path).write_bytes(b"")
    key = Key()
    content = desk.sign(key)
    signed = parse_statement(parse_bundle(content).payload)
    assert signed.files.keys() == {*FILES, *many}
    assert len(content) * 50 < MAX_BYTES


ROOT = Certificate("root")
MIDDLE = Certificate("intermediate", ROOT)


def certificate(**more: Any) -> Certificate:
    return Certificate("releases", MIDDLE, authority=False, email=MAIL["email"], **more)


@pytest.mark.parametrize("identity", [MAIL, {"subject": "CN=releases"}], ids=["email", "subject"])
@pytest.mark.parametrize("purposes", [(), (CODE_SIGNING,)], ids=["any purpose", "code signing"])
def test_a_certificate(desk: Desk, identity: dict[str, str], purposes: tuple[Any, ...]) -> None:
    signer = certificate(purposes=purposes)
    desk.bucket.put({**FILES, "model.sig": desk.sign([signer, MIDDLE])}, "m/")
    outcome = desk.verify(certificates=[ROOT.trusted({"uri": "spiffe://other"}, identity)])
    found = outcome["signature"]
    assert (found["by"], found["method"], found["subject"]) == (*identity.values(), "Certificate", "CN=releases")
    assert found["fingerprint"] == signer.key.fingerprint


IMPOSTOR = Certificate("root")  # of the same name, with a key of its own
NOT_AN_AUTHORITY = Certificate("web server", ROOT, authority=False)
REFUSED: dict[str, tuple[Callable[[], list[Certificate]], list[dict[str, Any]], str]] = {
    "expired": (lambda: [certificate(days=(-9, -1)), MIDDLE], [MAIL], "not now"),
    "not yet valid": (lambda: [certificate(days=(1, 9)), MIDDLE], [MAIL], "not now"),
    "an authority of the same name": (
        lambda: [Certificate("releases", IMPOSTOR, authority=False, email=MAIL["email"]), IMPOSTOR],
        [MAIL], "not trusted",
    ),
    "the chain is not there": (lambda: [certificate(), ROOT], [MAIL], "not trusted"),
    "issued by who is no authority": (
        lambda: [
            Certificate("releases", NOT_AN_AUTHORITY, authority=False, email=MAIL["email"]), NOT_AN_AUTHORITY,
        ],
        [MAIL], "not trusted",
    ),
    "somebody else whom it certifies": (lambda: [certificate(), MIDDLE], [{"email": "a@example.com"}], MAIL["email"]),
    "a server's certificate": (lambda: [certificate(purposes=(SERVER_AUTH,)), MIDDLE], [MAIL], "code signing"),
    "not for signatures": (lambda: [certificate(signs=False), MIDDLE], [MAIL], "digital signatures"),
}  # fmt: skip


@pytest.mark.parametrize(("chain", "identities", "why"), REFUSED.values(), ids=REFUSED)
def test_a_certificate_that_is_not_trusted(
    desk: Desk, chain: Callable[[], list[Certificate]], identities: list[dict[str, str]], why: str
) -> None:
    desk.bucket.put({**FILES, "model.sig": desk.sign(chain())}, "m/")
    refused = desk.refused(certificates=[ROOT.trusted(*identities)])
    assert (refused.reason, refused.transient) == ("SignatureUntrusted", False)
    assert why in refused.message


def test_a_key_is_not_trusted_because_a_certificate_is(desk: Desk) -> None:
    signer = certificate()
    desk.bucket.put({**FILES, "model.sig": desk.sign(signer.key)}, "m/")
    assert desk.refused(certificates=[ROOT.trusted(MAIL)]).reason == "SignatureUntrusted"


@pytest.mark.parametrize(
    "hashing",
    [{"hashing_algorithm": "blake2"}, {"how": "use_shard_serialization", "shard_size": 1000}],
    ids=["blake2", "shards"],
)
def test_ways_of_hashing_that_are_not_checked(desk: Desk, hashing: dict[str, Any]) -> None:
    key = Key()
    desk.bucket.put({**FILES, "model.sig": desk.sign(key, **hashing)}, "m/")
    refused = desk.refused(keys=[key.trusted()])
    assert refused.reason == "SignatureUnsupported"
    assert "sign the model again" in refused.message


def test_the_program_that_pods_run(desk: Desk, helper: Helper) -> None:
    key = Key()
    desk.bucket.put({**FILES, "model.sig": desk.sign(key)}, "m/")
    task = {"uri": desk.bucket.uri("m/"), "signature": {"required": True, "keys": [key.trusted()]}}
    passed = helper("verify", task)
    assert (passed.code, passed.result["signature"]["fingerprint"]) == (0, key.fingerprint)
    desk.bucket.put({"MLmodel": b"another: model\n"}, "m/")
    refused = helper("verify", task)
    assert (refused.code, refused.reason, refused.transient) == (1, "SignatureMismatch", False)


def test_judging_a_signature_takes_little_memory(desk: Desk, helper: Helper) -> None:
    """Compared with the same artifact when nobody asks for signatures."""
    key = Key()
    desk.bucket.put({**FILES, "model.sig": desk.sign(key)}, "m/")
    asked = _peak(desk, helper, {"keys": [key.trusted()]})
    plain = _peak(desk, helper, None)
    assert asked - plain < 20 << 10, f"{plain} KiB, with a signature {asked} KiB"


def _peak(desk: Desk, helper: Helper, signature: dict[str, Any] | None) -> int:
    """KiB that the verify program takes at most (ru_maxrss would count what it was forked from)."""
    code = (
        "import runpy, sys; sys.argv = ['verify']\n"
        "sys.modules['OpenSSL'] = None\n"  # the image has none, and botocore would load it and all below
        "try: runpy.run_module('modelyard.pods.verify', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    (desk.work / "task").write_text(json.dumps({"uri": desk.bucket.uri("m/"), "signature": signature}))
    files = {"MODELYARD_TASK_FILE": str(desk.work / "task"), "MODELYARD_RESULT_FILE": str(desk.work / "result")}
    environment = {**os.environ, **helper.env, **files}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])
