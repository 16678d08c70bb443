"""An artifact on the local disk, read like one in a store. For `modelyard digest PATH`, never for verification.

The same files count as for `find -type f`: symbolic links are not followed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location
from modelyard.storage.store import StoredObject


class LocalBody:
    """A range of a file."""

    version_id: str | None = None

    def __init__(self, path: str, start: int, length: int) -> None:
        self._path = path
        self._start = start
        self._length = length

    def chunks(self, size: int) -> Iterator[bytes]:
        """The bytes, at most `size` at a time."""
        with open(self._path, "rb") as file:
            file.seek(self._start)
            left = self._length
            while left:
                piece = file.read(min(size, left))
                if not piece:
                    message = f"read {self._path}: the file became shorter while it was read"
                    raise ArtifactError(ArtifactReason.CHANGED_WHILE_READ, message, transient=True)
                left -= len(piece)
                yield piece

    def close(self) -> None:
        """Nothing is held open between reads."""


class LocalStore:
    """The file system as a store; the bucket is unused."""

    def find(self, location: Location) -> list[StoredObject]:
        """The file, or every regular file below the folder."""
        root = Path(location.key)
        if not location.is_folder:
            return [self.stat(location, root.name, None)]
        found = [
            StoredObject(os.path.relpath(os.path.join(folder, name), root), os.path.join(folder, name), size)
            for folder, _, names in os.walk(root)
            for name in names
            if (size := _size_of_regular(os.path.join(folder, name))) is not None
        ]
        if not found:
            raise ArtifactError(ArtifactReason.PREFIX_EMPTY, f"list {root}: there are no files in this folder")
        return found

    def stat(self, location: Location, path: str, version_id: str | None) -> StoredObject:
        """One file."""
        key = location.key_of(path)
        size = _size_of_regular(key)
        if size is None:
            raise ArtifactError(ArtifactReason.OBJECT_NOT_FOUND, f"look up {key}: there is no such file")
        return StoredObject(path, key, size)

    def read(self, bucket: str, item: StoredObject, start: int, length: int) -> LocalBody:
        """A range of a file."""
        return LocalBody(item.key, start, length)


def local_location(path: str) -> Location:
    """The location of a local path; a folder gets the '/' that makes it one."""
    absolute = os.path.abspath(path)
    return Location("file", "", absolute.rstrip("/") + "/" if os.path.isdir(absolute) else absolute)


def _size_of_regular(path: str) -> int | None:
    return os.lstat(path).st_size if os.path.isfile(path) and not os.path.islink(path) else None
