"""What is done for a Model of which nobody knows what it served? Its status is lost, or was never there, and the
ledger, which would tell, was not read yet.

Nothing: no pointer, no Service and no pod is touched, and what serves serves on. The ledger is asked; when it cannot be
read, the Model says so. `decision` comes here before everything else.
"""

from modelyard.api.reasons import EventReason, ModelReason
from modelyard.decide.conditions import Being, Said, condition, judged
from modelyard.decide.plan import Commit, EventNote, Plan
from modelyard.decide.world import World


def plan(world: World) -> Plan:
    """Ask the ledger; and tell why it does not answer."""
    seen, model = world.seen.ledger, world.model
    assert seen
    if not seen.problem:
        return Plan(asks_ledger=True)
    before = model.get("status") or {}
    known = before.get("conditions") or ()
    generation = model["metadata"].get("generation", 1)
    text = f"nothing moves until it is known what the stages served, and what serves serves on: {seen.problem}"
    said = Said(Being.MOVING, ModelReason.STATE_UNKNOWN, text)
    synced = condition(known, "LedgerSynced", False, seen.reason, seen.problem, generation=generation, now=world.now)
    # Without observedGeneration: nothing of the spec was acted on.
    shown = {"summary": {"reason": ModelReason.STATE_UNKNOWN.value}}
    status = {**before, **shown, "conditions": [*judged(known, said, generation=generation, now=world.now), synced]}
    told = {(c["type"], c["reason"]) for c in known}
    note = EventNote("Model", world.seen.name, world.uid, "Warning", EventReason.STATE_UNKNOWN, text)
    return Plan(
        commit=Commit(world.seen.name, model["metadata"]["resourceVersion"], status) if status != before else None,
        events=() if ("Ready", ModelReason.STATE_UNKNOWN) in told else (note,),
        asks_ledger=True,
    )
