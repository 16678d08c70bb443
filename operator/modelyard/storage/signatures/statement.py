"""Which files does a signature attest, and are these the artifact's? Every disagreement names the file.

The payload is read only after its signature was found good. All of the artifact's files have to be signed, but the
signature's own: paths that the signer had ignored (`.gitattributes`) would be served unsigned, so they count here.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.signatures.bundle import invalid

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
WHOLE = "."
"""What a signature calls the file where one file was signed, and not a folder."""
SHA256_LENGTH = 64
HINT = "restore the files that were signed, or sign these and register them as a new version"


@dataclass(frozen=True)
class Statement:
    """What was signed: the sha256 of each file by its path."""

    files: Mapping[str, str]

    def check_paths(self, paths: Sequence[str]) -> None:
        """Refuse an artifact that has other files than those signed: known without reading them."""
        missing = sorted(self.files.keys() - set(paths))
        if missing:
            raise _mismatch(missing, "signed and not in the store")
        added = sorted(set(paths) - self.files.keys())
        if added:
            raise _mismatch(added, "in the store and not signed")

    def check_bytes(self, found: Mapping[str, str]) -> None:
        """Refuse files whose sha256 is not the signed one."""
        wrong = sorted(path for path, sha256 in found.items() if self.files[path] != sha256)
        if wrong:
            raise _mismatch(wrong, f"signed with sha256 {self.files[wrong[0]]}, found {found[wrong[0]]}")

    def of_file(self, path: str) -> "Statement":
        """The same with the name of the one file that was signed; unchanged when a folder was."""
        return Statement({path: self.files[WHOLE]}) if set(self.files) == {WHOLE} else self


def parse_statement(payload: bytes) -> Statement:
    """Read what was signed; SignatureInvalid when it is no statement on a model's files."""
    try:
        document = json.loads(payload)
        if document["_type"] != STATEMENT_TYPE:
            raise invalid(f"what is signed is of the type {str(document['_type'])[:80]!r}, not {STATEMENT_TYPE!r}")
        if document["predicateType"] != PREDICATE_TYPE:
            kind = str(document["predicateType"])[:80]
            raise _unsupported(f"the signed statement is {kind!r}, not {PREDICATE_TYPE!r}")
        predicate = document["predicate"]
        _check_method(predicate["serialization"])
        files = dict(_resource(entry) for entry in predicate["resources"])
        if len(files) != len(predicate["resources"]):
            raise invalid("the signed statement names a file twice")
        (subject,) = document["subject"]
        whole = hashlib.sha256(b"".join(bytes.fromhex(sha256) for sha256 in files.values())).hexdigest()
        if subject["digest"]["sha256"] != whole:
            raise invalid("the signed statement's own digest is not that of the files it lists")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise invalid(f"what is signed is not a statement on a model ({type(error).__name__})") from error
    if not files:
        raise invalid("the signed statement lists no files")
    return Statement(files)


def _check_method(serialization: Mapping[str, Any]) -> None:
    method, hashed = str(serialization["method"]), str(serialization["hash_type"])
    if (method, hashed) != ("files", "sha256"):
        raise _unsupported(f"its files were hashed by {method[:40]!r} with {hashed[:40]!r}, not 'files' with 'sha256'")


def _resource(entry: Mapping[str, Any]) -> tuple[str, str]:
    name, sha256 = entry["name"], entry["digest"].lower()
    if entry["algorithm"] != "sha256" or len(bytes.fromhex(sha256)) * 2 != SHA256_LENGTH or not isinstance(name, str):
        raise ValueError("not a sha256 of a file")
    return name, sha256


def _unsupported(problem: str) -> ArtifactError:
    message = f"read signature: {problem}; sign the model again with model_signing 1.0 or later, in its default way"
    return ArtifactError(ArtifactReason.SIGNATURE_UNSUPPORTED, message)


def _mismatch(paths: Sequence[str], detail: str) -> ArtifactError:
    more = f" (and {len(paths) - 1} more files)" if len(paths) > 1 else ""
    message = f"compare artifact with its signature: {paths[0]}: {detail}{more}; {HINT}"
    return ArtifactError(ArtifactReason.SIGNATURE_MISMATCH, message)
