"""Which Jobs of gates are started, which stay, and which go? Asked once a decision, about all of the Model's gates.

A Job has no TTL while its answer is not on record; what is on record needs it no more, and it stays a while for whoever
wants to read its log. A Job that nobody waits for is deleted, but not before the record has stopped waiting for it: a
process that dies between the two writes must not take its own deletion for somebody else's.
"""

from collections.abc import Iterable, Iterator

from modelyard.api import names
from modelyard.decide import jobs
from modelyard.decide.gates import results
from modelyard.decide.gates.passage import Way
from modelyard.decide.plan import Action, Create, Delete, Patch
from modelyard.decide.snapshot import Obj
from modelyard.decide.world import World

TTL_SECONDS = 600


def actions(world: World, ways: Iterable[Way]) -> Iterator[Action]:
    """The writes to gates' Jobs."""
    ways = tuple(ways)
    known = {line.job: line for version in world.versions.values() for line in results.recorded(version) if line.job}
    awaited = {name for name, line in known.items() if not line.is_final and line.next_attempt_at is None}
    awaited |= {line.job for way in ways for line in way.results if line.job and line != known.get(line.job)}
    started: set[str] = set()
    for start in (start for way in ways for start in way.starts):
        if start.name not in started:
            started.add(start.name)
            yield Create(start.manifest(world))
    for name, job in world.seen.jobs.items():
        metadata = job["metadata"]
        if (metadata.get("labels") or {}).get(names.LABEL_JOB) != "gate" or "deletionTimestamp" in metadata:
            continue
        if name not in awaited:
            yield from _let_go(name, job)


def _let_go(name: str, job: Obj) -> Iterator[Action]:
    if jobs.condition_of(job, "Complete", "Failed") is None:
        yield Delete("Job", name, job["metadata"]["uid"])
    elif "ttlSecondsAfterFinished" not in job["spec"]:
        yield Patch("Job", name, {"spec": {"ttlSecondsAfterFinished": TTL_SECONDS}})
