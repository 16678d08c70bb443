"""Is a folder an MLflow model? Its MLmodel must be YAML that names at least one flavor."""

from typing import BinaryIO

from modelyard.storage.formats.header import MalformedHeaderError, take

MAX_MLMODEL = 1 << 20
"""Signatures of wide tables take some hundred kilobytes."""


def check(stream: BinaryIO, size: int) -> None:
    """Raise MalformedHeaderError unless the MLmodel file is one."""
    import yaml  # costs a pod that verifies something else nothing

    if size > MAX_MLMODEL:
        raise MalformedHeaderError(f"it has {size} bytes, more than {MAX_MLMODEL}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        model = yaml.load(take(stream, size, "the file"), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MalformedHeaderError(f"it is not YAML: {str(error).splitlines()[0]}") from error
    flavors = model.get("flavors") if isinstance(model, dict) else None
    if not isinstance(flavors, dict) or not flavors:
        raise MalformedHeaderError("it names no flavors")
