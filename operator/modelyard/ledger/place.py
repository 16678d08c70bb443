"""Where a ledger is kept: the few things that it asks of a store, and which store a URL means.

    s3://bucket/prefix     any store that speaks S3 and honours If-None-Match
    file:///path           a folder, such as a mounted PersistentVolumeClaim

Nothing is ever overwritten or deleted through it. All calls block; the operator makes them in threads.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import unquote, urlsplit

from modelyard.ledger.canonical import canonical
from modelyard.ledger.errors import PlaceError
from modelyard.ledger.layout import MARKER
from modelyard.ledger.records import SCHEMA
from modelyard.storage.settings import StorageSettings

ABOUT = (
    "A ledger of Modelyard. Below <cluster>/<namespace>/<model>/records lies a chain of JSON documents (RFC 8785). "
    "Each carries in `previous` the SHA-256 of the bytes of the one before. Segments hold the same bytes again."
)


class ReadPlace(Protocol):
    """Small, named, immutable objects, to be read."""

    url: str
    """What it was opened by."""

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when there is none of that name."""
        ...

    def files(self, folder: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the objects in a folder, in order, beginning after that name."""
        ...

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, in order."""
        ...


class Place(ReadPlace, Protocol):
    """A store of such objects."""

    def create(self, name: str, content: bytes) -> bool:
        """Store an object durably; False when one of that name is there already, whatever it holds."""
        ...


@dataclass(frozen=True)
class Retention:
    """For how long a store with Object Lock is to keep every record from being deleted or replaced."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    days: int


@dataclass(frozen=True)
class LedgerSettings:
    """A ledger's place."""

    url: str
    storage: StorageSettings = field(default_factory=StorageSettings)
    """How to reach an S3 store; credentials are found by its client."""
    retention: Retention | None = None
    """None leaves it to the bucket's own default."""


def open_place(settings: LedgerSettings) -> Place:
    """The place of a URL. Nothing is asked of the store yet."""
    parts = urlsplit(settings.url)
    if parts.scheme == "s3" and parts.netloc:
        from modelyard.ledger.s3_place import S3Place

        return S3Place(settings, parts.netloc, parts.path.strip("/"))
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
        from modelyard.ledger.file_place import FilePlace

        return FilePlace(settings.url, unquote(parts.path))
    raise PlaceError(f"open ledger {settings.url!r}: expected s3://bucket/prefix or file:///path")


def open_to_read(settings: LedgerSettings) -> ReadPlace:
    """The place of a URL for somebody who only reads, and has not loaded boto3 yet."""
    parts = urlsplit(settings.url)
    if parts.scheme == "s3" and parts.netloc and not _trusts_others(settings.storage):
        from modelyard.ledger.s3_reader import S3Reader

        return S3Reader(settings, parts.netloc, parts.path.strip("/"))
    return open_place(settings)


def _trusts_others(storage: StorageSettings) -> bool:
    """Whether a store's certificate is to be judged by authorities of one's own."""
    is_plain = (storage.endpoint or "").startswith("http:")
    return not is_plain and bool(storage.ca_bundle or os.environ.get("AWS_CA_BUNDLE"))


def prepare(place: Place) -> None:
    """See whether a ledger can be written here; the first time, say what this folder is.

    The marker is created twice: a store that takes the second one would let two writers take one number.
    """
    told = canonical({"schema": SCHEMA, "about": ABOUT})
    place.create(MARKER, told)
    if place.create(MARKER, told):
        raise PlaceError(
            f"prepare ledger {place.url}: the store replaced an object that was to be created only if absent; "
            "use a store that honours If-None-Match"
        )
