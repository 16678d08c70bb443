"""The one digest of an artifact: what `sha256sum` prints for its files, in byte order of their paths, hashed again.

Anybody can recompute it in the artifact's folder:

    find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum

Used by verify, fetch and the command line. Never taken from a store's checksums.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.storage.location import check_paths

PREFIX = "sha256:"


@dataclass(frozen=True)
class FileDigest:
    """One file as it was read."""

    path: str
    size: int
    sha256: str
    """Hexadecimal, without prefix."""
    head: bytes = b""
    """The first bytes, from which the format is recognised without reading the file again."""
    version_id: str | None = None
    """The object's version that was read, where the store keeps versions."""


def digest_of(files: Iterable[FileDigest]) -> str:
    """The artifact's digest, `sha256:<hex>`. Paths that could not be recomputed with coreutils are refused."""
    ordered = sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape"))
    check_paths(file.path for file in ordered)
    whole = hashlib.sha256()
    for file in ordered:
        whole.update(f"{file.sha256}  {file.path}\n".encode())
    return PREFIX + whole.hexdigest()


def bare(digest: str) -> str:
    """A digest or file sha256 without its optional prefix, in lower case, to be compared."""
    return digest.lower().removeprefix(PREFIX)
