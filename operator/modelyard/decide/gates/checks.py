"""Does a gate's check hold? Judged over `candidate`, `incumbent` and `version`.

Called when a Model is read (`compile_error`, `names_incumbent`) and when a gate's numbers are there (`judge`). A check
that gives no answer is an Error, never a pass, and nothing here raises. What a check may be is in `expressions`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cel_expr_python import cel

from modelyard.decide.gates.expressions import CompileError, Expression, Path, compiled, environment

VALUE_LENGTH = 160
"""How much of a list or map is shown in a message."""
KEYS_SHOWN = 12
WORK = 100_000_000
"""Values that one check may look at: a few seconds of the operator's time, in the worst case."""
_NOT_FOUND = re.compile(r'NOT_FOUND: Key not found in map : "(.*)"')
_STATUS = re.compile(r"^[A-Z_]+: ")
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)


class Verdict(StrEnum):
    """What is to be said of a check, and of a gate that has been judged."""

    PASSED = "Passed"
    """It is true."""
    FAILED = "Failed"
    """It is false: the candidate is not good enough."""
    ERROR = "Error"
    """It has no answer."""
    SKIPPED = "Skipped"
    """It compares with an incumbent and there is none."""


@dataclass(frozen=True)
class CheckResult:
    """What one check said."""

    expression: str
    result: Verdict
    message: str
    """The numbers it was judged by, or why there is no answer."""


def compile_error(expression: str) -> CompileError | None:
    """Why an expression cannot be a check; None when it can."""
    found = compiled(expression)
    return found if isinstance(found, CompileError) else None


def names_incumbent(expressions: Iterable[str]) -> bool:
    """Whether a check compares with the incumbent. One that does not compile is taken to."""
    return "incumbent" in _names(map(compiled, expressions))


def judge(
    expressions: Sequence[str],
    candidate: Mapping[str, Any],
    incumbent: Mapping[str, Any] | None,
    version: Mapping[str, Any],
) -> tuple[CheckResult, ...]:
    """What each check says about a candidate. `incumbent` is None where the stage carries no version."""
    checks = [compiled(expression) for expression in expressions]
    names = _names(checks)
    seen = {"candidate": candidate, "incumbent": incumbent, "version": version}
    data = {name: _with_floats(value) for name, value in seen.items() if name in names and value is not None}
    size = _size(data) if any(isinstance(check, Expression) and check.work.grows for check in checks) else 0
    given = environment().Activation(data)
    judged = (_judge(check, seen, given, size) for check in checks)
    return tuple(CheckResult(expression, *result) for expression, result in zip(expressions, judged, strict=True))


def outcome(results: Iterable[CheckResult]) -> Verdict:
    """What the checks of a gate say together: a Failed before an Error, for it is the answer that stays."""
    said = {result.result for result in results}
    for verdict in (Verdict.FAILED, Verdict.ERROR):
        if verdict in said:
            return verdict
    return Verdict.SKIPPED if said == {Verdict.SKIPPED} else Verdict.PASSED


def _names(checks: Iterable[Expression | CompileError]) -> set[str]:
    """Variables that checks read; what cannot be understood may compare with the incumbent."""
    return {name for check in checks for name in ({"incumbent"} if isinstance(check, CompileError) else check.names)}


def _judge(check: Expression | CompileError, seen: Mapping[str, Any], given: Any, size: int) -> tuple[Verdict, str]:
    if isinstance(check, CompileError):
        return Verdict.ERROR, f"the check cannot be understood: {check}"
    if "incumbent" in check.names and seen["incumbent"] is None:
        return Verdict.SKIPPED, "there is no incumbent to compare with"
    if check.work.over(size) > WORK:
        return (
            Verdict.ERROR,
            f"it could take too long over {size} values; compare less inside of {check.work.loops} loops",
        )
    try:
        answer = check.program.eval(given)
    except RuntimeError as error:  # such as a loop that is too long
        return Verdict.ERROR, "; ".join([str(error), *_facts(check, seen)])
    value = answer.value()
    if isinstance(value, bool):
        return Verdict.PASSED if value else Verdict.FAILED, ", ".join(_facts(check, seen, absent="absent"))
    failed = answer.type() == cel.Type.ERROR
    why = _why(value, check, seen) if failed else f"the check gives {_shown(value)}, not true or false"
    return Verdict.ERROR, "; ".join([why, *_facts(check, seen)])


def _why(error: str, check: Expression, seen: Mapping[str, Any]) -> str:
    """The library's error in a user's words."""
    missing = _NOT_FOUND.match(error)
    if missing is None:
        return _STATUS.sub("", error)
    for text, path in check.reads:
        holder, depth = _reach(path, seen)
        if depth < len(path) and path[depth] == missing[1] and isinstance(holder, dict):
            keys = ", ".join(sorted(holder)[:KEYS_SHOWN]) or "no keys"
            return f"{text!r} is not there: {'.'.join(map(str, path[:depth]))} has {keys}"
    return f"there is no key {missing[1]!r}"


def _facts(check: Expression, seen: Mapping[str, Any], absent: str = "") -> Iterator[str]:
    """What the data has where a check reads it, as phrases."""
    for text, path in check.reads:
        value, depth = _reach(path, seen)
        shown = _shown(value) if depth == len(path) else absent
        if shown:
            yield f"{text} is {shown}"


def _reach(path: Path, seen: Mapping[str, Any]) -> tuple[Any, int]:
    """The innermost value on a path, and how many keys lead to it."""
    value: Any = seen
    for depth, key in enumerate(path):
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return value, depth
    return value, len(path)


def _shown(value: Any) -> str:
    text = repr(value) if type(value) in (float, int) else _JSON.encode(value)
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}..."


def _size(value: Any) -> int:
    """How many values there are, a text counting for as many as it is long."""
    if isinstance(value, dict):
        return sum(map(_size, value.values())) + len(value)
    if isinstance(value, list):
        return sum(map(_size, value)) + 1
    return 1 + len(value) if isinstance(value, str) else 1


def _with_floats(value: Any) -> Any:
    """The same data with every number a float: 3 / 1000 is 0.003 and not 0, and 1 - 0.005 has an answer."""
    kind = type(value)
    if kind is int:
        return float(value)
    if kind is dict:
        return {key: _with_floats(item) for key, item in value.items()}
    if kind is list:
        return [_with_floats(item) for item in value]
    return value
