"""Does the cache lag behind what the statuses of a Model and its versions say was seen?

Asked before every turn. A process that has just started, or whose watch fell silent, may have been given an older state
of the world than the one that the last decision was made on. To take what it misses for deleted would be final.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.decide.gates.results import Result
from modelyard.decide.snapshot import Obj
from modelyard.observe.cache import Address, Cache
from modelyard.observe.keys import Key


def doubtful(cache: Cache, key: Key) -> Iterator[Address]:
    """Versions that ask for a stage, and Jobs that gates wait for, of which the cache knows nothing, or too little."""
    status = (cache.holding(key).model or {}).get("status") or {}
    for stage in status.get("stages") or ():
        for request in stage.get("requests") or ():
            if request.get("ended"):
                continue
            version = Address("ModelVersion", key.namespace, f"{key.model}-{request.get('version')}")
            known = cache.get(version)
            if request.get("source") != "Model" and _lags(cache, request, known):
                yield version
            yield from _missing(cache, key, known)


def _lags(cache: Cache, request: Mapping[str, Any], known: Obj | None) -> bool:
    uid, _, edit = request.get("id", "").partition("/")
    generation = edit.partition("/")[0]
    if known is not None and known["metadata"]["uid"] == uid:
        return generation.isdecimal() and bool(known["metadata"].get("generation", 1) < int(generation))
    return not cache.is_buried(uid)


def _missing(cache: Cache, key: Key, version: Obj | None) -> Iterator[Address]:
    for line in ((version or {}).get("status") or {}).get("gates") or ():
        job = Address("Job", key.namespace, line.get("job", ""))
        if line.get("result") == Result.RUNNING and job.name and cache.get(job) is None:
            yield job
