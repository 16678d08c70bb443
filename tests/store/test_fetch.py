"""The fetch and check programs against a real S3 server."""

import stat
from pathlib import Path

from modelyard.storage.fetching import INCOMING
from tests.store.conftest import Bucket, Helper, digest_of

FILES = {"MLmodel": b"flavors: {sklearn: {}}\n", "data/deep/weights.bin": bytes(range(256)) * 100, "empty": b""}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_lie_where_the_server_reads_them(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.put(FILES, "fraud/7/")
    bucket.put({"x": b"x"}, "fraud/70/")
    target = tmp_path / "models"
    outcome = helper("fetch", {"uri": bucket.uri("fraud/7/"), "digest": digest_of(FILES)}, str(target))
    size = sum(map(len, FILES.values()))
    assert (outcome.code, outcome.result) == (0, {"digest": digest_of(FILES), "sizeBytes": size, "fileCount": 3})
    assert tree(target) == FILES
    for path in target.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


def test_a_single_object_lies_under_its_name(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.put({"m/model.onnx": b"bytes"})
    target = tmp_path / "models"
    task = {"uri": bucket.uri("m/model.onnx"), "digest": digest_of({"model.onnx": b"bytes"})}
    assert helper("fetch", task, str(target)).code == 0
    assert tree(target) == {"model.onnx": b"bytes"}


def test_other_bytes_leave_nothing_behind(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.put({**FILES, "MLmodel": b"altered"}, "m/")
    target = tmp_path / "models"
    outcome = helper("fetch", {"uri": bucket.uri("m/"), "digest": digest_of(FILES)}, str(target))
    assert (outcome.code, outcome.reason, outcome.transient) == (1, "DigestMismatch", False)
    assert digest_of(FILES) in outcome.message
    assert digest_of({**FILES, "MLmodel": b"altered"}) in outcome.message
    assert list(target.iterdir()) == []


def test_an_added_file_is_other_bytes(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.put({**FILES, "added": b""}, "m/")
    outcome = helper("fetch", {"uri": bucket.uri("m/"), "digest": digest_of(FILES)}, str(tmp_path / "models"))
    assert outcome.reason == "DigestMismatch"


def test_a_restarted_container_starts_over(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.put(FILES, "m/")
    target = tmp_path / "models"
    (target / INCOMING / "data").mkdir(parents=True)
    (target / INCOMING / "data" / "half").write_bytes(b"half")
    (target / "stale").mkdir()
    (target / "link").symlink_to("/etc")
    task = {"uri": bucket.uri("m/"), "digest": digest_of(FILES)}
    for _ in range(2):
        assert helper("fetch", task, str(target)).code == 0
        assert tree(target) == FILES


def test_pinned_versions_are_fetched_after_an_overwrite(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.version()
    bucket.put(FILES, "m/")
    verified = helper("verify", {"uri": bucket.uri("m/")}).result
    bucket.put({"MLmodel": b"overwritten", "added": b"x"}, "m/")
    bucket.client.delete_object(Bucket=bucket.name, Key="m/empty")
    target = tmp_path / "models"
    task = {"uri": bucket.uri("m/"), "digest": verified["digest"], "objects": verified["objects"]}
    assert helper("fetch", task, str(target)).code == 0
    assert tree(target) == FILES
    counts = {"fileCount": verified["fileCount"], "sizeBytes": verified["sizeBytes"]}
    assert helper("check", {**task, **counts}).result == {"ok": True}


def test_a_path_that_leaves_the_folder_is_refused(bucket: Bucket, helper: Helper, tmp_path: Path) -> None:
    bucket.put(FILES, "m/")
    task = {"uri": bucket.uri("m/"), "digest": digest_of(FILES), "objects": [["../escaped", "1"]]}
    assert helper("fetch", task, str(tmp_path / "models")).reason == "InvalidPath"
    assert not (tmp_path / "escaped").exists()


def test_check_without_pinned_versions_compares_the_listing(bucket: Bucket, helper: Helper) -> None:
    bucket.put(FILES, "m/")
    size = sum(map(len, FILES.values()))
    task = {"uri": bucket.uri("m/"), "digest": digest_of(FILES), "objects": None, "fileCount": 3, "sizeBytes": size}
    assert helper("check", task).result == {"ok": True}
    assert helper("check", {**task, "fileCount": None, "sizeBytes": None}).result == {"ok": True}
    bucket.client.delete_object(Bucket=bucket.name, Key="m/empty")
    assert helper("check", task).reason == "FileMissing"
    for key in ("m/MLmodel", "m/data/deep/weights.bin"):
        bucket.client.delete_object(Bucket=bucket.name, Key=key)
    assert helper("check", task).reason == "PrefixEmpty"


def test_check_misses_a_deleted_version(bucket: Bucket, helper: Helper) -> None:
    bucket.version()
    bucket.put({"a": b"1"}, "m/")
    objects = helper("verify", {"uri": bucket.uri("m/")}).result["objects"]
    bucket.client.delete_object(Bucket=bucket.name, Key="m/a", VersionId=objects[0][1])
    outcome = helper("check", {"uri": bucket.uri("m/"), "digest": "sha256:0", "objects": objects, "fileCount": 1})
    assert (outcome.reason, outcome.transient) == ("ObjectNotFound", False)
