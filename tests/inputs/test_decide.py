"""Whatever is written into an object, a decision on it is made, comes to rest, and does not keep others from theirs.

All inputs are tried, also those that the API server refuses: an object may have been stored under another schema. Each
is read as the operator reads it (`observe`), and decided on in a world in which a version serves already.
"""

import itertools
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.decide import decide, settled, shapes
from modelyard.decide.snapshot import HelperPods, Settings
from modelyard.observe.cache import Cache
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.observe.snapshot import take_snapshot
from tests.inputs.generate import Input, inputs
from tests.unit.decide.ledger import Ledger
from tests.unit.decide.simulation import Cluster

PARTS = 8
"""For as many processes."""
TOGETHER = 20
"""Objects of a kind that exist beside others, in one world."""
AT_LEAST = 5000
REASON = re.compile(r"[A-Z][A-Za-z]+")


@pytest.fixture(scope="module")
def served() -> Cluster:
    """A Model with a gate and a ledger, whose version 1 serves."""
    cluster = Cluster()
    cluster.ledger = Ledger()
    cluster.model(stages=[{"name": "production", "gates": [{"name": "files", "checks": ["true"]}]}])
    cluster.version("1")
    cluster.settle(10)
    assert cluster.live() == "1"
    return cluster


def test_there_are_enough() -> None:
    found = list(inputs())
    assert len(found) >= AT_LEAST
    assert len({each.id for each in found}) == len(found)
    print(f"{len(found)} inputs")


@pytest.mark.parametrize("part", range(PARTS))
def test_a_model(served: Cluster, part: int) -> None:
    """A -> B -> A: whatever B is, the stage keeps its version, and afterwards another one can take it."""
    models = [each for each in inputs() if each.kind == "Model"][part::PARTS]
    right = served.objects["Model", "fraud"]["spec"]
    for start in range(0, len(models), TOGETHER):
        cluster = served.copy()
        for wrong in models[start : start + TOGETHER]:
            put(cluster, wrong)
            rest(cluster, [wrong])
            production = next(s for s in cluster.status("Model", "fraud")["stages"] if s["name"] == "production")
            assert production["current"]["version"] == "1", wrong.id
            cluster.apply("Model", "fraud", right)
        cluster.version("2")
        cluster.settle(10, rounds=25)
        assert cluster.live() == "2", [each.id for each in models[start : start + TOGETHER]]


@pytest.mark.parametrize("kind", ["ModelVersion", "Approval", "Rollback"])
def test_an_object_of_a_model(served: Cluster, kind: str) -> None:
    """Twenty of them in a world do not keep another version from serving."""
    found = (each for each in inputs() if each.kind == kind)
    while several := list(itertools.islice(found, TOGETHER)):
        cluster = served.copy()
        for number, wrong in enumerate(several):
            put(cluster, wrong, f"{number}")
        rest(cluster, several)
        cluster.version("99")
        cluster.settle(10, rounds=15)
        assert cluster.live() == "99", [each.id for each in several]


def put(cluster: Cluster, wrong: Input, name: str = "") -> None:
    """Have the object in the world; one that can be told apart by its name only is given one."""
    obj = wrong.obj
    spec, annotations = obj.get("spec"), obj["metadata"].get("annotations", {})
    if wrong.kind == "Model":
        if isinstance(spec, dict) and wrong.path[:4] != ("spec", "stages", 0, "version"):
            _take_line_out(spec.get("stages"))
        cluster.apply("Model", "fraud", spec, annotations)
    else:
        if isinstance(spec, dict) and wrong.path != ("spec", "version") and wrong.kind == "ModelVersion":
            spec["version"] = f"7.{name}"
        cluster.apply(wrong.kind, f"fraud-7.{name}", spec, annotations)


def _take_line_out(stages: Any) -> None:
    """Where the Model itself names the version, no other is asked for."""
    for stage in stages if isinstance(stages, list) else ():
        if isinstance(stage, dict):
            stage.pop("version", None)


def rest(cluster: Cluster, tried: Iterable[Input]) -> None:
    """Decide until nothing is to be done, and judge what was done."""
    told = [each.id for each in tried]
    for (kind, name), obj in list(cluster.objects.items()):
        if kind in shapes.KINDS and not is_of_the_model(obj):
            cluster.delete(kind, name)
    try:
        cluster.settle(rounds=25)
    except Exception as error:
        error.add_note(f"with {told}")
        raise
    assert decide(cluster.snapshot(), cluster.now).is_empty, told
    carried = [stage["current"] for stage in cluster.status("Model", "fraud")["stages"] if "current" in stage]
    assert carried, told
    for (kind, name), obj in cluster.objects.items():
        if kind not in shapes.KINDS:
            continue
        conditions = obj.get("status", {}).get("conditions", [])
        assert all(REASON.fullmatch(each["reason"]) for each in conditions), (told, conditions)
        if shapes.misfit(obj, shapes.KINDS[kind]):
            false = [each for each in conditions if each["status"] == "False"]
            assert "Malformed" in [each["reason"] for each in false], (kind, name, told)


def is_of_the_model(obj: dict[str, Any]) -> bool:
    """Read an object as the operator does; whether that makes it one of the Model's."""
    cache = Cache(settled=settled, slots=Slots(4), clock=lambda: 0.0)
    keys = cache.put(obj)
    for key in keys:
        take_snapshot(cache, Slots(4), Settings(HelperPods("test")), key, datetime(2026, 1, 1, tzinfo=UTC))
    cache.remove(obj)
    return Key("risk", "fraud") in keys
