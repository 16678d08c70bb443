"""What a version's status keeps of its gates: bounded, readable, and bound to what was judged."""

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard.decide.gates import probe, results
from modelyard.decide.gates.results import Check, GateResult, Subject
from modelyard.decide.spec import StageSpec, parse_stages
from modelyard.decide.state import Revision
from modelyard.decide.versions import Version

EVALUATE = {"spec": {"containers": [{"name": "evaluate", "image": "example"}]}}
JOB: dict[str, Any] = {"name": "slices", "job": {"template": EVALUATE}, "checks": ["candidate.auc > 0"]}
DECLARED = {"name": "quality", "checks": ["candidate.auc >= incumbent.auc"]}
INCUMBENT = Revision("rev1", "1", "sha256:1")


def stage(gate: dict[str, Any]) -> StageSpec:
    model = {"metadata": {"name": "fraud"}, "spec": {"stages": [{"name": "production", "gates": [gate]}]}}
    return parse_stages(model)[0]


def version(name: str = "2", *, gates: Any = (), annotations: dict[str, str] | None = None, **spec: Any) -> Version:
    metadata = {"name": f"fraud-{name}", "uid": f"uid-{name}", "annotations": annotations or {}}
    return Version({"metadata": metadata, "spec": {"version": name, **spec}, "status": {"gates": list(gates)}})


def asked(gate: dict[str, Any], of: Version | None = None, **subject: Any) -> GateResult:
    """The line of a gate of production, asked of version 2 beside version 1."""
    found = stage(gate)
    about = Subject(found, of or version(), Revision("rev2", "2", "sha256:2"), INCUMBENT, {"auc": 0.8})
    return results.asked(replace(about, **subject), found.gates[0])


class TestWhatAnAnswerIsAbout:
    @pytest.mark.parametrize(
        ("gate", "more"),
        [
            pytest.param({**JOB, "checks": ["candidate.auc > 1"]}, {}, id="other checks"),
            pytest.param({**JOB, "job": {**JOB["job"], "timeout": "1h"}}, {}, id="other time-out"),
            pytest.param(JOB, {"revision": Revision("rev3", "2", "sha256:3")}, id="other bytes"),
            pytest.param(JOB, {"incumbent": Revision("rev0", "0", "sha256:0")}, id="other incumbent, mounted"),
            pytest.param(JOB, {"incumbent": None}, id="no incumbent"),
        ],
    )
    def test_something_else(self, gate: dict[str, Any], more: dict[str, Any]) -> None:
        assert asked(gate, **more).binding != asked(JOB).binding

    @pytest.mark.parametrize(
        ("gate", "more"),
        [
            pytest.param({**JOB, "job": {**JOB["job"], "retries": 3}}, {}, id="more retries"),
            pytest.param(JOB, {"revision": Revision("rev9", "2", "sha256:2")}, id="another template, no pods asked"),
            pytest.param(JOB, {"incumbent_metrics": {"auc": 1.0}}, id="other declared metrics of the incumbent"),
            pytest.param(JOB, {"version": version("3", metrics={"auc": 1})}, id="another version with the same bytes"),
        ],
    )
    def test_the_same(self, gate: dict[str, Any], more: dict[str, Any]) -> None:
        assert asked(gate, **more).binding == asked(JOB).binding

    def test_declared_metrics_of_both_sides(self) -> None:
        better = asked(DECLARED, version(metrics={"auc": 0.9}))
        assert better.binding != asked(DECLARED, version(metrics={"auc": 0.8})).binding
        assert better.binding != asked(DECLARED, version(metrics={"auc": 0.9}), incumbent_metrics={"auc": 0.7}).binding
        alone = {**DECLARED, "checks": ["candidate.auc > 0"]}
        assert asked(alone, incumbent_metrics={"auc": 0.7}).binding == asked(alone).binding

    def test_pods_are_asked_of_one_revision(self) -> None:
        smoke = {**JOB, "when": "BeforeTraffic", "inputs": "None"}
        other = asked(smoke, revision=Revision("rev9", "2", "sha256:2"))
        assert other.binding != asked(smoke).binding
        passed = replace(other, result="Passed")
        assert passed.holds_for_digest(asked(smoke))

    def test_names_of_jobs_differ_by_attempt_and_fit(self) -> None:
        line = asked(JOB)
        lines = [line, replace(line, attempt=2), replace(line, retry="x"), asked(JOB, incumbent=None)]
        names = {results.job_name("m" * 40, each, version()) for each in lines}
        assert len(names) == len(lines)
        assert {len(name) for name in names} <= set(range(64))


class TestRecord:
    def test_lines_that_cannot_be_read_are_as_good_as_none(self) -> None:
        line = {"stage": "production", "name": "slices", "when": "BeforeDeploy", "result": "Passed"}
        bad = [{}, {"stage": "production"}, {**line, "startedAt": "yesterday"}]
        assert [each.name for each in results.recorded(version(gates=[*bad, line]))] == ["slices"]

    def test_what_is_written_is_read_back(self) -> None:
        line = replace(
            asked(JOB), result="Failed", checks=(Check("a", "Failed", "b"),), candidate={"auc": 0.5, "n": []}
        )
        (written,) = json.loads(json.dumps(results.to_record((), [line])))
        assert results.recorded(version(gates=[written])) == (line,)

    def test_answers_of_gates_that_nobody_asks_stay_and_unfinished_ones_go(self) -> None:
        passed = replace(asked(JOB), name="old", result="Passed")
        running = replace(asked(JOB), name="gone", result="Running")
        retried = replace(asked(JOB), name="later", result="Error", next_attempt_at=None)
        written = results.to_record((passed, running, retried), [asked(JOB)])
        assert [line["name"] for line in written] == ["old", "later", "slices"]

    def test_is_bounded_whatever_gates_say(self) -> None:
        said = tuple(Check("x" * results.EXPRESSION_LIMIT, "Failed", "y" * results.MESSAGE_LIMIT) for _ in range(32))
        numbers = results.numbers({f"n{number}": "z" * 100 for number in range(1000)})
        full = replace(asked(JOB), result="Passed", checks=said, candidate=numbers, incumbent=numbers)
        before = tuple(replace(full, name=f"old{number}") for number in range(200))
        written = results.to_record(before, [replace(full, name=f"new{number}") for number in range(100)])
        assert len(json.dumps(written)) < 1.2 * results.RECORD_LIMIT
        assert [line["name"] for line in written if "checks" in line][-1] == "new99"
        assert len(written) == results.HISTORY + 100

    def test_numbers_are_cut_between_entries(self) -> None:
        found = results.numbers({"a": 1, "b": "x" * results.NUMBERS_LIMIT, "c": 2})
        assert found == {"a": 1}


def test_the_name_of_a_candidates_service_is_a_dns_label() -> None:
    model = {"metadata": {"name": "m" * 40}, "spec": {"stages": [{"name": "s" * 20}]}}
    (long,) = parse_stages(model)
    assert len(probe.service_name(long, "0123456789")) == probe.NAME_LIMIT
    (short,) = parse_stages({"metadata": {"name": "fraud"}, "spec": {"stages": [{"name": "production"}]}})
    assert probe.service_name(short, "0123456789") == "fraud-production-0123456789"
