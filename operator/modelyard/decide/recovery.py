"""Where did the stages point, when the Model's status is lost?

The Services and ConfigMaps of the stages carry their state as of the last move of the pointer. The highest
sequence wins. Requests recorded there keep their places and ends, so nothing that was rolled back comes back.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from modelyard.api import codec, names
from modelyard.decide.snapshot import Obj
from modelyard.decide.state import ModelState, StageState
from modelyard.decide.world import World


def recover(world: World, state: ModelState) -> ModelState:
    """The state with every stage that it does not know taken from the stage's own objects."""
    for pointer in _remembered(world.seen.services):
        state = state.with_stage(pointer)
    for full in _remembered(world.seen.configmaps):
        pointer = state.stages.get(full.name, full)
        if pointer.sequence > full.sequence:
            full = replace(
                pointer, requests=full.requests, handled_rollbacks=full.handled_rollbacks, voided=full.voided
            )
        state = state.with_stage(full)
    return state


def _remembered(objects: Mapping[str, Obj]) -> Iterator[StageState]:
    for obj in objects.values():
        stage = _stage_state(obj)
        if stage is not None:
            yield stage


def _stage_state(obj: Obj) -> StageState | None:
    """The stage's state from one object's annotation; None where there is none that can be read."""
    text = (obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REVISION)
    if not text:
        return None
    try:
        return codec.load(StageState, json.loads(text))
    except (ValueError, TypeError, AttributeError):
        return None
