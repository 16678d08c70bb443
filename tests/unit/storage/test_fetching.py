"""Writing an artifact into a folder: everything or nothing, and never outside of it."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from modelyard.api.reasons import ArtifactReason
from modelyard.storage import fetching
from modelyard.storage.digest import FileDigest, digest_of
from modelyard.storage.errors import ArtifactError
from modelyard.storage.fetching import clear, fetch_into
from modelyard.storage.local import LocalStore, local_location
from modelyard.storage.store import StoredObject

FILES = {"MLmodel": b"x" * 3_000_000, "a/b/c": b"deep", "a/d": b"", ".hidden": b"h"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


DIGEST = digest_of(FileDigest(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in FILES.items())


def fetch(source: Path, target: Path, digest: str = DIGEST, items: list[StoredObject] | None = None) -> None:
    location = local_location(str(source))
    store = LocalStore()
    fetch_into(target, store, location, store.find(location) if items is None else items, digest)


def test_everything_under_any_umask(source: Path, target: Path) -> None:
    before = os.umask(0o077)
    try:
        fetch(source, target)
    finally:
        os.umask(before)
    found = {str(path.relative_to(target)): path for path in target.rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values() if path.is_file()} == {0o644}
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values() if path.is_dir()} == {0o755}


def test_nothing_when_the_digest_differs(source: Path, target: Path) -> None:
    with pytest.raises(ArtifactError) as refused:
        fetch(source, target, "sha256:" + "0" * 64)
    assert refused.value.reason is ArtifactReason.DIGEST_MISMATCH
    assert list(target.iterdir()) == []


def test_a_full_disk_before_reading(source: Path, target: Path) -> None:
    items = [StoredObject("a", str(source / "MLmodel"), 1 << 60)]
    with pytest.raises(ArtifactError) as refused:
        fetch(source, target, items=items)
    assert (refused.value.reason, refused.value.transient) == (ArtifactReason.NOT_ENOUGH_SPACE, False)
    assert str(1 << 60) in refused.value.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_while_writing(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*arguments: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ArtifactError) as refused:
        fetch(source, target)
    assert refused.value.reason is ArtifactReason.NOT_ENOUGH_SPACE
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", "a//b", fetching.INCOMING, f"{fetching.INCOMING}/x"])
def test_no_path_leads_out(source: Path, target: Path, path: str) -> None:
    items = [StoredObject(path, str(source / "MLmodel"), 10)]
    with pytest.raises(ArtifactError) as refused:
        fetch(source, target, items=items)
    assert refused.value.reason is ArtifactReason.INVALID_PATH
    assert not (target.parent / "out").exists()


def test_links_are_not_followed(source: Path, target: Path) -> None:
    """A link that a former, compromised container left must not lead a write astray."""
    outside = target.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    (target / fetching.INCOMING).symlink_to(outside)
    (target / "a").symlink_to(outside)
    clear(target)
    fetch(source, target)
    assert (outside / "kept").read_bytes() == b"kept"
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (target / "a" / "b" / "c").read_bytes() == b"deep"


def test_the_file_system_keeps_what_is_its_own(target: Path) -> None:
    (target / "lost+found").mkdir()
    (target / "stale").write_bytes(b"x")
    clear(target)
    assert [path.name for path in target.iterdir()] == ["lost+found"]
