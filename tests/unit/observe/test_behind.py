"""Which versions and Jobs are read anew before anything is concluded from their absence."""

from typing import Any

import pytest

from modelyard.observe.behind import doubtful
from modelyard.observe.cache import Cache
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from tests.unit.observe.objects import is_settled, managed, model, version

FRAUD = Key("risk", "fraud")


def asks(**more: Any) -> dict[str, Any]:
    """What the Model's status says of a request for version 2, in its third generation."""
    return {"id": "uid-2/3", "version": "2", "source": "ModelVersion", **more}


def version_2(generation: int, uid: str = "uid-2") -> Any:
    return version("2", uid=uid, metadata={"generation": generation})


@pytest.fixture
def cache() -> Cache:
    return Cache(settled=is_settled, slots=Slots(1), clock=lambda: 0.0)


@pytest.mark.parametrize(
    ("request_", "known", "expected"),
    [
        pytest.param(asks(), None, ["fraud-2"], id="nothing is known of a version that has asked"),
        pytest.param(asks(), version_2(2), ["fraud-2"], id="it is known as it was before it asked"),
        pytest.param(asks(), version_2(9, uid="uid-1"), ["fraud-2"], id="an earlier namesake is known"),
        pytest.param(asks(id="uid-2/3/again"), None, ["fraud-2"], id="it asked once more by annotation"),
        pytest.param(asks(), version_2(3), [], id="it is known as it asked"),
        pytest.param(asks(), version_2(4), [], id="it is known as it is since it withdrew"),
        pytest.param(asks(id="uid-2"), version_2(3), [], id="its id says nothing of an edit"),
        pytest.param({"version": "2"}, None, ["fraud-2"], id="its id is lost"),
        pytest.param(asks(ended="Withdrawn"), None, [], id="the request has ended"),
        pytest.param(asks(source="Model", id="uid-of-model/3"), None, [], id="the Model itself asked"),
    ],
)
def test_versions_that_the_status_knows_better(cache: Cache, request_: Any, known: Any, expected: list[str]) -> None:
    cache.put(model(stages=[{"name": "production", "requests": [request_]}]))
    if known:
        cache.put(known)

    assert [address.name for address in doubtful(cache, FRAUD)] == expected


def test_a_version_that_was_seen_to_go_is_gone(cache: Cache) -> None:
    cache.put(model(stages=[{"name": "production", "requests": [asks()]}]))
    cache.put(version_2(3))
    cache.remove(version_2(3))

    assert list(doubtful(cache, FRAUD)) == []


def test_of_a_model_that_is_not_there_nothing_is_in_doubt(cache: Cache) -> None:
    assert list(doubtful(cache, FRAUD)) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param({"result": "Running", "job": "fraud-gate-2"}, ["fraud-gate-2"], id="its answer is waited for"),
        pytest.param({"result": "Running", "job": "fraud-gate-1"}, [], id="its Job is known"),
        pytest.param({"result": "Error", "job": "fraud-gate-2"}, [], id="it has answered"),
        pytest.param({"result": "Pending"}, [], id="it was not started"),
    ],
)
def test_jobs_of_gates_that_the_version_knows_better(cache: Cache, line: Any, expected: list[str]) -> None:
    """On an older list of Jobs the newest is not there: it was not deleted."""
    cache.put(model(stages=[{"name": "production", "requests": [asks()]}]))
    cache.put(version("2", uid="uid-2", metadata={"generation": 3}, gates=[line]))
    cache.put(managed("Job", "fraud-gate-1", job="gate"))

    assert [address.name for address in doubtful(cache, FRAUD)] == expected
