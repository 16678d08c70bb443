"""Is this text a check, and what does it read? CEL expressions, compiled.

`checks` asks here, once for each text. Nothing here raises, and nothing here knows any data.

CEL keeps integers and floats apart, and JSON does not: an AUC of exactly 1 arrives as an integer. So the data has
floats only (`checks` sees to that), and arithmetic takes an integer that is written in the expression beside a float.

Checks are written by whoever may configure one Model and run in the operator of all Models, so they are bounded. The
CRD limits their length and the library their iterations; `+` joins no lists or texts, since a few joins of joins fill
any memory; and `Work` says how long a check could take, before it does.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

from cel_expr_python import cel

VARIABLES = ("candidate", "incumbent", "version")
ITERATIONS = 10_000
"""How often the loops of one check go round at most; then the library gives up."""

_STRING = r"""[rRbB]{0,2}(?:'{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*"
_TOKEN = re.compile(rf"//[^\n]*|{_STRING}|{_NUMBER}|(?P<name>[A-Za-z_]\w*)|(?P<mark>\S)", re.DOTALL)
_KEY = re.compile(r"""\s*(?:\.\s*([A-Za-z_]\w*)(?!\w|\s*\()|\[\s*(?:'([^'\\]*)'|"([^"\\]*)"|(\d+))\s*\])""")
_LOOPS = frozenset({"all", "exists", "exists_one", "filter", "map"})
_POSITION = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_NOISE = re.compile(r" \(in container ''\)| expecting \{.*\}$")
_STATUS = re.compile(r"^[A-Z_]+: ")


@dataclass(frozen=True)
class CompileError:
    """Why an expression is not a check."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


@dataclass(frozen=True)
class Work:
    """What makes a check take long, counted in its text."""

    loops: int
    compares: int
    """What looks at whole lists, maps and texts: ==, !=, in, and functions such as matches."""
    commas: int

    @property
    def grows(self) -> bool:
        """Whether it takes more than a look at each value of the data."""
        return bool(self.loops and self.compares)

    def over(self, size: int) -> int:
        """How many values it looks at, at most, in data of that many: each time round, each comparison may see all of
        the data, and as often as a list in the loop has named it."""
        if not self.grows:
            return size
        rounds, named = int(size**self.loops), int((self.commas + 1) ** self.loops)
        return min(ITERATIONS, rounds) * self.compares * size * named


Path = tuple[str | int, ...]
"""A variable and the keys below it: ("candidate", "slices", 0)."""


@dataclass(frozen=True)
class Expression:
    """A compiled check."""

    program: Any
    names: frozenset[str]
    """Variables that it reads."""
    reads: tuple[tuple[str, Path], ...]
    """What it reads of them, as far as it is written out: as a text to show, and as a way into the data."""
    work: Work


@lru_cache(maxsize=4096)
def compiled(expression: str) -> Expression | CompileError:
    """The expression, ready to be judged, or why it is no check."""
    source = _read(expression)
    try:
        program = environment().compile(source.text)
    except (RuntimeError, TypeError) as error:  # TypeError: text that is not Unicode
        return _located(str(error), source)
    kind = program.return_type()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        return CompileError(1, 1, f"a check is true or false, and this gives a value of type {kind.name().lower()}")
    names = frozenset(name for name in VARIABLES if _needs(source.text, name))
    return Expression(program, names, source.reads, source.work)


def _needs(text: str, variable: str) -> bool:
    """Whether an expression that compiles reads a variable: then it does not compile without."""
    try:
        environment(tuple(name for name in VARIABLES if name != variable)).compile(text)
    except RuntimeError:
        return True
    return False


@dataclass(frozen=True)
class _Source:
    """An expression as it is compiled."""

    text: str
    shifts: tuple[tuple[int, int], ...]
    """Line and column of each character that its author did not write."""
    reads: tuple[tuple[str, Path], ...]
    work: Work


def _read(expression: str) -> _Source:
    """Find what an expression names and does, and keep `+` for numbers.

    `a + b` is compiled as `a --b`, which only numbers understand; it binds as before, since unary minus binds tighter
    than `*`.
    """
    pieces, shifts, reads, words, previous, end = [], [], dict[str, Path](), list[str](), "", 0
    for token in _TOKEN.finditer(expression):
        pieces.append(expression[end : token.start()])
        pieces.append("--" if token["mark"] == "+" else token[0])
        end = token.end()
        if token["mark"] == "+":
            before = "".join(pieces)
            shifts.append((before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)))
        elif token["name"] in VARIABLES and previous != ".":
            path = (token[0], *_keys(expression, token.end()))
            reads[_shown(path)] = path
        previous = token[0]
        words.append(previous)
    return _Source("".join(pieces) + expression[end:], tuple(shifts), tuple(reads.items()), _work(words))


def _work(words: list[str]) -> Work:
    loops = sum(1 for dot, word in pairwise(words) if dot == "." and word in _LOOPS)
    calls = sum(1 for word, mark in pairwise(words) if mark == "(" and word.isidentifier()) - loops
    equals = sum(1 for mark, sign in pairwise(words) if mark in ("=", "!") and sign == "=")
    return Work(loops, calls + equals + words.count("in"), words.count(","))


def _shown(path: Path) -> str:
    """A path as one writes it."""
    keys = (f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{json.dumps(key)}]" for key in path[1:])
    return f"{path[0]}{''.join(keys)}"


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
def environment(variables: tuple[str, ...] = VARIABLES) -> Any:
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
