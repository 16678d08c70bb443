"""The digest is what coreutils prints, whatever the names; names that coreutils escapes are refused."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from modelyard.api.reasons import ArtifactReason
from modelyard.cli.main import main
from modelyard.storage.digest import FileDigest, digest_of
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import check_path, check_paths
from tests.tries import tries

COREUTILS = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
SEGMENT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/\\\n\r"), min_size=1, max_size=20)
PATH = st.lists(
    SEGMENT.filter(lambda text: text not in (".", "..") and not text.startswith("-")), min_size=1, max_size=3
).map("/".join)


def file(path: str, content: bytes = b"") -> FileDigest:
    return FileDigest(path, len(content), hashlib.sha256(content).hexdigest())


def from_coreutils(folder: Path) -> str:
    printed = subprocess.run(["bash", "-c", COREUTILS], cwd=folder, capture_output=True, text=True, check=True).stdout
    return "sha256:" + printed.split()[0]


@given(st.dictionaries(PATH, st.binary(max_size=50), min_size=1, max_size=6))
@tries(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_coreutils_agrees(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    try:
        check_paths(files)
    except ArtifactError:
        assume(False)  # both a file and a folder
    folder = tmp_path_factory.mktemp("artifact")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    assert digest_of(file(path, content) for path, content in files.items()) == from_coreutils(folder)


def test_the_command_line_agrees_with_coreutils(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("B", "a", "a.b", "a b/c", "ä/ö", "empty"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"" if path == "empty" else path.encode() * 1000)
    (tmp_path / "link").symlink_to("a")
    assert main(["digest", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == from_coreutils(tmp_path)


@given(st.dictionaries(PATH, st.binary(max_size=5), min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_listing_does_not_matter(files: dict[str, bytes], random) -> None:  # type: ignore[no-untyped-def]
    try:
        check_paths(files)
    except ArtifactError:
        assume(False)
    entries = [file(path, content) for path, content in files.items()]
    shuffled = entries.copy()
    random.shuffle(shuffled)
    assert digest_of(shuffled) == digest_of(entries)


def test_byte_order_is_not_the_order_of_letters() -> None:
    ordered = ["Z", "a.b", "a/b", "z", "é", "\uffee", "\U0001f600"]
    lines = "".join(f"{file(name).sha256}  {name}\n" for name in ordered)
    assert digest_of(map(file, sorted(ordered))) == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


REFUSED = ["", "/a", "a//b", "a/", "./a", "a/../b", "..", ".", "a\nb", "a\rb", "a\\b", "a\0b", "a" * 256, "\udc80"]


@pytest.mark.parametrize("path", REFUSED)
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(ArtifactError) as refused:
        check_path(path)
    assert refused.value.reason is ArtifactReason.INVALID_PATH
    with pytest.raises(ArtifactError):
        digest_of([file(path)])


@given(st.text(max_size=30))
def test_a_path_that_passes_stays_below_its_folder(path: str) -> None:
    try:
        check_path(path)
    except ArtifactError:
        return
    target = Path("/root-of-it") / path
    assert target.is_relative_to("/root-of-it")
    assert ".." not in target.parts
    assert str(target) == f"/root-of-it/{path}"  # nothing was folded, so no two paths are one file


@pytest.mark.parametrize(
    "paths", [["a", "a/b"], ["a/b/c", "a"], ["a", "a"]], ids=["file and folder", "deep", "listed twice"]
)
def test_files_that_are_no_tree(paths: list[str]) -> None:
    with pytest.raises(ArtifactError):
        check_paths(paths)
