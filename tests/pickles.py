"""Pickles for tests: one that calls, and the scan of any. Nothing is ever loaded."""

import io
from typing import Any

from modelyard.storage.digest import FileDigest
from modelyard.storage.formats.inflate import Budget
from modelyard.storage.formats.pickle_files import PickleScan, scan


class Runs:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def scanned(content: bytes, path: str = "model.pkl", budget: Budget | None = None) -> PickleScan:
    """What the scan says of a file with that content."""
    found = scan(FileDigest(path, len(content), "", content[:64]), lambda path: io.BytesIO(content), budget or Budget())
    assert found is not None
    return found
