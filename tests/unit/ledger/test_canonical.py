"""The bytes of a record are the same for everybody who writes down the same, and say what was meant."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.ledger.canonical import canonical, parse, plain, sha256_of
from modelyard.ledger.records import identity

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=5)


@given(DOCUMENTS)
def test_what_is_read_is_what_was_written(document: dict[str, Any]) -> None:
    raw = canonical(document)
    assert parse(raw) == plain(document)
    assert canonical(parse(raw)) == raw
    assert b"\n" not in raw
    assert canonical(dict(reversed(document.items()))) == raw


def test_the_example_of_the_standard() -> None:
    """RFC 8785, 3.2.2 to 3.2.4."""
    document = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '€$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(document).decode() == expected
    assert sha256_of(expected.encode()) == "sha256:" + hashlib.sha256(expected.encode()).hexdigest()


def test_integers_that_readers_would_round_become_strings() -> None:
    assert canonical({"seed": 2**63 - 1, "small": -(2**53) + 1, "yes": True, "float": 1e17}) == (
        b'{"float":"100000000000000000","seed":"9223372036854775807","small":-9007199254740991,"yes":true}'
    )


def test_half_a_character_is_no_reason_to_stop() -> None:
    assert json.loads(canonical({"comment": "ok \ud83d"})) == {"comment": "ok ?"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_document(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the JSON parser says
        parse(raw)


def test_an_entry_is_known_by_what_was_committed() -> None:
    entry = {"type": "Promoted", "at": "2026-01-01T00:00:00Z"}
    sealed = {**entry, "number": 7, "previous": "x", "cluster": "c", "namespace": "n", "model": "m", "schema": "s"}
    assert identity(entry) == identity(sealed) == identity({**entry, "effectiveAt": "2026-01-01T00:00:01Z"})
    assert identity(entry) == identity({**entry, "operator": "2.0.0"})
    assert identity(entry) != identity({**entry, "stage": "production"})


def test_a_model_is_deleted_once() -> None:
    """Whoever sees it tells it, whenever that is; a version's deletion is told by its Model, once committed."""
    entry = {"type": "Deleted", "at": "2026-01-01T00:00:00Z", "uid": "1", "message": "the Model was deleted"}
    assert identity(entry) == identity({**entry, "at": "2026-01-01T00:00:03Z", "operator": "2.0.0", "number": 7})
    assert identity(entry) != identity({**entry, "uid": "2"})
    version = {**entry, "version": {"version": "7", "uid": "3"}}
    assert identity(version) != identity(entry)
    assert identity(version) != identity({**version, "version": {"version": "8", "uid": "4"}})


@pytest.mark.parametrize(
    ("entry", "other"),
    [
        ({"type": "Deleted", "version": {"version": "7", "uid": "3"}}, {"version": {"version": "7", "uid": "4"}}),
        ({"type": "Confirmed", "to": {"version": "7", "since": "a"}}, {"to": {"version": "7", "since": "b"}}),
        ({"type": "Withdrawn", "request": {"id": "3/1"}}, {"request": {"id": "3/2"}}),
    ],
    ids=lambda entry: entry.get("type", ""),
)
def test_what_happens_once_is_told_once(entry: dict[str, Any], other: dict[str, Any]) -> None:
    entry = {**entry, "at": "2026-01-01T00:00:00Z", "stage": "production", "uid": "1"}
    assert identity(entry) == identity({**entry, "at": "2026-01-01T00:00:03Z", "gates": [{"name": "asked again"}]})
    assert identity(entry) != identity({**entry, **other})
    assert identity(entry) != identity({**entry, "uid": "2"})


def test_what_may_happen_again_is_told_again() -> None:
    failed = {"type": "Failed", "at": "2026-01-01T00:00:00Z", "stage": "production", "request": {"id": "3/1"}}
    nameless = {"type": "Withdrawn", "at": "2026-01-01T00:00:00Z", "stage": "production"}
    for entry in (failed, nameless):
        assert identity(entry) != identity({**entry, "at": "2026-01-01T00:00:03Z"})
