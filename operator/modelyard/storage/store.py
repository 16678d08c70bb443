"""What reading an artifact needs of an object store, small enough for any of them.

`s3.py` and `local.py` implement it, `opening.py` chooses between them. Implementations raise nothing but ArtifactError,
and never hand on a checksum that the store claims.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from modelyard.storage.location import Location


@dataclass(frozen=True)
class StoredObject:
    """One file of an artifact in the store, pinned to the state it was listed in."""

    path: str
    key: str
    size: int
    etag: str | None = None
    """Sent as If-Match with every read, so an overwritten object is noticed."""
    version_id: str | None = None
    """The object's version to read, where it is known."""


class Body(Protocol):
    """The bytes of one ranged read. `close` gives the connection back; safe to call at any time."""

    @property
    def version_id(self) -> str | None:
        """The object version these bytes belong to, where the store says so."""

    def chunks(self, size: int) -> Iterator[bytes]:
        """The range's bytes in pieces of at most this size."""

    def close(self) -> None:
        """Stop reading."""


class ObjectStore(Protocol):
    """A bucket, or something that looks like one."""

    def find(self, location: Location) -> list[StoredObject]:
        """Every file of the artifact: the keys below a folder, or the one object."""

    def stat(self, location: Location, path: str, version_id: str | None) -> StoredObject:
        """One file, in that version when it is given."""

    def read(self, bucket: str, item: StoredObject, start: int, length: int) -> Body:
        """A range of a file; ChangedWhileRead when it is no longer the object that was listed."""
