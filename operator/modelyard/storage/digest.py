"""The one digest of an artifact: what `sha256sum` prints for its files, in byte order of their paths, hashed again.

Anybody can recompute it in the artifact's folder:

    find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum

Used by verify, fetch and the command line. Never taken from a store's checksums.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from modelyard.storage.location import check_paths

PREFIX = "sha256:"
MIN_BLOCK = 1 << 20
MAX_MARKS = 4096
"""Of one file; the blocks of one of 100 GB are 25 MiB."""


class Marks:
    """A file's sha256 as it stood at the end of each block: what a part of the file has to lead to, read again.

    A store that is asked twice may answer twice, with an ETag that says nothing; so whatever is read after the hash
    was made is compared with it. A state costs a few hundred bytes and no time, unlike a second hash of everything.
    """

    def __init__(self, size: int) -> None:
        self.block = MIN_BLOCK * max(1, -(-size // (MIN_BLOCK * MAX_MARKS)))
        self._states: list[Any] = []

    def room(self, hashed: int) -> int:
        """Bytes until the next mark."""
        return self.block - hashed % self.block

    def mark(self, state: Any) -> None:
        """The hash has come to the beginning of a block, or to the end of the file."""
        self._states.append(state.copy())

    def agrees(self, start: int, block: bytes) -> bool:
        """Whether the block that starts there (it is the last one, or complete) is the one that was hashed."""
        number = start // self.block
        state = self._states[number].copy()
        state.update(block)
        return bool(state.digest() == self._states[number + 1].digest())


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
    marks: Marks | None = field(default=None, compare=False, repr=False)
    """The hash on its way, from which a second reading knows that it reads the same."""


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
