"""Which Jobs of gates are started, which stay, and which go? Asked once a decision, about all of the Model's gates.

A Job has no TTL while its answer is not on record; what is on record needs it no more, and it stays a while for whoever
wants to read its log. A Job that nobody waits for is deleted, but not before the record has stopped waiting for it: a
process that dies between the two writes must not take its own deletion for somebody else's.
"""

from collections.abc import Iterable, Iterator

from modelyard.api import names
from modelyard.api.reasons import GateReason
from modelyard.decide import jobs
from modelyard.decide.gates import ending, results
from modelyard.decide.gates.passage import Way
from modelyard.decide.gates.results import GateResult
from modelyard.decide.plan import Action, Create, Delete, Patch, Sighting
from modelyard.decide.snapshot import Obj
from modelyard.decide.world import World

TTL_SECONDS = 600
_NO_LOG = frozenset({GateReason.IMAGE_NOT_PULLED, GateReason.UNSCHEDULABLE})


def actions(world: World, ways: Iterable[Way]) -> Iterator[Action]:
    """The writes to gates' Jobs."""
    ways = tuple(ways)
    due = {start.name: start for way in ways for start in way.starts}
    for start in due.values():
        yield Create(start.manifest(world))
    present = {name: job for name, job in world.seen.jobs.items() if _is_of_gate(job)}
    known = _recorded(world) if present else {}
    awaited = {line.job for way in ways for line in way.results if line.job and line != known.get(line.job)}
    for name, job in present.items():
        line = known.get(name)
        if name in awaited or (line and not line.is_final):
            continue
        if line and line.reason not in _NO_LOG:
            yield from _with_ttl(name, job)
        else:
            yield from _let_go(world, name, job)


def _is_of_gate(job: Obj) -> bool:
    labels = job["metadata"].get("labels") or {}
    return labels.get(names.LABEL_JOB) == "gate" and "deletionTimestamp" not in job["metadata"]


def _recorded(world: World) -> dict[str, GateResult]:
    """What is on record, by the Job that said it or is to say it."""
    return {line.job: line for version in world.versions.values() for line in results.recorded(version) if line.job}


def _let_go(world: World, name: str, job: Obj) -> Iterator[Action]:
    """Keep what has ended, and its log, for a while; end what runs for nobody."""
    if jobs.condition_of(job, "Complete", "Failed"):
        yield from _with_ttl(name, job)
    elif not ending.has_ended(world, job):
        version = world.versions.get(job["metadata"]["labels"].get(names.LABEL_VERSION, ""))
        # On an older state of the version its newest Job is waited for by nobody.
        told_by = (Sighting.of(version.obj, with_status=True),) if version else ()
        yield Delete.of(job, counts_on=told_by)


def _with_ttl(name: str, job: Obj) -> Iterator[Action]:
    """The TTL counts from the Job's end; one that ran out of time ends by its own deadline, with its log."""
    if "ttlSecondsAfterFinished" not in job["spec"]:
        yield Patch("Job", name, {"spec": {"ttlSecondsAfterFinished": TTL_SECONDS}})
