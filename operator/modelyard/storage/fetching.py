"""Writes an artifact into a folder, so that nothing unverified is ever found under its real name.

Called by the fetch pod and the command line.

1. Files are written below a folder of their own inside the target, while they are hashed.
2. Only when the digest of what was written is the expected one are they moved to their places.
3. After a failure the target is as empty as before; what an interrupted run left is cleared by the next.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.declared import check_digest
from modelyard.storage.digest import FileDigest, digest_of
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location, check_paths
from modelyard.storage.reader import Progress, read_all
from modelyard.storage.store import ObjectStore, StoredObject

INCOMING = ".modelyard-incoming"
FOLDER_MODE = 0o755
FILE_MODE = 0o644
"""Readable by any user: the server runs as another one than the fetcher."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def fetch_into(
    folder: Path,
    store: ObjectStore,
    location: Location,
    items: Sequence[StoredObject],
    expected: str,
    progress: Progress | None = None,
) -> list[FileDigest]:
    """Read the files into the folder; DigestMismatch, and an empty folder, when they are not the expected ones."""
    check_paths([INCOMING, *(item.path for item in items)])  # no file may take the name of the place of arrival
    incoming = folder / INCOMING
    remove(incoming)
    try:
        _check_space(folder, sum(item.size for item in items))
        for item in items:
            _create(incoming, item.path)
        files = read_all(store, location.bucket, items, sink=_Writer(incoming).write, progress=progress)
        check_digest(expected, digest_of(files), f"fetch {location.uri}")
        for entry in sorted(incoming.iterdir()):
            entry.rename(folder / entry.name)
    except OSError as error:
        raise _from_os(error, folder) from error
    finally:
        remove(incoming)
    return files


def clear(folder: Path) -> None:
    """Remove everything in a folder that is ours alone: what a former run of this container left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name != "lost+found":  # of the file system itself
            remove(entry)


def remove(path: Path) -> None:
    """Remove a file or a tree, if it is there. Links are removed, never followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Writer:
    """Puts pieces at their offsets. Opens the file for each: a piece is long, and thousands of files are no problem."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, offset: int, piece: bytes) -> None:
        try:
            descriptor = os.open(self._root / path, os.O_WRONLY | os.O_NOFOLLOW)
            try:
                left = memoryview(piece)
                while left:
                    written = os.pwrite(descriptor, left, offset)
                    left, offset = left[written:], offset + written
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _from_os(error, self._root) from error


def _create(root: Path, path: str) -> None:
    """An empty file and its folders, with modes that do not depend on the umask."""
    _make_folder(root)
    parent = root
    for segment in Path(path).parts[:-1]:
        parent /= segment
        _make_folder(parent)
    descriptor = os.open(root / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(FOLDER_MODE)
        path.chmod(FOLDER_MODE)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        message = f"fetch into {folder}: the artifact has {needed} bytes, {free} are free; use a larger volume"
        raise ArtifactError(ArtifactReason.NOT_ENOUGH_SPACE, message)


def _from_os(error: OSError, folder: Path) -> ArtifactError:
    if error.errno in FULL:
        message = f"fetch into {folder}: {error.strerror}; use a larger volume"
        return ArtifactError(ArtifactReason.NOT_ENOUGH_SPACE, message)
    message = f"fetch into {folder}: {error.strerror or error}: {error.filename}; check the volume and its permissions"
    return ArtifactError(ArtifactReason.INTERNAL_ERROR, message, transient=True)
