"""A termination message is two maps of data or a sentence about what is wrong with it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.decide.gates.checks import judge
from modelyard.decide.gates.output import MAX_LENGTH, Output, OutputError, parse


@pytest.mark.parametrize(
    ("text", "candidate", "incumbent"),
    [
        ('{"auc": 0.9, "n": 3}', {"auc": 0.9, "n": 3}, {}),
        (' {"auc": -0.5e-3}\n', {"auc": -0.0005}, {}),
        ('{"candidate": {"auc": 0.9}, "incumbent": {"auc": 0.8}}', {"auc": 0.9}, {"auc": 0.8}),
        ('{"candidate": {"auc": 0.9}}', {"auc": 0.9}, {}),
        ('{"slices": [{"auc": 1}], "ok": true, "why": null}', {"slices": [{"auc": 1}], "ok": True, "why": None}, {}),
        ("{}", {}, {}),
    ],
)
def test_numbers(text: str, candidate: dict[str, Any], incumbent: dict[str, Any]) -> None:
    assert parse(text) == Output(candidate, incumbent)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        (None, "NoOutput", "it ended well and left no numbers; write one JSON object to /dev/termination-log"),
        (" \n", "NoOutput", "it ended well and left no numbers"),
        ("done", "InvalidOutput", "its output is not JSON (Expecting value: line 1 column 1 (char 0)): done"),
        ('{"auc": 0.9', "InvalidOutput", "its output is not JSON ("),
        ('{"auc": 0.9} {"auc": 0.8}', "InvalidOutput", "its output is not JSON (Extra data: "),
        ("[0.9]", "InvalidOutput", "its output is not a JSON object: [0.9]"),
        ("0.9", "InvalidOutput", "its output is not a JSON object: 0.9"),
        ('{"auc": NaN}', "InvalidOutput", "its output has the number NaN, which no check can be made of"),
        ('{"a": {"b": [-Infinity]}}', "InvalidOutput", "its output has the number -Infinity, which"),
        ('{"auc": 1e999}', "InvalidOutput", "its output has the number 1e999, which"),
        (f'{{"auc": {"9" * 400}}}', "InvalidOutput", "its output has the number 99999999999999999999, which"),
        ('{"auc": 0.9, "auc": 0.1}', "InvalidOutput", "its output has the key 'auc' twice"),
        ('{"": 1, "\\u0000": 2}', "InvalidOutput", "its output has the key '\\x00', whose NUL no check can name"),
        (
            '{"candidate": {"auc": 0.9}, "auc": 0.1}',
            "InvalidOutput",
            "its output has 'auc' beside candidate and incumbent",
        ),
        ('{"candidate": 0.9}', "InvalidOutput", "candidate in its output is not a JSON object"),
        ('{"incumbent": null}', "InvalidOutput", "incumbent in its output is not a JSON object"),
        ("[" * 2000, "InvalidOutput", "its output is not JSON ("),
        (
            json.dumps({"log": "x" * MAX_LENGTH}),
            "OutputTooLong",
            "its output is cut off at 4096 bytes; write fewer numbers",
        ),
        (json.dumps({"log": ""}) + " " * MAX_LENGTH, "OutputTooLong", "its output is cut off at 4096 bytes"),
        (json.dumps({"log": "ä" * 2100}, ensure_ascii=False), "OutputTooLong", "its output is cut off at 4096 bytes"),
    ],
)
def test_no_numbers(text: str | None, reason: str, message: str) -> None:
    found = parse(text)
    assert isinstance(found, OutputError)
    assert found.reason == reason
    assert found.message.startswith(message)


def test_containers_that_share_the_pods_room_have_less() -> None:
    text = json.dumps({"log": "x" * 2980})
    assert isinstance(parse(text), Output)
    assert parse(text, limit=3000) == Output({"log": "x" * 2980}, {})
    assert parse(text, limit=2991) == OutputError(
        "OutputTooLong", "its output is cut off at 2991 bytes; write fewer numbers"
    )


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text() | JSONISH.map(json.dumps) | st.dictionaries(st.text(max_size=10), JSONISH, max_size=4).map(json.dumps)


@given(TEXTS | st.tuples(TEXTS, TEXTS).map("".join))
def test_whatever_is_written_it_is_judged_or_refused(text: str) -> None:
    found = parse(text)
    if isinstance(found, OutputError):
        assert found.message
        return
    assert parse(json.dumps({"candidate": found.candidate, "incumbent": found.incumbent})) == found
    (result,) = judge(["candidate == candidate && incumbent == incumbent"], found.candidate, found.incumbent, {})
    assert result.result == "Passed", result.message
