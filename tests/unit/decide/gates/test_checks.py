"""What a check says of the numbers on both sides, and what is no check."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.decide.gates.checks import CheckResult, Verdict, compile_error, judge, names_incumbent, outcome
from tests.tries import tries

CANDIDATE: dict[str, Any] = {
    "auc": 1,  # JSON writes a perfect 1.0 like this
    "f1": 0.91,
    "errors": 3,
    "total": 1000,
    "slices": [{"name": "eu", "auc": 0.9}, {"name": "us", "auc": 0.6}],
    "by_country": {"de": {"auc": 0.8}},
    "top-1": 0.7,
    "calibrated": True,
    "label": "a + b",
    "nothing": None,
    "many": [1] * 1500,
}
INCUMBENT = {"auc": 0.921, "f1": 0.9}
VERSION = {"version": "7", "hyperparameters": {"depth": 6}, "framework": {"name": "scikit-learn"}}


def said(expression: str, incumbent: dict[str, Any] | None = INCUMBENT) -> tuple[str, str]:
    (result,) = judge([expression], CANDIDATE, incumbent, VERSION)
    assert result.expression == expression
    return result.result, result.message


@pytest.mark.parametrize(
    ("expression", "result", "message"),
    [
        ("candidate.f1 >= 0.8", "Passed", "candidate.f1 is 0.91"),
        ("candidate.f1 >= incumbent.f1 - 0.005", "Passed", "candidate.f1 is 0.91, incumbent.f1 is 0.9"),
        ("candidate.f1 > 0.95", "Failed", "candidate.f1 is 0.91"),
        ("candidate.auc - 0.005 >= incumbent.auc", "Passed", "candidate.auc is 1, incumbent.auc is 0.921"),
        ("candidate.auc == 1", "Passed", "candidate.auc is 1"),
        ("candidate.f1 * 100 > 90", "Passed", "candidate.f1 is 0.91"),
        ("candidate.errors / candidate.total < 0.01", "Passed", "candidate.errors is 3, candidate.total is 1000"),
        ("candidate.errors / candidate.total > 0.002", "Passed", "candidate.errors is 3, candidate.total is 1000"),
        ("candidate.auc + 1 * 2 - 1 == 2", "Passed", "candidate.auc is 1"),
        ("candidate.f1 +candidate.auc> 1.9", "Passed", "candidate.f1 is 0.91, candidate.auc is 1"),
        ("candidate.label == 'a + b' // + is not touched in texts", "Passed", 'candidate.label is "a + b"'),
        ("1e+3 == 1000.0", "Passed", ""),
        ("candidate['top-1'] >= 0.7", "Passed", 'candidate["top-1"] is 0.7'),
        ("candidate.by_country.de.auc > 0.7", "Passed", "candidate.by_country.de.auc is 0.8"),
        ("candidate.by_country.all(c, candidate.by_country[c].auc > 0.7)", "Passed",
         'candidate.by_country is {"de": {"auc": 0.8}}'),
        ("candidate.slices[1].auc > 0.7", "Failed", "candidate.slices[1].auc is 0.6"),
        ("candidate.slices.all(s, s.auc > 0.7)", "Failed",
         'candidate.slices is [{"name": "eu", "auc": 0.9}, {"name": "us", "auc": 0.6}]'),
        ("candidate.slices.map(s, s.auc + 1)[0] > 1.8", "Passed",
         'candidate.slices is [{"name": "eu", "auc": 0.9}, {"name": "us", "auc": 0.6}]'),
        ("candidate.calibrated", "Passed", "candidate.calibrated is true"),
        ("!has(candidate.bias) || candidate.bias < 0.1", "Passed", "candidate.bias is absent"),
        ("version.hyperparameters.depth < 10", "Passed", "version.hyperparameters.depth is 6"),
        ("version.framework.name == 'scikit-learn'", "Passed", 'version.framework.name is "scikit-learn"'),
    ],
)  # fmt: skip
def test_an_answer_shows_the_numbers(expression: str, result: str, message: str) -> None:
    assert said(expression) == (result, message)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("candidate.acc >= 0.8", "'candidate.acc' is not there: candidate has auc, by_country, calibrated, errors, f1, "
         "label, many, nothing, slices, top-1, total"),
        ("candidate.by_country.fr.auc > 0.7",
         "'candidate.by_country.fr.auc' is not there: candidate.by_country has de"),
        ("candidate.f1 > incumbent.bias", "'incumbent.bias' is not there: incumbent has auc, f1; candidate.f1 is 0.91"),
        ("candidate.slices.all(s, s.f1 > 0.7)", "there is no key 'f1'; candidate.slices is"),
        ("candidate.slices[5].auc > 0.7", "Index error: index=5 size=2"),
        ("candidate.nothing > 1", "No matching overloads found : _>_(null_type, int64); candidate.nothing is null"),
        ("candidate.label >= 0.8", 'No matching overloads found : _>=_(string, double); candidate.label is "a + b"'),
        ("candidate.f1", "the check gives 0.91, not true or false; candidate.f1 is 0.91"),
        ("candidate.f1 / 0 > 1", "float division by zero; candidate.f1 is 0.91"),
        ("candidate.f1 >=", "the check cannot be understood: line 1, column 16: Syntax error"),
    ],
)  # fmt: skip
def test_no_answer_is_an_error_that_says_why(expression: str, message: str) -> None:
    result, text = said(expression)
    assert result == "Error"
    assert text.startswith(message)


def test_without_an_incumbent_only_the_checks_that_name_it_are_skipped() -> None:
    expressions = ["candidate.f1 > incumbent.f1", "candidate.f1 > 0.9", "candidate.bias < incumbent.bias"]
    results = judge(expressions, CANDIDATE, None, VERSION)
    assert [result.result for result in results] == ["Skipped", "Passed", "Skipped"]
    assert results[0].message == "there is no incumbent to compare with"


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([], "Passed"),
        (["Passed", "Passed"], "Passed"),
        (["Passed", "Skipped"], "Passed"),
        (["Skipped", "Skipped"], "Skipped"),
        (["Passed", "Error"], "Error"),
        (["Skipped", "Error"], "Error"),
        (["Error", "Failed", "Passed"], "Failed"),
    ],
)
def test_all_checks_of_a_gate_have_to_be_true(verdicts: list[str], together: str) -> None:
    assert outcome(CheckResult("", Verdict(verdict), "") for verdict in verdicts) == together


@pytest.mark.parametrize(
    ("expression", "line", "column", "message"),
    [
        ("candidate.auc >= 0.8,", 1, 21, "Syntax error: extraneous input ',' expecting <EOF>"),
        ("candidate.auc > 0.8 &&\n  candidate.f1 >", 2, 17, "Syntax error: mismatched input '<EOF>'"),
        ("candidat.auc > 0.8", 1, 9, "undeclared reference to 'candidat.auc'; a check reads candidate, incumbent, "
         "version and calls CEL's standard functions"),
        ("1 + 2 + 3 > x", 1, 13, "undeclared reference to 'x'; "),
        ("candidate.a + 1 > 2 && candidate.b\n+ 1 > 2 && y", 2, 12, "undeclared reference to 'y'; "),
        ("candidate.auc * 2.0", 1, 1, "a check is true or false, and this gives a value of type double"),
        ("size(candidate.slices)", 1, 1, "a check is true or false, and this gives a value of type int"),
        ("'a' + 'b' == 'ab'", 1, 5, "+ adds numbers; it does not join texts or lists"),
        ("(" * 300 + "true" + ")" * 300, 1, 1, "Expression recursion limit exceeded"),
        ("", 1, 1, "Syntax error: mismatched input '<EOF>'"),
    ],
)  # fmt: skip
def test_what_is_no_check_is_told_with_its_place(expression: str, line: int, column: int, message: str) -> None:
    error = compile_error(expression)
    assert error
    assert (error.line, error.column) == (line, column)
    assert error.message.startswith(message)
    assert str(error).startswith(f"line {line}, column {column}: ")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("candidate.auc > incumbent.auc", True),
        ("has(incumbent.auc)", True),
        ("incumbent['auc'] > 0.5", True),
        ("candidate.all(k, incumbent[k] > 0)", True),
        ("incumbent is what this was meant to name", True),  # whoever cannot be understood asks for everything
        ("candidate.auc > 0.5", False),
        ("candidate.label != 'incumbent'", False),
        ("candidate.incumbent > 1", False),
        ("candidate['incumbent'] > 1", False),
        ("[1].all(incumbent, incumbent > 0)", False),
        ("candidate.auc > 0.5 // unlike the incumbent", False),
    ],
)
def test_the_incumbent_is_named_by_its_identifier_only(expression: str, names: bool) -> None:
    assert names_incumbent(["candidate.auc > 0", expression]) is names


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("candidate.many.all(a, candidate.many.all(b, candidate.many.all(c, c > 0)))", id="loops in loops"),
        pytest.param("size(candidate.many + candidate.many) > 1", id="joined lists"),
        pytest.param(
            "[candidate.many].all(a, [a+a].all(b, [b+b].all(c, [c+c].all(d, size(d+d+d+d+d+d+d+d) > 0))))", id="doubled"
        ),
        pytest.param(
            "[candidate.many].all(x, x.all(a, " + " && ".join(["x == x"] * 50) + "))", id="comparisons in loops"
        ),
        pytest.param(
            "[candidate.many].map(x, [x,x,x,x,x,x,x,x,x,x])" + ".map(x, [x,x,x,x,x,x,x,x])" * 6 + ".all(x, x == x)",
            id="lists of lists",
        ),
        pytest.param("candidate.label + candidate.label == ''", id="joined texts"),
    ],
)
def test_a_check_cannot_fill_the_operator(expression: str) -> None:
    began = time.process_time()
    assert said(expression)[0] == "Error"
    assert time.process_time() - began < 1


@tries(300)
@given(
    st.text(st.sampled_from("candidateincumbent.[]()'\"+-*/<>=!&|{}:,?0123456789 \n\\é\x00eE"), max_size=60) | st.text()
)
def test_whatever_is_written_is_a_check_or_an_error(expression: str) -> None:
    error = compile_error(expression)
    (result,) = judge([expression], CANDIDATE, None, {})
    if error:
        assert result.result == "Error"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.just("auc") | st.text(), JSON, max_size=4))
def test_whatever_the_data_there_is_a_verdict(data: dict[str, Any]) -> None:
    (result,) = judge(["candidate.auc >= incumbent.auc + 0.1"], data, data, data)
    assert (result.result == "Error") != isinstance(data.get("auc"), int | float) or isinstance(data.get("auc"), bool)
