"""Which version is this? The one that has these bytes and this run already, else the next number.

Pure; `register` asks again when somebody took the number meanwhile.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from modelyard.api.ordering import natural_key
from modelyard.cli.errors import UsageError
from modelyard.cli.objects import status_of

Obj = Mapping[str, Any]


def same_version(versions: Iterable[Obj], spec: Obj) -> Obj | None:
    """The version that is what `spec` describes: the same bytes (the same place, where the digest is not known) out
    of the same run. Registering twice, as a pipeline that is repeated does, is registering once."""
    return next((version for version in versions if _is_same(version, spec)), None)


def _is_same(version: Obj, spec: Obj) -> bool:
    theirs = version["spec"]
    if _run(theirs) != _run(spec):
        return False
    wanted = spec["artifact"].get("digest")
    known = status_of(version).get("digest") or theirs["artifact"].get("digest")
    if wanted and known:
        return bool(wanted == known)
    return bool(theirs["artifact"].get("uri") == spec["artifact"].get("uri"))


def _run(spec: Obj) -> str | None:
    return (spec.get("run") or {}).get("id")


def next_number(versions: Iterable[Obj]) -> str:
    """One more than the highest number; `1` for the first. Versions of another form are people's to choose."""
    taken = [str(version["spec"]["version"]) for version in versions]
    numbers = [int(version) for version in taken if version.isdigit()]
    if taken and not numbers:
        newest = max(taken, key=natural_key)
        raise UsageError(f"versions of this model are not plain numbers (the newest is {newest}); give --version")
    return str(max(numbers, default=0) + 1)
