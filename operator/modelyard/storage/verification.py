"""Is the artifact what its version says, and is it safe to serve? The order of questions is the order below.

Called by the verify pod. Reads everything once, headers and pickles a second time; loads and writes nothing.

1. The listing: paths, declared files and their sizes. Refuses without reading a byte.
2. The signature: whether somebody trusted made one, and over which paths.
3. The bytes: each declared sha256, each signed one, then the declared digest.
4. The format, then the pickles, read from the very objects that were hashed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from io import BufferedReader
from typing import Any, BinaryIO, cast

from modelyard.api.reasons import ArtifactNote, ArtifactReason
from modelyard.storage.declared import DeclaredFile, check_bytes, check_digest, check_listing
from modelyard.storage.digest import FileDigest, digest_of
from modelyard.storage.errors import ArtifactError
from modelyard.storage.formats.detect import find_format
from modelyard.storage.formats.pickle_files import PickleScan, scan_all
from modelyard.storage.location import Location, check_paths
from modelyard.storage.reader import Progress, read_all
from modelyard.storage.seekable import StoredFile
from modelyard.storage.signatures.examining import Examined, Signed, examine
from modelyard.storage.signatures.trust import SignaturePolicy
from modelyard.storage.store import ObjectStore, StoredObject

NAMED = 4
"""Imports of a pickle that its warning names; the rest is counted."""
EVERYWHERE = ("numpy.", "joblib.")
"""What every scientific pickle imports: named last."""


class PicklePolicy(StrEnum):
    """The Model's artifactPolicy.pickle."""

    ALLOW = "Allow"
    WARN = "Warn"
    REFUSE = "Refuse"


@dataclass(frozen=True)
class Expectation:
    """What the version declares and the Model demands."""

    digest: str | None = None
    files: tuple[DeclaredFile, ...] | None = None
    require_declared_files: bool = False
    pickle: PicklePolicy = PicklePolicy.WARN
    format: str | None = None
    signature: SignaturePolicy | None = None
    """None: signatures are not looked at."""

    @classmethod
    def parse(cls, task: Mapping[str, Any]) -> "Expectation":
        """From the task as the operator writes it."""
        files = task.get("files")
        return cls(
            digest=task.get("digest"),
            files=tuple(DeclaredFile.parse(entry) for entry in files) if files else None,
            require_declared_files=bool(task.get("requireDeclaredFiles")),
            pickle=PicklePolicy(task.get("pickle") or PicklePolicy.WARN),
            format=task.get("format"),
            signature=SignaturePolicy.parse(task["signature"]) if task.get("signature") else None,
        )


@dataclass(frozen=True)
class Note:
    """Something noteworthy that does not refuse the artifact."""

    reason: ArtifactNote
    message: str


@dataclass(frozen=True)
class Verified:
    """An artifact that passed."""

    digest: str
    files: tuple[FileDigest, ...]
    format: str
    notes: tuple[Note, ...]
    signed: Signed | None = None


def verify(
    store: ObjectStore, location: Location, expected: Expectation, now: datetime, progress: Progress | None = None
) -> Verified:
    """Answer all questions, or raise the ArtifactError of the first that is answered with no."""
    if expected.require_declared_files and expected.files is None:
        message = "the Model demands declared files (artifactPolicy.requireDeclaredFiles) and the version declares none"
        raise ArtifactError(ArtifactReason.FILES_NOT_DECLARED, f"{message}; list them in spec.artifact.files")
    items = store.find(location)
    check_paths(item.path for item in items)
    if expected.files is not None:
        check_listing(expected.files, items)
    examined = examine(store, location, items, expected.signature, now) if expected.signature else Examined()
    files = read_all(store, location.bucket, items, progress=progress)
    if expected.files is not None:
        check_bytes(expected.files, files)
    if examined.signed:
        examined.signed.check(files)
    digest = digest_of(files)
    check_digest(expected.digest, digest, f"verify {location.uri}")
    open_file = opener(store, location.bucket, items, files)
    found = find_format(files, open_file, expected.format)
    notes = judge_pickles(list(scan_all(files, open_file)), expected.pickle)
    notes += [Note(ArtifactNote(error.reason.value), error.message) for error in examined.passed_over]
    return Verified(digest, tuple(with_usable_versions(store, location, files)), found, tuple(notes), examined.signed)


def opener(
    store: ObjectStore, bucket: str, items: Sequence[StoredObject], files: Sequence[FileDigest]
) -> Callable[[str], BinaryIO]:
    """Opens a file as it was hashed: the same bytes, whatever the store says of them, or ChangedWhileRead."""
    listed = {item.path: item for item in items}
    hashed = {file.path: file.marks for file in files}
    return lambda path: cast("BinaryIO", BufferedReader(StoredFile(store, bucket, listed[path], hashed[path])))


def with_usable_versions(store: ObjectStore, location: Location, files: Sequence[FileDigest]) -> list[FileDigest]:
    """Without the files' versions, if these credentials may read objects but not their versions (a right of its own).

    A version that is pinned and cannot be read would keep a verified artifact from being served.
    """
    pinned = next((file for file in files if file.version_id), None)
    if pinned is not None:
        try:
            store.stat(location, pinned.path, pinned.version_id)
        except ArtifactError as error:
            if error.reason is not ArtifactReason.ACCESS_DENIED:
                raise
            return [replace(file, version_id=None) for file in files]
    return list(files)


def judge_pickles(scans: Sequence[PickleScan], policy: PicklePolicy) -> list[Note]:
    """What the Model's policy makes of the pickles. A known-dangerous one is refused whatever the policy."""
    for scan in scans:
        if scan.dangerous:
            message = (
                f"scan pickle: {scan.path}: loading it would run {scan.dangerous}; do not load it, find out who made it"
            )
            raise ArtifactError(ArtifactReason.PICKLE_DANGEROUS, message)
    if policy is PicklePolicy.REFUSE and scans:
        more = f" (and {len(scans) - 1} more)" if len(scans) > 1 else ""
        message = f"scan pickle: {scans[0].path}{more} is a pickle, which the Model's artifactPolicy.pickle refuses"
        raise ArtifactError(ArtifactReason.PICKLE_REFUSED, f"{message}; save the model as safetensors, ONNX or GGUF")
    return [_note(scan) for scan in scans] if policy is PicklePolicy.WARN else []


def _note(scan: PickleScan) -> Note:
    if not scan.complete:
        message = f"{scan.path} is a pickle that could not be scanned to its end: what loading it runs is not known"
        return Note(ArtifactNote.PICKLE_NOT_SCANNED, message)
    telling = sorted(scan.unknown, key=lambda name: (name.startswith(EVERYWHERE), name))
    named = ", ".join(telling[:NAMED]) + (f" and {len(telling) - NAMED} more" if telling[NAMED:] else "")
    imports = f"; it imports {named}" if named else ""
    return Note(ArtifactNote.PICKLE_FOUND, f"{scan.path} is a pickle: loading it runs what it says{imports}")
