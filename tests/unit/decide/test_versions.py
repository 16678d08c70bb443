"""The order of versions, durations, and what a status keeps: the small rules that others rest on."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api import codec
from modelyard.api.ordering import natural_key
from modelyard.decide import settled
from modelyard.decide.spec import parse_duration
from modelyard.decide.state import Current, ModelState, Request, Revision, StageState, Step, Transition
from modelyard.decide.versions import is_older

NOW = datetime(2026, 1, 1, 12, 30, 15, 250000, tzinfo=UTC)


def test_runs_of_digits_compare_as_numbers() -> None:
    ordered = ["1", "1.2", "1.10", "2", "9", "10", "10-rc1", "10-rc2", "10-rc10", "a1", "a10"]
    shuffled = random.Random(7).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_key) == ordered


@given(st.lists(st.text(alphabet="0123456789.-abc", min_size=1, max_size=8)))
def test_every_two_versions_can_be_ordered(versions: list[str]) -> None:
    keys = sorted(map(natural_key, versions))
    assert all(first <= second for first, second in itertools.pairwise(keys))


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("1", "2", True), ("2", "1", False), ("1.9", "1.10", True), ("1", "1.0", False), ("1-rc", "2", False)],
)
def test_older_is_said_of_dotted_numbers_only(version: str, than: str, *, expected: bool) -> None:
    assert is_older(version, than) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("0s", timedelta()),
        (None, timedelta(minutes=7)),
    ],
)
def test_durations(text: str | None, expected: timedelta) -> None:
    assert parse_duration(text, default="7m") == expected


def test_state_survives_the_status() -> None:
    request = Request("u/1", "1", 3, uid="u", requested_at=NOW).end(Step.FAILED, "Why", "because", NOW)
    current = Current("1", "sha256:1", "abc", 3, 4, NOW, effective_since=NOW, by="ann")
    revision = Revision("abc", "1", "sha256:1", good=True, served_from=NOW)
    stage = StageState("production", current, 4, 3, (request,), (revision,))
    state = ModelState({"production": stage}).record(Transition("production", "Promoted", NOW, sequence=4))
    status = {"stages": [codec.dump(stage)], "transitions": list(state.transitions)}
    assert ModelState.parse(status) == state


def version(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "fraud-1", "uid": "u", "generation": 1, "creationTimestamp": codec.format_time(NOW)},
        "spec": {"model": "fraud", "version": "1", "stage": "production", "artifact": {"uri": "s3://b/1/"}},
        "status": {"observedGeneration": 1, "verification": {"state": "Passed"}, **status},
    }


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(version(request={"id": "u/1", "step": "Failed"}), True, id="its request ended"),
        pytest.param(version(request={"id": "u/1", "step": "Deploying"}), False, id="it is on its way"),
        pytest.param(version(request={"id": "u/0", "step": "Failed"}), False, id="an older request ended"),
        pytest.param(version(request={"id": "u/1", "step": "Failed"}, stages=[{}]), False, id="it serves"),
        pytest.param(version(observedGeneration=0), False, id="its spec was edited"),
        pytest.param(version(verification={"state": "Running"}), False, id="it is being verified"),
    ],
)
def test_settled(obj: dict[str, Any], *, expected: bool) -> None:
    assert settled(obj) is expected
