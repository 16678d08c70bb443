"""`python3 -m modelyard.pods.fetch DIR`: put a verified artifact where a server reads it. Run as an init container.

The digest is computed from the bytes as they are written; when it is not the pinned one the folder stays empty and
the pod does not start. DIR belongs to the pod alone: what a former run of the container left in it is removed.
"""

import sys
from functools import partial
from pathlib import Path

from modelyard.api.names import MODEL_MOUNT
from modelyard.pods.harness import Result, Task, open_store, run
from modelyard.pods.progress import ProgressLog
from modelyard.storage.fetching import clear, fetch_into
from modelyard.storage.location import parse_uri
from modelyard.storage.pinned import find_pinned


def work(folder: Path, task: Task) -> Result:
    """Fetch the task's artifact into the folder."""
    location = parse_uri(task["uri"])
    digest = task["digest"]
    clear(folder)
    store = open_store(location)
    items = find_pinned(store, location, task.get("objects"))
    files = fetch_into(folder, store, location, items, digest, ProgressLog("fetching artifact", location.uri))
    return {"digest": digest, "sizeBytes": sum(file.size for file in files), "fileCount": len(files)}


if __name__ == "__main__":
    sys.exit(run(partial(work, Path(sys.argv[1] if len(sys.argv) > 1 else MODEL_MOUNT))))
