"""Cuts the raw data out of a pickle, so that what remains, the program, is small enough to be scanned whole.

Called by `pickle_files.py`. A model of a gigabyte is a few hundred kilobytes of opcodes and the rest arrays, either as
long bytes objects or, in joblib's format, as raw data between two opcodes. Both are left out here, unread where
the stream can seek. It follows the opcodes with pickletools' table and just enough of the stack to know where joblib
puts an array and how long it is, and what is done with attributes and modules that the pickle fetches by name.
Nothing is imported, constructed or called: globals are their names.

Where the stream stops making sense the walk ends, and `complete` is False.
"""

import pickletools
import re
from dataclasses import dataclass, field
from math import prod
from typing import Any, BinaryIO

MAX_OPCODES = 1_000_000
MAX_PROGRAM = 16 << 20
MAX_ARGUMENT = 1 << 20
"""Longer strings are left out; numbers and lines of that length are no model's."""
KEEP_BYTES = 64
"""Longer bytes objects are data. What loading could do with them needs a call, and calls are kept."""
MAX_STREAMS = 64
MAX_DEPTH = 8

OPAQUE: Any = object()
MARK: Any = object()
STRINGS = frozenset(
    {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
INTEGERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
LONG_DATA = {  # opcode -> (bytes of its length, what to put in its place)
    "BINBYTES": (4, b"C\x00"), "BINBYTES8": (8, b"C\x00"), "BYTEARRAY8": (8, b"C\x00"), "SHORT_BINBYTES": (1, b"C\x00"),
    "BINUNICODE": (4, b"\x8c\x00"), "BINUNICODE8": (8, b"\x8c\x00"), "BINSTRING": (4, b"U\x00"),
}  # fmt: skip
OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
DTYPES = frozenset({"numpy.dtype", "numpy dtype"})
WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
ACTING = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "BUILD"})
"""Opcodes that call or alter their first operand."""
RECONSTRUCTORS = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})
FETCHERS = frozenset(
    {
        "builtins.getattr", "__builtin__.getattr", "operator.attrgetter", "operator.itemgetter",
        "operator.methodcaller", "cloudpickle.cloudpickle.subimport",
    }
)  # fmt: skip
"""How bound methods, sort keys and modules are pickled. They yield something; calling or altering that while loading
is how an attack goes on from there, and no model's business."""
HAS_OBJECT = 1
"""Bit of a dtype's flags: such arrays follow as a pickle of their own."""


@dataclass(frozen=True)
class Program:
    """The opcodes of one pickle file, without its data."""

    streams: tuple[bytes, ...]
    """One for each pickle in the file; joblib nests one for every array of objects."""
    complete: bool
    has_arrays: bool
    """Whether raw arrays were left out on joblib's terms; a plain unpickler would run into them as opcodes."""
    misused: frozenset[str] = frozenset()
    """Which of FETCHERS gave something that the pickle then calls or alters."""


def walk(stream: BinaryIO, *, joblib: bool) -> Program:
    """Read the pickles at the stream's position. With `joblib`, raw arrays after their wrappers are passed over."""
    file = _File(stream, joblib)
    try:
        while len(file.streams) < MAX_STREAMS and (start := stream.read(1)):
            if file.streams and start != b"\x80":
                break  # what follows the last STOP is no pickle
            file.walk_one(start)
        complete = len(file.streams) < MAX_STREAMS
    except (ValueError, IndexError, KeyError, EOFError, OverflowError, TypeError, AttributeError):
        complete = False
    return Program(tuple(map(bytes, file.streams)), complete, file.has_arrays, frozenset(file.misused))


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


@dataclass
class _Wrapper:
    """joblib's stand-in for an array."""


@dataclass
class _Argument:
    """Hands an opcode's argument to pickletools' readers, keeps its bytes, and refuses absurd lengths."""

    stream: BinaryIO
    taken: bytearray = field(default_factory=bytearray)

    def read(self, count: int) -> bytes:
        if not 0 <= count <= MAX_ARGUMENT:
            raise ValueError(f"argument of {count} bytes")
        data = self.stream.read(count)
        self.taken += data
        return data

    def readline(self) -> bytes:
        line = self.stream.readline(MAX_ARGUMENT)
        self.taken += line
        return line


class _File:
    """What the pickles of one file share: the budget, and the programs found so far."""

    def __init__(self, stream: BinaryIO, joblib: bool) -> None:
        self.stream = stream
        self.joblib = joblib
        self.streams: list[bytearray] = []
        self.has_arrays = False
        self.misused: set[str] = set()
        self.opcodes = 0
        self.length = 0
        self._depth = 0

    def walk_one(self, start: bytes = b"") -> None:
        """One pickle, up to its STOP. Its first byte may have been read already."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        program = bytearray()
        self.streams.append(program)
        machine = _Machine(self)
        while True:
            code = start or self.stream.read(1)
            start = b""
            opcode = OPCODES[code[0]]
            emitted, argument = self._argument(opcode, code)
            self._spend(len(emitted))
            program += emitted
            if opcode.name == "STOP":
                self._depth -= 1
                return
            machine.apply(opcode, argument)

    def _argument(self, opcode: pickletools.OpcodeInfo, code: bytes) -> tuple[bytes, Any]:
        """What the opcode becomes in the program, and its decoded argument (OPAQUE where it was left out)."""
        if opcode.arg is None:
            return code, None
        argument = _Argument(self.stream)
        if opcode.name in LONG_DATA:
            width, instead = LONG_DATA[opcode.name]
            prefix = argument.read(width)
            length = int.from_bytes(prefix, "little")
            if length > (MAX_ARGUMENT if opcode.name in STRINGS else KEEP_BYTES):
                self.skip(length)
                return instead, OPAQUE
            data = argument.read(length)
            if len(data) < length:
                raise EOFError
            text: Any = data.decode("utf-8", "surrogatepass") if opcode.name in STRINGS else OPAQUE
            return code + bytes(argument.taken), text
        value = opcode.arg.reader(argument)  # type: ignore[arg-type]
        if opcode.name == "FRAME":  # lengths of frames no longer hold, and frames are optional
            return b"", value
        return code + bytes(argument.taken), value

    def skip(self, count: int) -> None:
        """Pass over data: unread where the stream can seek."""
        if self.stream.seekable():
            self.stream.seek(count, 1)
            return
        while count:
            piece = self.stream.read(min(count, MAX_ARGUMENT))
            if not piece:
                raise EOFError
            count -= len(piece)

    def _spend(self, length: int) -> None:
        self.opcodes += 1
        self.length += length
        if self.opcodes > MAX_OPCODES or self.length > MAX_PROGRAM:
            raise ValueError("too long to be scanned whole")


class _Machine:
    """The stack and memo of one pickle, as far as joblib's array wrappers need them."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._stack: list[Any] = []
        self._memo: list[Any] = []
        self._sparse: dict[int, Any] = {}

    def apply(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Carry an opcode's effect out on the stack."""
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
        if opcode.name in ACTING and operands and isinstance(operands[0], _Fetched):
            self._file.misused.add(operands[0].by)
        match opcode.name, operands:
            case ("TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3", _):
                self._stack.append(tuple(operands) if len(operands) <= 64 else OPAQUE)
            case ("SETITEM" | "SETITEMS", [dict() as target, *items]):
                _set_items(target, items)
                self._stack.append(target)
            case ("APPEND" | "APPENDS" | "ADDITEMS", [target, *_]):
                self._stack.append(target)
            case "STACK_GLOBAL", [str(module), str(name)]:
                self._stack.append(_Global(f"{module}.{name}"))
            case ("REDUCE" | "NEWOBJ", [_Global() as made_by, args]):
                self._stack.append(_made(made_by.name, args))
            case "BUILD", [made, state]:
                self._stack.append(self._built(made, state))
            case _:
                self._stack.extend(OPAQUE for _ in opcode.stack_after)

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
        if isinstance(made, _Wrapper) and self._file.joblib:
            self._pass_array(state)
            return OPAQUE
        return made

    def _pass_array(self, state: Any) -> None:
        """Pass over the data that joblib puts after a wrapper: padding, then all items; or a pickle of its own."""
        shape, dtype = state["shape"], state["dtype"]
        self._file.has_arrays = True
        if dtype.has_object:
            self._file.walk_one()
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self._file.skip(self._file.stream.read(1)[0])
        if dtype.itemsize is None or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError("array of unknown size")
        self._file.skip(prod(shape) * dtype.itemsize)


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
