"""A ledger in a folder of a file system, such as a mounted volume.

An object is written beside its final name, flushed to the disk, and linked to that name: the link is the one step
that can succeed only once, and a name is never seen before its content is whole. Works over NFS as well.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from modelyard.ledger.errors import PlaceError

UNFINISHED = ".unfinished-"
"""Begins the names of files that are being written; one left by a crash is nobody's."""
TEMPORARY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ENOTCONN})


class FilePlace:
    """The folder of a `file://` URL."""

    def __init__(self, url: str, root: str) -> None:
        self.url = url
        self._root = Path(root)

    def create(self, name: str, content: bytes) -> bool:
        """Store a file durably; False when one of that name is there already."""
        path = self._root / name
        try:
            self._make_folder(path.parent)
            return _create(path, content)
        except OSError as error:
            raise _place_error(error, f"write {path}") from error

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None when there is none."""
        path = self._root / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _place_error(error, f"read {path}") from error

    def files(self, folder: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the files in a folder, in order, beginning after that name."""
        found = [entry for entry in self._entries(folder) if entry.name > after and entry.is_file()]
        yield from sorted((entry.name, entry.stat().st_size) for entry in found)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, in order."""
        return sorted(entry.name for entry in self._entries(folder) if entry.is_dir())

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = self._root / folder
        try:
            with os.scandir(path) as entries:
                return [entry for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _place_error(error, f"list {path}") from error

    def _make_folder(self, folder: Path) -> None:
        """Make the folder and those above it, down from the root, each flushed into the one that holds it."""
        if folder.is_dir():
            return
        if folder != self._root:
            self._make_folder(folder.parent)
        folder.mkdir(parents=folder == self._root, exist_ok=True)
        _flush(folder.parent)


def _create(path: Path, content: bytes) -> bool:
    if path.exists():
        return False
    descriptor, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
    _flush(path.parent)
    return True


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place_error(error: OSError, doing: str) -> PlaceError:
    remedy = "the operator tries again" if error.errno in TEMPORARY else "check the folder, its owner and its mount"
    if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
        remedy = "the file system needs hard links; use a volume that has them, or s3://"
    return PlaceError(f"{doing}: {error.strerror or error}; {remedy}", transient=error.errno in TEMPORARY)
