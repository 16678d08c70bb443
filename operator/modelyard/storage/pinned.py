"""The files of an artifact as they were verified: in the pinned versions, else as they are listed now.

Called by fetch, check and the command line. Without pinned versions the digest still decides what is served.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from modelyard.storage.location import Location, check_paths
from modelyard.storage.store import ObjectStore, StoredObject

PARALLEL = 8


def find_pinned(
    store: ObjectStore, location: Location, objects: Sequence[tuple[str, str]] | None
) -> list[StoredObject]:
    """Look up each (path, version); list the store when none are pinned."""
    if not objects:
        return store.find(location)
    check_paths(path for path, _ in objects)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="stat") as pool:
        return list(pool.map(lambda pinned: store.stat(location, pinned[0], pinned[1]), objects))
