"""What does a commit count on being as it was seen?

A compare-and-set on the Model says nothing of other objects, and a watch that has fallen silent does not tell what
became of them. What cannot be taken back is therefore decided on what is there: right before the commit the executor
reads these objects, a handful at most, and if one is another or has changed, the Model is decided on anew.
"""

from collections.abc import Iterator, Mapping

from modelyard.decide import recovery
from modelyard.decide.plan import Sighting
from modelyard.decide.stage import StageOutcome
from modelyard.decide.state import Cause, ModelState, StageState, Step
from modelyard.decide.world import World

_COUNTING_ON_ANSWERS = frozenset({Step.FAILED, Step.REJECTED})


def of_commit(
    world: World, before: ModelState, outcomes: Mapping[str, StageOutcome], *, status_is_lost: bool
) -> Iterator[Sighting]:
    """What a decision counts on. `before`: the state that it was made on."""
    for name, outcome in outcomes.items():
        yield from _given_a_stage(world, outcome)
        yield from _ended(world, before.stages.get(name) or StageState(name), outcome.state)
        yield from _given_up(world, outcome)
    if status_is_lost:
        yield from map(Sighting.of, recovery.tellers(world))


def _given_a_stage(world: World, outcome: StageOutcome) -> Iterator[Sighting]:
    """The versions that take a stage because they ask for it."""
    for moved in outcome.transitions:
        version = world.versions.get(moved.to.version) if moved.to else None
        if version and moved.type in (Cause.PROMOTED, Cause.SUCCEEDED):
            yield Sighting.of(version.obj)


def _ended(world: World, before: StageState, after: StageState) -> Iterator[Sighting]:
    """The versions that fail, with their statuses: the answers of gates are there, those of an earlier attempt too."""
    known = {request.id for request in before.requests if request.ended}
    for request in after.requests:
        version = world.versions.get(request.version)
        if version and request.ended in _COUNTING_ON_ANSWERS and request.id not in known:
            yield Sighting.of(version.obj, with_status=True)


def _given_up(world: World, outcome: StageOutcome) -> Iterator[Sighting]:
    """The Deployments whose pods did not become ready in time, with their statuses, which say how many are."""
    for revision in sorted(outcome.given_up):
        deployment = world.deployment(outcome.spec, revision)
        if deployment:
            yield Sighting.of(deployment, with_status=True)
