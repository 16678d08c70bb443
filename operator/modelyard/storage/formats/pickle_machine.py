"""What a pickle's opcodes do to its stack, as far as two questions need it. Called by `pickle_walk`, per opcode.

Where does joblib put raw array data, and how much? And is something that the pickle fetches by name, an attribute or a
module, then called or altered? Everything else on the stack is opaque; nothing is imported, constructed or called.
"""

import pickletools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

OPAQUE: Any = object()
MARK: Any = object()
STRINGS = frozenset(
    {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
INTEGERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
DTYPES = frozenset({"numpy.dtype", "numpy dtype"})
WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
RECONSTRUCTORS = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})
FETCHERS = frozenset(
    {
        "builtins.getattr", "__builtin__.getattr", "operator.attrgetter", "operator.itemgetter",
        "operator.methodcaller", "cloudpickle.cloudpickle.subimport",
    }
)  # fmt: skip
"""How bound methods, sort keys and modules are pickled. They yield something by its name; calling it, altering it or
handing it to a call while loading is how an attack goes on from there, and rarely a model's business."""
PASSED_TO = FETCHERS | {
    f"cloudpickle.cloudpickle.{name}"
    for name in ("_make_cell", "_make_function", "_function_setstate", "_class_setstate")
}
"""Calls that merely put away what they are given: names within names, and the variables of functions by value."""
REBUILT_BY = frozenset({"cloudpickle.cloudpickle._make_skeleton_class", "cloudpickle.cloudpickle._builtin_type"})
"""Calls whose result cloudpickle calls in turn: classes by value, and the types of functions and code."""
MAX_LOOKED_AT = 10_000_000
"""Arguments looked into for all calls of a pickle together; one large tuple can be handed to a million of them."""
MAX_DIMENSIONS = 64
"""As many as numpy has."""
HAS_OBJECT = 1
"""Bit of a dtype's flags: such arrays follow as a pickle of their own."""


@dataclass(frozen=True)
class ArrayAhead:
    """The data of an array follows in the stream."""

    size: int | None
    """Bytes of its items; None for objects, which follow as a pickle of their own."""
    padded: bool
    """Whether a byte precedes them that says how many bytes to pass over first."""


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass
class _Dtype:
    itemsize: int | None
    has_object: bool


@dataclass(frozen=True)
class _Fetched:
    by: str

    @property
    def what(self) -> str:
        return f"what {self.by} gives"


@dataclass(frozen=True)
class _Rebuilt:
    """A class that may be called."""


@dataclass
class _Wrapper:
    """joblib's stand-in for an array."""


class Machine:
    """The stack and memo of one pickle."""

    def __init__(self) -> None:
        self.misused: set[str] = set()
        """What was done that should not be with things that FETCHERS gave."""
        self._fetched = False
        self._looked_at = 0
        self._ahead: ArrayAhead | None = None
        self._stack: list[Any] = []
        self._memo: list[Any] = []
        self._sparse: dict[int, Any] = {}

    def apply(self, opcode: pickletools.OpcodeInfo, argument: Any) -> ArrayAhead | None:
        """Carry an opcode's effect out on the stack. Says so when joblib reads an array's data next."""
        self._ahead = None
        self._apply(opcode, argument)
        return self._ahead

    def _apply(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        name, stack = opcode.name, self._stack
        if name in STRINGS or name in INTEGERS:
            stack.append(argument)
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._remember(argument)
        elif name == "MEMOIZE":
            self._remember(len(self._memo) + len(self._sparse))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument] if argument < len(self._memo) else self._sparse[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "GLOBAL":
            stack.append(_Global(argument.replace(" ", ".", 1)))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_TUPLE":
            stack.append(())
        else:
            self._apply_to_operands(opcode)

    def _apply_to_operands(self, opcode: pickletools.OpcodeInfo) -> None:
        """Opcodes that take values off the stack: a few are understood, of the others only the depth matters."""
        operands = self._pop(opcode)
        self._watch(opcode.name, operands)
        match opcode.name, operands:
            case ("TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3", _):
                self._stack.append(tuple(operands))
            case ("SETITEM" | "SETITEMS", [dict() as target, *items]):
                _set_items(target, items)
                self._stack.append(target)
            case ("APPEND" | "APPENDS" | "ADDITEMS", [target, *_]):
                self._stack.append(target)
            case "STACK_GLOBAL", [str(module), str(name)]:
                self._stack.append(_Global(f"{module}.{name}"))
            case ("REDUCE" | "NEWOBJ", [_Global() as made_by, args]):
                self._stack.append(_made(made_by.name, args))
                self._fetched |= made_by.name in FETCHERS
            case "BUILD", [made, state]:
                self._stack.append(self._built(made, state))
            case _:
                self._stack.extend(OPAQUE for _ in opcode.stack_after)

    def _watch(self, name: str, operands: list[Any]) -> None:
        """Note what is called, altered or handed on that was fetched by name, and calls that could hide it."""
        match name, operands:
            case ("BUILD", [_Fetched() as altered, *_]):
                self.misused.add(altered.what)
            case ("INST", given):
                self._watch_arguments(given)
            case ("REDUCE" | "NEWOBJ" | "NEWOBJ_EX" | "OBJ", [called, *given]) if self._fetched:
                if isinstance(called, _Fetched):
                    self.misused.add(called.what)
                elif not isinstance(called, _Global | _Rebuilt):
                    self.misused.add("something that it has put together")
                elif name != "OBJ" and not isinstance(given[0], tuple):
                    self.misused.add("a call that hides its arguments")
                elif called.name not in PASSED_TO if isinstance(called, _Global) else True:
                    self._watch_arguments(given)

    def _watch_arguments(self, given: Iterable[Any]) -> None:
        """Look into everything that is handed on, each thing once: tuples can hold the same two tuples, many deep."""
        waiting, seen = list(given), set[int]()
        while waiting:
            value = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, _Fetched):
                self.misused.add(value.what)
            elif isinstance(value, tuple | dict):
                self._looked_at += len(value)
                waiting.extend(value.values() if isinstance(value, dict) else value)
        if self._looked_at > MAX_LOOKED_AT:
            raise ValueError("more arguments than a model hands on")

    def _pop(self, opcode: pickletools.OpcodeInfo) -> list[Any]:
        names = [operand.name for operand in opcode.stack_before]
        operands: list[Any] = []
        if "mark" in names:
            while (top := self._stack.pop()) is not MARK:
                operands.append(top)
            names = names[: names.index("mark")]
        for _ in names:
            operands.append(self._stack.pop())
        operands.reverse()
        return operands

    def _remember(self, index: int) -> None:
        if index == len(self._memo):
            self._memo.append(self._stack[-1])
        elif index < len(self._memo):
            self._memo[index] = self._stack[-1]
        else:
            self._sparse[index] = self._stack[-1]

    def _built(self, made: Any, state: Any) -> Any:
        if isinstance(made, _Dtype) and isinstance(state, tuple) and len(state) >= 8:
            if isinstance(state[5], int) and state[5] >= 0:
                made.itemsize = state[5]
            made.has_object |= not isinstance(state[7], int) or bool(state[7] & HAS_OBJECT)
        if isinstance(made, _Wrapper):
            self._ahead = _array_ahead(state)
            return OPAQUE
        return made


def _array_ahead(state: Any) -> ArrayAhead:
    """Read off a wrapper's state, as joblib would. One that does not make sense ends the walk with an error."""
    shape, dtype = state["shape"], state["dtype"]
    if dtype.has_object:
        return ArrayAhead(None, False)
    if dtype.itemsize is None or len(shape) > MAX_DIMENSIONS or not all(_is_length(length) for length in shape):
        raise ValueError("array of unknown size")
    return ArrayAhead(prod(shape) * dtype.itemsize, state.get("numpy_array_alignment_bytes") is not None)


def _is_length(length: Any) -> bool:
    return isinstance(length, int) and 0 <= length < 1 << 63


def _set_items(target: dict[Any, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(key, str) and len(target) < 64:
            target[key] = value


def _made(by: str, args: Any) -> Any:
    """What a call yields, for the few kinds of object that are of interest."""
    if by == WRAPPER or (by in RECONSTRUCTORS and isinstance(args, tuple) and args[:1] == (_Global(WRAPPER),)):
        return _Wrapper()
    if by in FETCHERS:
        return _Fetched(by)
    if by in REBUILT_BY:
        return _Rebuilt()
    if by in DTYPES and isinstance(args, tuple) and args and isinstance(args[0], str):
        return _dtype(args[0])
    return OPAQUE


def _dtype(code: str) -> _Dtype:
    """Sizes as numpy writes them: f8, i4, V56, S10; U counts characters of four bytes."""
    found = re.fullmatch(r"[<>|=]?([a-zA-Z])(\d*)", code)
    if not found:
        return _Dtype(None, False)
    kind, digits = found.groups()
    if kind == "O":
        return _Dtype(8, True)
    return _Dtype(int(digits) * (4 if kind == "U" else 1) if digits else None, False)
