"""The verify program against a real S3 server: one digest, and every reason for refusing."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.store.conftest import Bucket, Helper, digest_of
from tests.store.gateway import Gateway, free_port

FILES = {"MLmodel": b"flavors: {sklearn: {}}\n", "data/weights.bin": bytes(range(256)) * 100, "empty": b""}


def declared(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for path, content in files.items()
    ]


def test_a_folder_passes(bucket: Bucket, helper: Helper) -> None:
    bucket.put({**FILES, "marker/": b""}, "fraud/7/")
    bucket.put({"other": b"x"}, "fraud/70/")
    task = {"uri": bucket.uri("fraud/7/"), "digest": digest_of(FILES), "files": declared(FILES), "format": "MLflow"}
    outcome = helper("verify", task)
    assert outcome.code == 0
    assert outcome.result == {
        "digest": digest_of(FILES),
        "sizeBytes": sum(map(len, FILES.values())),
        "fileCount": 3,
        "format": "mlflow",
        "files": [[path, hashlib.sha256(FILES[path]).hexdigest(), len(FILES[path])] for path in sorted(FILES)],
        "warnings": [],
    }


def test_one_object_passes_under_its_own_name(bucket: Bucket, helper: Helper) -> None:
    bucket.put({"fraud/7": b"bytes", "fraud/70": b"not this", "fraud/71/inner": b"nor this"})
    outcome = helper("verify", {"uri": bucket.uri("fraud/7")})
    assert outcome.result["digest"] == digest_of({"7": b"bytes"})
    assert outcome.result["fileCount"] == 1


def test_the_same_bytes_have_one_digest_at_any_uri(bucket: Bucket, helper: Helper) -> None:
    bucket.put(FILES, "a/")
    bucket.put(FILES, "b/c/")
    found = {helper("verify", {"uri": bucket.uri(folder)}).result["digest"] for folder in ("a/", "b/c/")}
    assert found == {digest_of(FILES)}


def test_versions_are_pinned_where_the_store_keeps_them(bucket: Bucket, helper: Helper) -> None:
    bucket.version()
    bucket.put(FILES, "m/")
    listed = bucket.client.list_object_versions(Bucket=bucket.name)["Versions"]
    want = sorted([entry["Key"].removeprefix("m/"), entry["VersionId"]] for entry in listed)
    assert sorted(helper("verify", {"uri": bucket.uri("m/")}).result["objects"]) == want


WEIGHTS = FILES["data/weights.bin"]
REFUSED: list[tuple[str, str, str, dict[str, bytes]]] = [
    ("altered byte", "FileMismatch", "data/weights.bin", {**FILES, "data/weights.bin": b"\xff" + WEIGHTS[1:]}),
    ("another size", "FileMismatch", "expected size 25600, found 5", {**FILES, "data/weights.bin": b"short"}),
    ("file missing", "FileMissing", "empty", {path: FILES[path] for path in FILES if path != "empty"}),
    ("file added", "FileUndeclared", "extra.txt", {**FILES, "extra.txt": b"x"}),
]


@pytest.mark.parametrize(
    ("reason", "named", "stored"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_declared_files_are_compared_one_by_one(
    bucket: Bucket, helper: Helper, reason: str, named: str, stored: dict[str, bytes]
) -> None:
    bucket.put(stored, "m/")
    outcome = helper("verify", {"uri": bucket.uri("m/"), "files": declared(FILES)})
    assert (outcome.code, outcome.reason, outcome.transient) == (1, reason, False)
    assert named in outcome.message


def test_an_altered_byte_is_shown_with_both_hashes(bucket: Bucket, helper: Helper) -> None:
    altered = {**FILES, "MLmodel": b"flavors: {sklearn: []}\n"}
    bucket.put(altered, "m/")
    message = helper("verify", {"uri": bucket.uri("m/"), "files": declared(FILES)}).message
    want, found = (hashlib.sha256(files["MLmodel"]).hexdigest() for files in (FILES, altered))
    assert f"MLmodel: expected sha256 {want}, found {found}" in message


def test_digest_mismatch_shows_both_digests(bucket: Bucket, helper: Helper) -> None:
    bucket.put(FILES, "m/")
    expected = "sha256:" + "0" * 64
    outcome = helper("verify", {"uri": bucket.uri("m/"), "digest": expected})
    assert (outcome.reason, outcome.transient) == ("DigestMismatch", False)
    assert f"expected digest {expected}, found {digest_of(FILES)}" in outcome.message


def test_files_must_be_declared_where_the_model_demands_it(bucket: Bucket, helper: Helper) -> None:
    bucket.put(FILES, "m/")
    task = {"uri": bucket.uri("m/"), "requireDeclaredFiles": True}
    assert helper("verify", task).reason == "FilesNotDeclared"
    assert helper("verify", {**task, "files": declared(FILES)}).code == 0


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param("nothing/", "PrefixEmpty", id="empty prefix"),
        pytest.param("m", "ObjectNotFound", id="a folder written without its slash"),
        pytest.param("frau/", "PrefixEmpty", id="a prefix of a folder's name is not that folder"),
        pytest.param("missing.onnx", "ObjectNotFound", id="missing key"),
        pytest.param("backslash/", "InvalidPath", id="a key with a backslash"),
    ],
)  # fmt: skip
def test_what_is_not_there_or_not_a_tree(bucket: Bucket, helper: Helper, key: str, reason: str) -> None:
    bucket.put({"m/a": b"1", "fraud/7/a": b"1", "backslash/a\\b": b"1"})
    outcome = helper("verify", {"uri": bucket.uri(key)})
    assert (outcome.reason, outcome.transient) == (reason, False)


def test_missing_bucket(helper: Helper) -> None:
    for key in ("m/", "m"):
        outcome = helper("verify", {"uri": f"s3://no-such-bucket/{key}"})
        assert (outcome.reason, outcome.transient) == ("BucketNotFound", False)


@pytest.mark.parametrize("key", ["m/", "m/MLmodel"])
@pytest.mark.parametrize(
    ("env", "reason"),
    [
        pytest.param({"AWS_ACCESS_KEY_ID": "somebody"}, "CredentialsInvalid", id="unknown access key"),
        pytest.param({"AWS_SECRET_ACCESS_KEY": "wrong"}, "CredentialsInvalid", id="wrong secret key"),
        pytest.param({"AWS_SECRET_ACCESS_KEY": ""}, "CredentialsMissing", id="half of the credentials"),
        pytest.param({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "CredentialsMissing", id="none"),
    ],
)
def test_credentials(bucket: Bucket, helper: Helper, env: dict[str, str], reason: str, key: str) -> None:
    bucket.put(FILES, "m/")
    outcome = helper("verify", {"uri": bucket.uri(key)}, **env)
    assert (outcome.reason, outcome.transient) == (reason, False)


def test_a_user_who_may_not_read(gateway: Gateway, bucket: Bucket, helper: Helper) -> None:
    bucket.put(FILES, "m/")
    gateway.add_user("stranger", "stranger-secret")
    env = {"AWS_ACCESS_KEY_ID": "stranger", "AWS_SECRET_ACCESS_KEY": "stranger-secret"}
    for key in ("m/", "m/MLmodel"):
        outcome = helper("verify", {"uri": bucket.uri(key)}, **env)
        assert (outcome.reason, outcome.transient) == ("AccessDenied", False)


def test_store_down_is_tried_again(bucket: Bucket, helper: Helper) -> None:
    outcome = helper("verify", {"uri": bucket.uri("m/")}, AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    assert (outcome.reason, outcome.transient) == ("StoreUnavailable", True)


def test_a_name_that_does_not_resolve_is_tried_again(bucket: Bucket, helper: Helper) -> None:
    outcome = helper("verify", {"uri": bucket.uri("m/")}, AWS_ENDPOINT_URL="http://store.invalid")
    assert (outcome.reason, outcome.transient) == ("StoreUnavailable", True)


def test_the_result_of_a_thousand_files_fits(bucket: Bucket, helper: Helper) -> None:
    bucket.version()
    bucket.put({f"a/rather/long/folder/name/{number:04}.bin": b"x" for number in range(120)}, "m/")
    outcome = helper("verify", {"uri": bucket.uri("m/")})
    assert (outcome.code, outcome.result["fileCount"]) == (0, 120)
    assert outcome.size <= 4096
    assert "objects" not in outcome.result


def test_a_crash_is_reported_and_tried_again(helper: Helper) -> None:
    outcome = helper("verify", {"uri": 7})
    assert (outcome.code, outcome.reason, outcome.transient) == (1, "InternalError", True)
    assert "Traceback" in outcome.log


def test_a_private_certificate_authority(tmp_path: Path, helper: Helper) -> None:
    (tmp_path / "store").mkdir()
    private = Gateway(tmp_path / "store", tls=True)
    private.start()
    try:
        task = {"uri": "s3://no-such-bucket/m/"}
        trusted = {"AWS_ENDPOINT_URL": private.endpoint, "MODELYARD_CA_BUNDLE": private.certificate.read_text()}
        assert helper("verify", task, **trusted).reason == "BucketNotFound"
        outcome = helper("verify", task, AWS_ENDPOINT_URL=private.endpoint)
        assert (outcome.reason, outcome.transient) == ("StoreUnavailable", True)
        assert "storage.caBundle" in outcome.message
    finally:
        private.stop()
