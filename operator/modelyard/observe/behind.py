"""Does the cache lag behind what the Model's own status says was seen?

Asked before every turn. A process that has just started, or whose watch fell silent, may have been given an older state
of the world than the one that the last decision was made on. To take what it misses for deleted would be final.
"""

from collections.abc import Iterator

from modelyard.decide.state import ENDED
from modelyard.observe.cache import Address, Cache
from modelyard.observe.keys import Key


def doubtful(cache: Cache, key: Key) -> Iterator[str]:
    """Names of ModelVersions that have asked for a stage, and of which the cache knows nothing, or too little."""
    status = (cache.holding(key).model or {}).get("status") or {}
    for stage in status.get("stages") or ():
        for request in stage.get("requests") or ():
            if request.get("source") == "Model" or request.get("step") in ENDED:
                continue
            uid, _, edit = request.get("id", "").partition("/")
            generation = edit.partition("/")[0]
            name = f"{key.model}-{request.get('version')}"
            known = cache.get(Address("ModelVersion", key.namespace, name))
            if known is not None and known["metadata"]["uid"] == uid:
                lags = generation.isdecimal() and known["metadata"].get("generation", 1) < int(generation)
            else:
                lags = not cache.is_buried(uid)
            if lags:
                yield name
