"""What every place of a ledger has to do; the same for a bucket is in tests/store/test_ledger.py."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.file_place import UNFINISHED, FilePlace
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, Place, open_place, prepare
from tests.unit.ledger.places import MemoryPlace, racing_to_create

OPEN: dict[str, Callable[[Path], Place]] = {
    "memory": lambda folder: MemoryPlace(),
    "file": lambda folder: open_place(LedgerSettings(f"file://{folder}/below/here")),
}


@pytest.fixture(params=list(OPEN))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return OPEN[request.param](tmp_path)


def test_an_object_is_created_once(place: Place) -> None:
    assert place.read("a/b/1.json") is None
    assert place.create("a/b/1.json", b"first")
    assert not place.create("a/b/1.json", b"second")
    assert not place.create("a/b/1.json", b"first")
    assert place.read("a/b/1.json") == b"first"


def test_files_and_folders_are_listed_in_order(place: Place) -> None:
    for name in ("top.json", "a/2", "a/1", "a/10", "a/b/3", "c/4"):
        assert place.create(name, name.encode())
    assert list(place.files("a")) == [("1", 3), ("10", 4), ("2", 3)]
    assert list(place.files("a", after="10")) == [("2", 3)]
    assert list(place.files("nothing")) == []
    assert (place.folders(""), place.folders("a"), place.folders("nothing")) == (["a", "c"], ["b"], [])


def test_of_many_who_create_it_one_does(tmp_path: Path) -> None:
    place = FilePlace("file:", str(tmp_path))
    assert racing_to_create(place, "a/1.json") == [place.read("a/1.json")]
    assert os.listdir(tmp_path / "a") == ["1.json"]


def test_files_cannot_be_written_and_unfinished_ones_are_not_seen(tmp_path: Path) -> None:
    place = FilePlace("file:", str(tmp_path))
    place.create("a/1.json", b"x")
    assert stat.S_IMODE((tmp_path / "a/1.json").stat().st_mode) == 0o444
    (tmp_path / "a" / f"{UNFINISHED}x").write_bytes(b"half")
    assert list(place.files("a")) == [("1.json", 1)]


def test_a_process_killed_while_writing_leaves_no_half_record(tmp_path: Path) -> None:
    """Killed at the link itself: whatever the name shows afterwards is whole."""
    program = """
import os, signal, sys
from modelyard.ledger.file_place import FilePlace
link = os.link
def dying(*arguments):
    if sys.argv[2] == "after":
        link(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
os.link = dying
FilePlace("file:", sys.argv[1]).create("a/1.json", b"whole")
"""
    place = FilePlace("file:", str(tmp_path))
    for moment, expected in (("before", None), ("after", b"whole")):
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path), moment], check=False)
        assert done.returncode == -9
        assert place.read("a/1.json") == expected
    assert list(place.files("a")) == [("1.json", 5)]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    place = FilePlace("file:", str(tmp_path))
    with pytest.raises(
        PlaceError, match=r"write .*/a/1\.json: .*; check the folder, its owner and its mount"
    ) as refused:
        place.create("a/1.json", b"x")
    assert not refused.value.transient


@pytest.mark.parametrize(
    ("failure", "says", "transient"),
    [
        pytest.param(OSError(28, "No space left on device"), "No space left.*tries again", True, id="full"),
        pytest.param(OSError(95, "Operation not supported"), "needs hard links", False, id="no hard links"),
    ],
)
def test_file_systems_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: OSError, says: str, transient: bool
) -> None:
    def refuse(*arguments: Any) -> None:
        raise failure

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(PlaceError, match=says) as refused:
        FilePlace("file:", str(tmp_path)).create("a/1.json", b"x")
    assert refused.value.transient is transient
    assert os.listdir(tmp_path / "a") == []


def test_a_place_is_prepared_once_and_again(place: Place) -> None:
    prepare(place)
    prepare(place)
    assert b"previous" in (place.read("modelyard-ledger.json") or b"")


def test_a_store_that_overwrites_is_not_accepted() -> None:
    place = MemoryPlace()
    place.create = lambda name, content: True  # type: ignore[method-assign]
    with pytest.raises(PlaceError, match="use a store that honours If-None-Match"):
        prepare(place)


@pytest.mark.parametrize(
    "url", ["", "s3://", "s3:///x", "file://", "file:///", "file://host/x", "/var/lib", "gs://b/x"]
)
def test_urls_that_are_no_place(url: str) -> None:
    with pytest.raises(PlaceError, match="expected s3://bucket/prefix or file:///path"):
        open_place(LedgerSettings(url))


@pytest.mark.parametrize("cluster", ["", "a/b", "..", ".hidden", "a b", "x" * 64])
def test_names_that_are_no_chain(cluster: str) -> None:
    with pytest.raises(ValueError, match="expected 1-63 letters"):
        ChainName(cluster, "risk", "fraud")
