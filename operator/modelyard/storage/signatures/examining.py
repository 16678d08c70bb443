"""Is the artifact signed, by whom, and over these files? Called by verification.

1. Where the signature lies: where the version says; else `model.sig` in the folder; else beside the artifact, under its
   name and `.sig`.
2. Who signed it (`bundle`, `trust`, `signers`), and over which paths (`statement`): before the model's bytes are read.
3. When they were read: whether they are the signed ones.

A signature that lies in the artifact's folder is one of its files and counts in its digest, as coreutils would have it;
it is the one file that it cannot attest itself.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import FileDigest
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location, parse_uri
from modelyard.storage.signatures.bundle import MAX_BYTES, invalid, parse_bundle
from modelyard.storage.signatures.signers import Signer, find_signer
from modelyard.storage.signatures.statement import Statement, parse_statement
from modelyard.storage.signatures.trust import SignaturePolicy
from modelyard.storage.store import ObjectStore, StoredObject

INSIDE = "model.sig"
SUFFIX = ".sig"
PIECE = 1 << 20
ABSENT = frozenset({ArtifactReason.OBJECT_NOT_FOUND, ArtifactReason.ACCESS_DENIED})
"""A store answers AccessDenied for an object that is not there to whoever may not list."""
IGNORABLE = frozenset(
    {
        ArtifactReason.SIGNATURE_INVALID,
        ArtifactReason.SIGNATURE_POLICY_INVALID,
        ArtifactReason.SIGNATURE_UNSUPPORTED,
        ArtifactReason.SIGNATURE_UNTRUSTED,
    }
)
"""What is only worth a warning where nobody demands a signature. One by somebody trusted over other files is not."""


@dataclass(frozen=True)
class Signed:
    """A good signature by somebody trusted, whose files are yet to be compared."""

    signer: Signer
    uri: str
    statement: Statement
    own: str
    """The path of the signature, where it is one of the artifact's files; else empty."""
    sha256: str
    """Of the signature as it was judged."""

    def check(self, files: Sequence[FileDigest]) -> None:
        """Refuse files that are not the signed ones."""
        found = {file.path: file.sha256 for file in files}
        if found.pop(self.own, self.sha256) != self.sha256:
            message = f"read {self.uri}: it was overwritten while it was read"
            raise ArtifactError(ArtifactReason.CHANGED_WHILE_READ, message, transient=True)
        self.statement.check_bytes(found)


@dataclass(frozen=True)
class Examined:
    """What was found of a signature: a good one, why one is passed over, or neither."""

    signed: Signed | None = None
    passed_over: tuple[ArtifactError, ...] = ()


def examine(
    store: ObjectStore, location: Location, items: Sequence[StoredObject], policy: SignaturePolicy, now: datetime
) -> Examined:
    """Find the artifact's signature and who made it. Raises what refuses the artifact."""
    found = _locate(store, location, items, policy)
    if found is None:
        return Examined()
    where, item, own = found
    try:
        content = _read(store, where, item)
        bundle = parse_bundle(content)
        signer = find_signer(bundle, policy, now)
        statement = parse_statement(bundle.payload)
    except ArtifactError as error:
        if policy.demanded or error.reason not in IGNORABLE:
            raise
        return Examined(passed_over=(error,))
    if not location.is_folder:
        statement = statement.of_file(items[0].path)
    statement.check_paths([item.path for item in items if item.path != own])
    return Examined(Signed(signer, where.uri, statement, own, hashlib.sha256(content).hexdigest()))


def _locate(
    store: ObjectStore, location: Location, items: Sequence[StoredObject], policy: SignaturePolicy
) -> tuple[Location, StoredObject, str] | None:
    """Where the signature lies, the object, and its path among the artifact's files; None when there need be none."""
    listed = {location.key_of(item.path): item for item in items} if location.is_folder else {}
    if policy.uri:
        return _declared(store, location, listed, parse_uri(policy.uri))
    inside = listed.get(location.key + INSIDE)
    if inside is not None:
        return Location(location.scheme, location.bucket, inside.key), inside, inside.path
    beside = Location(location.scheme, location.bucket, location.key.rstrip("/") + SUFFIX)
    if location.key.strip("/"):
        try:
            return beside, store.stat(beside, beside.path_of(beside.key), None), ""
        except ArtifactError as error:
            if error.reason not in ABSENT:
                raise
    if not policy.required:
        return None
    places = f"neither {location.uri_of(INSIDE)} nor {beside.uri}" if location.is_folder else f"no {beside.uri}"
    raise _missing(f"the Model requires one (artifactPolicy.signature.required) and there is {places} that may be read")


def _declared(
    store: ObjectStore, location: Location, listed: Mapping[str, StoredObject], where: Location
) -> tuple[Location, StoredObject, str]:
    """The signature where the version says it lies: one of the artifact's own files, or any other object."""
    item = listed.get(where.key) if where.bucket == location.bucket else None
    if item is not None:
        return where, item, item.path
    try:
        return where, store.stat(where, where.path_of(where.key), None), ""
    except ArtifactError as error:
        if error.reason is not ArtifactReason.OBJECT_NOT_FOUND:
            raise
        raise _missing(f"spec.artifact.signature.uri names {where.uri}, which is not in the store") from error


def _missing(problem: str) -> ArtifactError:
    message = f"find signature: {problem}; sign the artifact and put its signature there, then set modelyard.dev/retry"
    return ArtifactError(ArtifactReason.SIGNATURE_MISSING, message)


def _read(store: ObjectStore, where: Location, item: StoredObject) -> bytes:
    """The signature's bytes, as many as a signature may have."""
    if item.size > MAX_BYTES:
        raise invalid(f"{where.uri} has {item.size} bytes, and a signature has at most {MAX_BYTES}")
    body = store.read(where.bucket, item, 0, item.size)
    try:
        return b"".join(body.chunks(PIECE))
    finally:
        body.close()
