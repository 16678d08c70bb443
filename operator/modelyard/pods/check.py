"""`python3 -m modelyard.pods.check`: could a rollback target still be fetched? Run by a daily Job.

Looks every file up, in its pinned version where there is one, and compares number and size; reads no bytes, so it
cannot tell whether they still have their digest. Fetching does.
"""

import sys

from modelyard.api.reasons import ArtifactReason
from modelyard.pods.harness import Result, Task, open_store, run
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import parse_uri
from modelyard.storage.pinned import find_pinned


def work(task: Task) -> Result:
    """Check the task's artifact."""
    location = parse_uri(task["uri"])
    store = open_store(location)
    items = find_pinned(store, location, task.get("objects"))
    _compare(ArtifactReason.FILE_MISSING, "files", task.get("fileCount"), len(items), location.uri)
    size = sum(item.size for item in items)
    _compare(ArtifactReason.DIGEST_MISMATCH, "bytes", task.get("sizeBytes"), size, location.uri)
    return {"ok": True}


def _compare(reason: ArtifactReason, what: str, expected: int | None, found: int, uri: str) -> None:
    if expected is not None and expected != found:
        message = f"check {uri}: expected {expected} {what}, found {found}; this version cannot be served again"
        raise ArtifactError(reason, f"{message} until they are restored")


if __name__ == "__main__":
    sys.exit(run(work))
