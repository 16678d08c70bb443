"""Do an artifact's files agree with what its version declares? Every disagreement names the file.

Called by verify: once on the listing, before a byte is read, and once with what was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import FileDigest, bare
from modelyard.storage.errors import ArtifactError
from modelyard.storage.store import StoredObject

HINT = "upload what was declared, or register what was uploaded as a new version"


@dataclass(frozen=True)
class DeclaredFile:
    """One entry of spec.artifact.files."""

    path: str
    sha256: str | None
    size: int | None

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> "DeclaredFile":
        """From the entry as users write it."""
        return cls(entry["path"], entry.get("sha256"), entry.get("size"))


def check_listing(declared: Sequence[DeclaredFile], found: Sequence[StoredObject]) -> None:
    """Refuse missing and undeclared files, and wrong sizes: known without reading."""
    sizes = {item.path: item.size for item in found}
    missing = sorted(file.path for file in declared if file.path not in sizes)
    if missing:
        raise _error(ArtifactReason.FILE_MISSING, missing, "declared and not in the store")
    undeclared = sorted(sizes.keys() - {file.path for file in declared})
    if undeclared:
        raise _error(ArtifactReason.FILE_UNDECLARED, undeclared, "in the store and not declared")
    wrong = sorted(file.path for file in declared if file.size is not None and file.size != sizes[file.path])
    if wrong:
        expected = next(file.size for file in declared if file.path == wrong[0])
        detail = f"expected size {expected}, found {sizes[wrong[0]]}"
        raise _error(ArtifactReason.FILE_MISMATCH, wrong, detail)


def check_bytes(declared: Sequence[DeclaredFile], read: Sequence[FileDigest]) -> None:
    """Refuse files whose sha256 is not the declared one."""
    found = {file.path: file.sha256 for file in read}
    wrong = sorted(file.path for file in declared if file.sha256 and bare(file.sha256) != found[file.path])
    if wrong:
        expected = next(bare(file.sha256) for file in declared if file.path == wrong[0] and file.sha256)
        detail = f"expected sha256 {expected}, found {found[wrong[0]]}"
        raise _error(ArtifactReason.FILE_MISMATCH, wrong, detail)


def check_digest(expected: str | None, found: str, doing: str) -> None:
    """Refuse bytes that as a whole are not the expected ones."""
    if expected is not None and bare(expected) != bare(found):
        message = f"{doing}: expected digest {expected}, found {found}; {HINT}"
        raise ArtifactError(ArtifactReason.DIGEST_MISMATCH, message)


def _error(reason: ArtifactReason, paths: Sequence[str], detail: str) -> ArtifactError:
    more = f" (and {len(paths) - 1} more files)" if len(paths) > 1 else ""
    return ArtifactError(reason, f"compare artifact with spec.artifact.files: {paths[0]}: {detail}{more}; {HINT}")
