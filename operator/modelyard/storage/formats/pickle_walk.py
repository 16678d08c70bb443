"""Cuts the raw data out of a pickle, so that what remains, the program, is small enough to be scanned whole.

Called by `pickle_files.py`. A model of a gigabyte is a few hundred kilobytes of opcodes and the rest arrays, either as
long bytes objects or, in joblib's format, as raw data between two opcodes. Both are left out here, unread where
the stream can seek. The opcodes are read by pickletools' table; `pickle_machine` says where joblib put an array.
Nothing is imported, constructed or called.

Where the stream stops making sense the walk ends, and `complete` is False.
"""

import pickletools
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from modelyard.storage.formats.pickle_machine import OPAQUE, STRINGS, ArrayAhead, Machine

MAX_OPCODES = 1_000_000
MAX_PROGRAM = 16 << 20
MAX_ARGUMENT = 1 << 20
"""Longer strings are left out; numbers and lines of that length are no model's."""
KEEP_BYTES = 64
"""Longer bytes objects are data. What loading could do with them needs a call, and calls are kept."""
MAX_STREAMS = 64
MAX_DEPTH = 8

LONG_DATA = {  # opcode -> (bytes of its length, what to put in its place)
    "BINBYTES": (4, b"C\x00"), "BINBYTES8": (8, b"C\x00"), "BYTEARRAY8": (8, b"C\x00"), "SHORT_BINBYTES": (1, b"C\x00"),
    "BINUNICODE": (4, b"\x8c\x00"), "BINUNICODE8": (8, b"\x8c\x00"), "BINSTRING": (4, b"U\x00"),
}  # fmt: skip
OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}


@dataclass(frozen=True)
class Program:
    """The opcodes of one pickle file, without its data."""

    streams: tuple[bytes, ...]
    """One for each pickle in the file; joblib nests one for every array of objects."""
    complete: bool
    has_arrays: bool
    """Whether raw arrays were left out on joblib's terms; a plain unpickler would run into them as opcodes."""
    misused: frozenset[str] = frozenset()
    """What it does with things that it fetched by name and should not, as `loading it would run ...` goes on."""


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
        machine = Machine()
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
            array = machine.apply(opcode, argument)
            self.misused |= machine.misused
            if array is not None and self.joblib:
                self._pass(array)

    def _pass(self, array: ArrayAhead) -> None:
        """Pass over the data that joblib puts after a wrapper: padding, then all items; or a pickle of its own."""
        self.has_arrays = True
        if array.size is None:
            self.walk_one()
            return
        if array.padded:
            self.skip(self.stream.read(1)[0])
        self.skip(array.size)

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
