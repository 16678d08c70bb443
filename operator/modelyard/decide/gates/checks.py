"""Does a gate's check hold? CEL over `candidate`, `incumbent` and `version`.

Called when a Model is read (`compile_error`) and when a gate's numbers are there (`judge`). A check that gives no
answer is an Error, never a pass, and nothing here raises.

CEL keeps integers and floats apart, and JSON does not: an AUC of exactly 1 arrives as an integer, `auc - 0.005`
would then have no answer, and `errors / total` would round to 0. So every number in the data is a float, and
arithmetic takes literals of both kinds.

Checks are written by whoever may configure one Model and run in the operator of all Models, so they are bounded:
the library counts iterations, the CRD limits the length, and here nothing may be doubled over and over. Lists and
strings cannot be joined with `+`, and there are few loops in one check.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel

SIDES = ("candidate", "incumbent")
VARIABLES = (*SIDES, "version")
MAX_LOOPS = 4
"""How many of CEL's loops (all, exists, exists_one, filter, map) one check may have."""
VALUE_LENGTH = 160
"""How much of a list or map is shown in a message."""
KEYS_SHOWN = 12

_STRING = r"""[rRbB]{0,2}(?:'{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*"
_TOKEN = re.compile(rf"//[^\n]*|{_STRING}|{_NUMBER}|(?P<name>[A-Za-z_]\w*)|(?P<mark>\S)", re.DOTALL)
_KEY = re.compile(r"""\s*(?:\.\s*([A-Za-z_]\w*)(?!\w|\s*\()|\[\s*(?:'([^'\\]*)'|"([^"\\]*)"|(\d+))\s*\])""")
_WORD = re.compile(r"[A-Za-z_]\w*")
_LOOPS = frozenset({"all", "exists", "exists_one", "filter", "map"})
_POSITION = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_NOISE = re.compile(r" \(in container ''\)| expecting \{.*\}$")
_NOT_FOUND = re.compile(r'NOT_FOUND: Key not found in map : "(.*)"')
_STATUS = re.compile(r"^[A-Z_]+: ")


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


@dataclass(frozen=True)
class CompileError:
    """Why an expression is not a check."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


Path = tuple[str | int, ...]
"""A variable and the keys below it: ("candidate", "slices", 0)."""


@dataclass(frozen=True)
class _Check:
    """A compiled expression."""

    program: Any
    names: frozenset[str]
    """Variables that it reads."""
    paths: tuple[Path, ...]
    """What it reads of them, as far as it is written out."""


def compile_error(expression: str) -> CompileError | None:
    """Why an expression cannot be a check; None when it can."""
    found = _compile(expression)
    return found if isinstance(found, CompileError) else None


def names_incumbent(expressions: Iterable[str]) -> bool:
    """Whether a check compares with the incumbent. One that does not compile is taken to."""
    return any("incumbent" in _names(_compile(expression)) for expression in expressions)


def judge(
    expressions: Sequence[str],
    candidate: Mapping[str, Any],
    incumbent: Mapping[str, Any] | None,
    version: Mapping[str, Any],
) -> tuple[CheckResult, ...]:
    """What each check says about a candidate. `incumbent` is None where the stage carries no version."""
    checks = [_compile(expression) for expression in expressions]
    seen = {"candidate": candidate, "incumbent": incumbent, "version": version}
    read = frozenset[str]().union(*map(_names, checks))
    data = {name: _with_floats(value) for name, value in seen.items() if name in read and value is not None}
    judged = (_judge(check, seen, data) for check in checks)
    return tuple(CheckResult(expression, *result) for expression, result in zip(expressions, judged, strict=True))


def outcome(results: Iterable[CheckResult]) -> Verdict:
    """What the checks of a gate say together: a Failed before an Error, for it is the answer that stays."""
    said = {result.result for result in results}
    for verdict in (Verdict.FAILED, Verdict.ERROR):
        if verdict in said:
            return verdict
    return Verdict.SKIPPED if said == {Verdict.SKIPPED} else Verdict.PASSED


def _judge(check: "_Check | CompileError", seen: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Verdict, str]:
    if isinstance(check, CompileError):
        return Verdict.ERROR, f"the check cannot be understood: {check}"
    if "incumbent" in check.names and seen["incumbent"] is None:
        return Verdict.SKIPPED, "there is no incumbent to compare with"
    try:
        answer = check.program.eval(data=data)
        value, failed = answer.value(), answer.type() == cel.Type.ERROR
    except RuntimeError as error:  # such as a loop that is too long
        value, failed = str(error), True
    if isinstance(value, bool):
        return Verdict.PASSED if value else Verdict.FAILED, ", ".join(_facts(check.paths, seen, "absent"))
    why = _why(str(value), check.paths, seen) if failed else f"the check gives {_shown(value)}, not true or false"
    return Verdict.ERROR, "; ".join([why, *_facts(check.paths, seen)])


def _why(error: str, paths: Iterable[Path], seen: Mapping[str, Any]) -> str:
    """The library's error in a user's words."""
    missing = _NOT_FOUND.match(error)
    if missing is None:
        return _STATUS.sub("", error)
    for path in paths:
        holder, key = _holder(path, seen)
        if key == missing[1] and isinstance(holder, Mapping):
            keys = ", ".join(sorted(holder)[:KEYS_SHOWN]) or "no keys"
            return f"{_name(path[: path.index(key)])} has no key {key!r}; it has {keys}"
    return f"there is no key {missing[1]!r}"


def _holder(path: Path, seen: Mapping[str, Any]) -> tuple[Any, str | int | None]:
    """The innermost value that a path reaches, and the key that is not in it; None when all are."""
    value = seen[str(path[0])]
    for key in path[1:]:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return value, key
    return value, None


def _name(path: Path) -> str:
    """A path as it is written in an expression."""
    keys = (f".{key}" if isinstance(key, str) and _WORD.fullmatch(key) else f"[{json.dumps(key)}]" for key in path[1:])
    return f"{path[0]}{''.join(keys)}"


def _facts(paths: Iterable[Path], seen: Mapping[str, Any], absent: str = "") -> Iterator[str]:
    """What the data has at each path, as phrases."""
    for path in paths:
        value, missing = _holder(path, seen)
        text = _shown(value) if missing is None else absent
        if text:
            yield f"{_name(path)} is {text}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}..."


def _names(check: "_Check | CompileError") -> frozenset[str]:
    return frozenset({"incumbent"}) if isinstance(check, CompileError) else check.names


def _with_floats(value: Any) -> Any:
    """The same data with every number a float."""
    if isinstance(value, Mapping):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@lru_cache(maxsize=4096)
def _compile(expression: str) -> "_Check | CompileError":
    source = _read(expression)
    if source.loops > MAX_LOOPS:
        return CompileError(
            1, 1, f"a check has at most {MAX_LOOPS} of {', '.join(sorted(_LOOPS))}; this has {source.loops}"
        )
    try:
        program = _environment(VARIABLES).compile(source.text)
    except (RuntimeError, TypeError) as error:  # TypeError: text that is not Unicode
        return _located(str(error), source)
    kind = program.return_type()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        return CompileError(1, 1, f"a check is true or false, and this gives a value of type {kind.name().lower()}")
    names = frozenset(name for name in VARIABLES if _needs(source.text, name))
    return _Check(program, names, source.paths)


def _needs(text: str, variable: str) -> bool:
    """Whether an expression that compiles reads a variable: then it does not compile without."""
    try:
        _environment(tuple(name for name in VARIABLES if name != variable)).compile(text)
    except RuntimeError:
        return True
    return False


@dataclass(frozen=True)
class _Source:
    """An expression as it is compiled."""

    text: str
    shifts: tuple[tuple[int, int], ...]
    """Line and column of each character that its author did not write."""
    loops: int
    paths: tuple[Path, ...]


def _read(expression: str) -> _Source:
    """Find what an expression names, and keep `+` for numbers.

    CEL joins lists and strings with `+` too, and a few joins of joins fill the operator's memory. So `a + b` is
    compiled as `a --b`, which only numbers understand; it binds as before, since unary minus binds tighter than `*`.
    """
    pieces, shifts, paths, loops, previous, end = [], [], dict[Path, None](), 0, "", 0
    for token in _TOKEN.finditer(expression):
        pieces.append(expression[end : token.start()])
        pieces.append("--" if token["mark"] == "+" else token[0])
        end = token.end()
        if token["mark"] == "+":
            before = "".join(pieces)
            shifts.append((before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)))
        elif token["name"] and previous == "." and token[0] in _LOOPS:
            loops += 1
        elif token["name"] in VARIABLES and previous != ".":
            paths[(token[0], *_keys(expression, token.end()))] = None
        previous = token[0]
    return _Source("".join(pieces) + expression[end:], tuple(shifts), loops, tuple(paths))


def _keys(expression: str, start: int) -> Iterator[str | int]:
    """The keys written out after a variable, up to a call."""
    while key := _KEY.match(expression, start):
        yield int(key[4]) if key[4] else next(part for part in key.groups() if part is not None)
        start = key.end()


def _located(error: str, source: _Source) -> CompileError:
    found = _POSITION.search(error)
    if found is None:
        return CompileError(1, 1, _STATUS.sub("", error.splitlines()[0]))
    line, column = int(found[1]), int(found[2])
    message = _NOISE.sub("", found[3])
    if message.startswith("undeclared reference"):
        message += f"; a check reads {', '.join(VARIABLES)} and calls CEL's standard functions"
    if (line, column) in source.shifts:
        message = "+ adds numbers; it does not join texts or lists"
    shifted = sum(1 for at_line, at in source.shifts if at_line == line and at <= column)
    return CompileError(line, column - shifted, message)


_MIXED: tuple[tuple[str, str, Callable[[float, float], float]], ...] = (
    ("_-_", "subtract", operator.sub),
    ("_*_", "multiply", operator.mul),
    ("_/_", "divide", operator.truediv),
)


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    """What expressions are compiled in: CEL's standard library, with arithmetic between integers and floats."""
    declared = [_arithmetic(*entry) for entry in _MIXED]
    lists = cel.Type.List(cel.Type.DYN)
    declared.append(cel.FunctionDecl("_+_", [cel.Overload("add_list", lists, [lists, lists])]))  # what map is made of
    excluded = "".join(f"\n  - name: {symbol}" for symbol in ("_+_", *(entry[0] for entry in _MIXED)))
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(f"stdlib:\n  exclude_functions:{excluded}"),
        variables=dict.fromkeys(variables, cel.Type.Map(cel.Type.STRING, cel.Type.DYN)),
        functions=declared,
    )


def _arithmetic(symbol: str, name: str, compute: Callable[[float, float], float]) -> Any:
    """An operator on two integers or two floats, which the library computes, or on one of each."""
    kinds = {"int64": cel.Type.INT, "double": cel.Type.DOUBLE}
    same = [cel.Overload(f"{name}_{kind}", type_, [type_, type_]) for kind, type_ in kinds.items()]
    mixed = [
        cel.Overload(f"{name}_{left}_{right}", cel.Type.DOUBLE, [kinds[left], kinds[right]], impl=compute)
        for left, right in (("int64", "double"), ("double", "int64"))
    ]
    return cel.FunctionDecl(symbol, [*same, *mixed])
