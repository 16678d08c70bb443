"""`python3 -m modelyard.pods.verify`: is a version's artifact what it says? Run by a Job, once per attempt.

Reads the task, reports the digest and what was found, or the reason why not. Writes nothing but its result.
"""

import os
import sys

from modelyard.pods.harness import Result, Task, run
from modelyard.pods.progress import ProgressLog
from modelyard.storage.location import parse_uri
from modelyard.storage.opening import open_store
from modelyard.storage.settings import StorageSettings
from modelyard.storage.verification import Expectation, Verified, verify


def work(task: Task) -> Result:
    """Verify the task's artifact."""
    location = parse_uri(task["uri"])
    expected = Expectation.parse(task)
    store = open_store(location, StorageSettings.from_env(os.environ))
    return report(verify(store, location, expected, ProgressLog("verifying artifact", location.uri)))


def report(verified: Verified) -> Result:
    """The result as the operator takes it into status."""
    result: Result = {
        "digest": verified.digest,
        "sizeBytes": sum(file.size for file in verified.files),
        "fileCount": len(verified.files),
        "format": verified.format,
        "warnings": [{"reason": note.reason.value, "message": note.message} for note in verified.notes],
    }
    if all(file.version_id for file in verified.files):
        result["objects"] = [[file.path, file.version_id] for file in verified.files]
    return result


if __name__ == "__main__":
    sys.exit(run(work))
