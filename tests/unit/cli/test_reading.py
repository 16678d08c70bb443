"""What commands make of words and objects: names, durations, metrics, tables, versions in order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from click import unstyle

from modelyard.cli import objects
from modelyard.cli.errors import UnknownError, UsageError
from modelyard.cli.following import judge_rollback, judge_version, parse_duration
from modelyard.cli.listing import metric_test, version_tests
from modelyard.cli.numbering import next_number, same_version
from modelyard.cli.output import age, hue, table
from modelyard.cli.refs import Reference, check_stage
from modelyard.cli.showing import describe_model, describe_version
from modelyard.decide import state, versions

Obj = dict[str, Any]


def version(number: str, run: str = "", digest: str = "", **status: Any) -> Obj:
    metadata = {"name": f"fraud-{number}", "namespace": "risk", "uid": "u", "generation": 2}
    spec = {"model": "fraud", "version": number, "artifact": {"uri": f"s3://m/{number}/"}, "stage": "production"}
    found = {"metadata": metadata, "spec": spec | ({"run": {"id": run}} if run else {})}
    return found | {"status": status | ({"digest": digest} if digest else {})}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fraud", Reference("fraud")),
        ("risk/fraud", Reference("fraud", "risk")),
        ("risk/fraud@production", Reference("fraud", "risk", stage="production")),
        ("fraud:1.2.0", Reference("fraud", version="1.2.0")),
    ],
)
def test_names(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected


@pytest.mark.parametrize("text", ["", "@production", "a/b/c", "fraud@", "fraud:7@production", "fraud:"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        Reference.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("0s", 0), ("45", 45), ("0.5m", 30)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1d", "10m5", "h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="no duration"):
        parse_duration(text)


def test_a_stage_that_the_model_has_not() -> None:
    model: Obj = {"metadata": {"name": "fraud"}, "spec": {}}
    check_stage(model, "staging")
    with pytest.raises(UnknownError, match="it has staging, production"):
        check_stage(model, "test")


@pytest.mark.parametrize(
    ("taken", "number"), [([], "1"), (["1", "2"], "3"), (["9", "10"], "11"), (["1.0", "4"], "5"), (["7-rc", "6"], "7")]
)
def test_the_next_number(taken: list[str], number: str) -> None:
    assert next_number([version(each) for each in taken]) == number


def test_versions_of_another_form_are_peoples_to_choose() -> None:
    with pytest.raises(UsageError, match=r"the newest is 1\.10\.0"):
        next_number([version("1.9.0"), version("1.10.0")])


def test_the_same_version_has_the_same_bytes_and_run() -> None:
    known = [version("1", run="a", digest="sha256:1"), version("2", digest="sha256:1"), version("3", run="b")]
    spec: Obj = {"artifact": {"digest": "sha256:1", "uri": "s3://m/3/"}, "run": {"id": "a"}}
    assert same_version(known, spec) is known[0]
    assert same_version(known, {"artifact": spec["artifact"]}) is known[1]
    assert same_version(known, {**spec, "run": {"id": "b"}}) is known[2], "not verified yet: told by its place"
    assert same_version(known, {**spec, "run": {"id": "c"}}) is None


def test_newest_first_counts_numbers() -> None:
    ordered = objects.newest_first([version(number) for number in ("9", "10", "1.2", "1.10")])
    assert [each["spec"]["version"] for each in ordered] == ["10", "9", "1.10", "1.2"]


@pytest.mark.parametrize("stage", ["production", "archived", ""])
@pytest.mark.parametrize("nonce", ["", "again"])
def test_requests_are_told_apart_as_the_operator_does(stage: str, nonce: str) -> None:
    obj = version("7")
    obj["spec"]["stage"] = stage
    obj["metadata"]["annotations"] = {"modelyard.dev/request": nonce} if nonce else {}
    assert objects.request_id(obj) == versions.Version(obj).request_id


@pytest.mark.parametrize("step", ["Failed", "Rejected", "Serving"])
@pytest.mark.parametrize(("asked", "seen"), [("", ""), ("a", ""), ("a", "a"), ("b", "a"), ("", "a")])
def test_another_attempt_is_told_from_the_one_before_as_the_operator_does(step: str, asked: str, seen: str) -> None:
    obj = version("7", request={"id": "u/2", "step": step} | ({"retry": seen} if seen else {}))
    obj["metadata"]["annotations"] = {"modelyard.dev/retry": asked} if asked else {}
    assert objects.has_ended(objects.request_of(obj)) == versions.Version(obj).has_ended


@pytest.mark.parametrize(("told", "failed"), [("~a", False), ("x~b", True), ("", False)])
def test_a_verification_that_is_tried_again_has_not_failed_yet(told: str, failed: bool) -> None:
    obj = version("7", verification={"state": "Failed", "forRequest": told})
    obj["spec"].pop("stage")
    obj["metadata"]["annotations"] = {"modelyard.dev/retry": "b"}
    assert judge_version(obj).failed is failed


def test_the_operator_has_the_same_words() -> None:
    assert {step.value for step in state.ENDED} == objects.ENDED
    assert (objects.SERVING, objects.STANDING_BY) == (state.Step.SERVING, state.Step.STANDING_BY)


@pytest.mark.parametrize(
    ("identity", "step", "done", "failed"),
    [
        ("u/2", "Serving", True, False),
        ("u/2", "StandingBy", True, False),
        ("u/2", "Held", False, False),
        ("u/2", "Superseded", False, True),
        ("u/1", "Failed", False, False),
    ],
)
def test_what_a_wait_makes_of_a_request(identity: str, step: str, done: bool, failed: bool) -> None:
    sight = judge_version(version("7", request={"id": identity, "step": step, "reason": "Why", "message": "because"}))
    assert (sight.done, sight.failed) == (done, failed)


@pytest.mark.parametrize(("outcome", "done", "failed"), [("Applied", 1, 0), ("Refused", 0, 1), ("Pending", 0, 0)])
def test_what_a_wait_makes_of_a_rollback(outcome: str, done: int, failed: int) -> None:
    sight = judge_rollback({"status": {"outcome": outcome}})
    assert (sight.done, sight.failed) == (done, failed)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("auc>0.9", True),
        ("auc > 0.91", False),
        ("auc>=0.91", True),
        ("slices.eu.auc<0.9", True),
        ("loss!=0", False),
        ("name=1", False),
    ],
)
def test_metrics(text: str, holds: bool) -> None:
    obj = version("7")
    obj["spec"]["metrics"] = {"auc": 0.91, "slices": {"eu": {"auc": 0.8}}, "name": "x"}
    assert metric_test(text)(obj) is holds


@pytest.mark.parametrize("text", ["auc", "auc>", ">0.9", "auc>high"])
def test_what_is_no_comparison(text: str) -> None:
    with pytest.raises(UsageError, match="no comparison"):
        metric_test(text)


def test_a_digest_may_be_cut_short() -> None:
    for asked in ("sha256:ab", "ab", "abc"):
        (test,) = version_tests(digest=asked)
        assert test(version("7", digest="sha256:abcd"))
        assert not test(version("7", digest="sha256:bbcd"))


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    lines = table(("A", "LONG NAME"), [("value", None), ("x", "two\nlines")])
    assert lines == ["A       LONG NAME", "value   -", "x       two lines"]


@pytest.mark.parametrize(("seconds", "written"), [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")])
def test_ages(seconds: int, written: str) -> None:
    then = datetime(2026, 1, 1, tzinfo=UTC)
    assert age(then.isoformat(), datetime.fromtimestamp(then.timestamp() + seconds, UTC)) == written


def test_a_version_is_shown_with_who_signed_it() -> None:
    signature = {
        "by": "release@example.com",
        "method": "Certificate",
        "fingerprint": "sha256:ab",
        "listedAs": "corporate",
    }
    shown = list(describe_version(version("7", artifact={"signature": signature})))
    assert [line.split(maxsplit=2)[2] for line in shown if "signed by" in line] == [
        "release@example.com (certificate sha256:ab, listed as corporate)"
    ]
    assert not any("signed by" in line for line in describe_version(version("7")))


def test_a_version_that_failed_is_shown_with_the_one_that_was_asked_for_since() -> None:
    failed = version("7", request={"step": "Failed", "reason": "GateFailed", "overtakenBy": "8"})
    assert any("version 8 was asked for" in line for line in describe_version(failed))
    assert not any("was asked for" in line for line in describe_version(version("7", request={"step": "Serving"})))


@pytest.mark.parametrize(
    ("kind", "status", "is_told"),
    [
        ("Ready", "True", False),
        ("Ready", "False", True),
        ("Accepted", "False", True),
        ("Waiting", "True", True),
        ("Stalled", "True", True),
    ],
)
def test_a_model_is_shown_with_what_is_not_as_it_should_be(kind: str, status: str, *, is_told: bool) -> None:
    told = {"type": kind, "status": status, "reason": "Why", "message": "a sentence"}
    metadata = {"name": "fraud", "namespace": "risk"}
    model: Obj = {"metadata": metadata, "spec": {}, "status": {"conditions": [told]}}
    assert any(line == f"{kind}: Why: a sentence" for line in map(unstyle, describe_model(model))) is is_told


def test_no_colours_where_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert hue("Failed") != "Failed"
    monkeypatch.setenv("NO_COLOR", "1")
    assert hue("Failed") == "Failed"
