"""What was the ledger told of a version or an Approval? Marked in that object's own status, as `recorded`.

`outbox` tells what is not marked yet; `statuses` and `approval_statuses` write the marks. An entry stays in the outbox
until its mark is seen, so nothing is told twice, whichever write the process dies between.
"""

from collections.abc import Iterable
from typing import Any

from modelyard.decide.snapshot import Obj
from modelyard.decide.state import LedgerState, ModelState
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version, settled
from modelyard.decide.world import World


def written(world: World, state: ModelState, obj: Obj, due: Iterable[str]) -> list[str]:
    """The object's `status.recorded`: what was told of it, of what there is to tell, and what its entries wait for."""
    before = (obj.get("status") or {}).get("recorded") or ()
    if world.seen.ledger is None or state.ledger is None:
        return list(before)
    # Entries that leave with this decision may stay, if nothing else is to be written: their marks stay that long.
    waiting = told_of(state.ledger, obj) | (told_of(world.memory.ledger, obj) if world.memory.ledger else set())
    due = list(due)
    return [mark for mark in due if mark in before or mark in waiting] + sorted(waiting.difference(due))


def untold(world: World, state: ModelState, obj: Obj, verdict: Verdict) -> dict[str, Any]:
    """What a version's status keeps of its artifact: the list of its files only until the ledger was told of it."""
    kept = dict(verdict.artifact)
    if "files" in kept and (world.seen.ledger is None or "Verified" in written(world, state, obj, due_of(verdict))):
        del kept["files"]
    return kept


def due_of(verdict: Verdict) -> list[str]:
    """The marks of what there is to tell of a version."""
    if verdict.passed:
        return ["Registered", "Verified"]
    if verdict.failed:
        return ["Registered", f"Failed/{verdict.attempt}/{verdict.for_request}"]
    return ["Registered"]


def is_told(version: Version) -> bool:
    """Whether all that there is to tell of a version was, by its own status."""
    recorded = version.verification
    verdict = Verdict(
        str(recorded.get("state", "")),
        attempt=int(recorded.get("attempt", 0)),
        for_request=str(recorded.get("forRequest", "")),
    )
    return set(due_of(verdict)) <= set(version.status.get("recorded") or ())


def settled_and_told(obj: Obj) -> bool:
    """`settled`, where a ledger is configured: a version that was not told yet is looked at again."""
    return settled(obj) and is_told(Version(obj))


def told_of(ledger: LedgerState, obj: Obj) -> set[str]:
    """What entries that have not left the outbox tell of an object."""
    uid = obj["metadata"]["uid"]
    return {str(item["mark"]) for item in ledger.outbox if item.get("subject") == uid}
