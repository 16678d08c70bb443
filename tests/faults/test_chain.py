"""The independent reader of chains finds what it is there to find."""

import hashlib
import json
from typing import Any

import pytest

from tests.faults.chain import NOTHING_BEFORE, doubled, records, told, untold

GROUP = "modelyard.test"
MODEL = "uid-of-the-model"


def sealed(*entries: dict[str, Any]) -> list[bytes]:
    """A chain of these."""
    chain, previous = [], NOTHING_BEFORE
    for number, entry in enumerate(entries, 1):
        record = {"uid": MODEL, "at": f"2026-01-01T00:00:{number:02}Z", **entry, "number": number, "previous": previous}
        chain.append(json.dumps(record, separators=(",", ":"), sort_keys=True).encode())
        previous = "sha256:" + hashlib.sha256(chain[-1]).hexdigest()
    return chain


def move(version: str, sequence: int, kind: str = "Promoted") -> dict[str, Any]:
    return {
        "type": kind,
        "stage": "production",
        "sequence": sequence,
        "to": {"version": version, "revision": f"of-{version}"},
    }


def seen_in_model(version: str, sequence: int, revision: str = "") -> tuple[str, dict[str, Any]]:
    current = {"version": version, "sequence": sequence, "revision": revision or f"of-{version}"}
    status = {"stages": [{"name": "production", "current": current}]}
    return "MODIFIED", {"kind": "Model", "metadata": {"uid": MODEL}, "status": status}


def seen_at_service(version: str, sequence: int) -> tuple[str, dict[str, Any]]:
    metadata = {
        "annotations": {f"{GROUP}/sequence": str(sequence)},
        "labels": {f"{GROUP}/stage": "production"},
        "ownerReferences": [{"uid": MODEL}],
    }
    return "MODIFIED", {
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {f"{GROUP}/revision": f"of-{version}"}},
    }


REGISTERED = {"type": "Registered", "version": {"uid": "v", "version": "1"}}


def test_a_whole_chain_tells_what_was_seen() -> None:
    chain = records(sealed(REGISTERED, move("1", 1), move("2", 2), move("1", 3, "RolledBack")))
    assert told(chain) == ["Registered 1", "Promoted production 1", "Promoted production 2", "RolledBack production 1"]
    assert doubled(chain) == []
    seen = [seen_in_model("1", 1), seen_at_service("2", 2), seen_in_model("1", 3), seen_at_service("1", 3)]
    assert untold(chain, seen, GROUP) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(lambda chain: chain[1:], "says that it is 2", id="the first one is missing"),
        pytest.param(lambda chain: [chain[0], chain[2]], "says that it is 3", id="one is missing"),
        pytest.param(lambda chain: [chain[0].replace(b'"v"', b'"w"'), *chain[1:]], "record 2 follows", id="changed"),
        pytest.param(lambda chain: [chain[0].replace(b",", b", ", 1)], "not canonical", id="written in another way"),
    ],
)
def test_a_chain_that_is_not_whole(broken: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        records(broken(sealed(REGISTERED, move("1", 1), move("2", 2))))


def test_what_happened_once_is_told_once() -> None:
    [found] = doubled(records(sealed(move("1", 1), {**move("1", 1), "at": "2026-01-02T00:00:00Z"})))
    assert "production moved to 1" in found
    assert len(doubled(records(sealed(REGISTERED, REGISTERED)))) == 1
    assert doubled(records(sealed(REGISTERED, REGISTERED)), {"Registered"}) == []


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(seen_in_model("2", 2), id="a Model that moved on"),
        pytest.param(seen_at_service("2", 2), id="a Service that was switched"),
        pytest.param(seen_in_model("2", 1), id="another version than is told"),
        pytest.param(seen_in_model("1", 1, revision="another"), id="another revision than is told"),
    ],
)
def test_what_was_seen_is_told(seen: tuple[str, dict[str, Any]]) -> None:
    assert len(untold(records(sealed(move("1", 1))), [seen], GROUP)) == 1
