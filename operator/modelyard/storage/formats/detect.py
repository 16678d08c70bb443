"""Which format an artifact has, and whether that is the declared one.

Called by verify after the bytes are hashed. A file that claims a format by its name must have a sound header: what a
server could not load is found out now. Nothing is loaded or run.
"""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import FileDigest
from modelyard.storage.errors import ArtifactError
from modelyard.storage.formats import gguf, mlflow, onnx, pickle_files, safetensors
from modelyard.storage.formats.header import MalformedHeaderError

OTHER = "other"
RANKED = ("mlflow", "safetensors", "gguf", "onnx", "joblib", "pickle", OTHER)
"""When an artifact holds several, the first is its format: an MLflow folder usually holds a pickle."""

Open = Callable[[str], BinaryIO]
"""Opens one of the artifact's files, by path."""

HEADER_CHECKS: Mapping[str, Callable[[BinaryIO, int], None]] = {
    "mlflow": mlflow.check,
    "safetensors": safetensors.check,
    "gguf": gguf.check,
    "onnx": onnx.check,
}


def find_format(files: list[FileDigest], open_file: Open, declared: str | None) -> str:
    """The artifact's format. FormatMismatch when a header is malformed or the declared format is not among the files.

    A declared format that is not one of ours is believed when the files are nothing else that we know.
    """
    found = {OTHER}
    for file in files:
        if kind := kind_of(file):
            if check := HEADER_CHECKS.get(kind):
                _check_header(check, file, kind, open_file)
            found.add(kind)
    best = min(found, key=RANKED.index)
    if declared is None:
        return best
    wanted = declared.lower()
    if wanted in found - {OTHER} or (best == OTHER and (wanted == OTHER or wanted not in RANKED)):
        return wanted
    known = ", ".join(sorted(found - {OTHER})) or "none that is known"
    raise ArtifactError(
        ArtifactReason.FORMAT_MISMATCH,
        f"check artifact format: spec.format says {declared!r}, the files are: {known}; correct one of the two",
    )


def kind_of(file: FileDigest) -> str | None:
    """The format of one file, or None for one that is part of no format (a README, a requirements.txt)."""
    name = file.path.rpartition("/")[2]
    if file.path == "MLmodel":
        return "mlflow"
    if name.endswith(".safetensors"):
        return "safetensors"
    if name.endswith(".gguf") or file.head.startswith(gguf.MAGIC):
        return "gguf"
    if name.endswith(".onnx"):
        return "onnx"
    return pickle_files.kind_of(file)


def _check_header(check: Callable[[BinaryIO, int], None], file: FileDigest, kind: str, open_file: Open) -> None:
    try:
        with open_file(file.path) as stream:
            check(stream, file.size)
    except MalformedHeaderError as error:
        message = f"check artifact format: {file.path} is not valid {kind}: {error}; write the file anew"
        raise ArtifactError(ArtifactReason.FORMAT_MISMATCH, message) from error
