"""A compressed stream as a plain one, read forward only, never more in memory than asked for, and with an end.

joblib compresses with zlib, gzip, bz2, lzma or xz; which, the first bytes say. Called by `pickle_files`, which unpacks
the members of zip files by the same budget.
"""

import bz2
import io
import lzma
import time
import zlib
from collections.abc import Callable
from typing import IO, Any, BinaryIO

MAX_INFLATED = 4 << 30
"""Of all of an artifact's files together. A bomb ends here, and counts as not scanned."""
SCAN_SECONDS = 240.0
"""For all of an artifact's pickles; less than `pods.watchdog` waits."""
MAX_DICTIONARY = 256 << 20
"""Memory that an xz stream may ask for; the strongest preset asks for 65 MiB, a hostile header for 4 GiB."""
CHUNK = 1 << 18


class Budget:
    """How much may still be unpacked, and until when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = MAX_INFLATED
        self._clock = clock
        self._ends = clock() + SCAN_SECONDS

    @property
    def in_time(self) -> bool:
        """Whether something may still be begun."""
        return self._clock() < self._ends

    def spend(self, count: int) -> None:
        """Take note of unpacked bytes; ValueError when they are too many."""
        self._left -= count
        if self._left < 0:
            raise ValueError(f"the compressed data is longer than {MAX_INFLATED} bytes")


class _Zlib:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: zlib or gzip, by its header

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _lzma() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=MAX_DICTIONARY)


DECOMPRESSORS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x78", _Zlib),
    (b"\x1f\x8b", _Zlib),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", _lzma),
    (b"\x5d\x00\x00", _lzma),
)


def decompressor_for(head: bytes) -> Callable[[], Any] | None:
    """The decompressor for a file that begins with these bytes, if it is compressed in a way that we know."""
    return next((make for magic, make in DECOMPRESSORS if head.startswith(magic)), None)


class Inflated(io.RawIOBase):
    """The content of a compressed stream. Raises ValueError when it is damaged or too long."""

    def __init__(self, stream: BinaryIO, decompressor: Any, budget: Budget) -> None:
        super().__init__()
        self._stream = stream
        self._decompressor = decompressor
        self._budget = budget

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """The next bytes; none at the end."""
        data = b""
        try:
            while not data and not self._decompressor.eof:
                fresh = self._stream.read(CHUNK) if self._decompressor.needs_input else b""
                if not fresh and self._decompressor.needs_input:
                    raise ValueError("the compressed data ends early")
                data = self._decompressor.decompress(fresh, len(buffer))
        except (OSError, zlib.error, lzma.LZMAError) as error:
            raise ValueError(f"the compressed data is damaged: {error}") from error
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)


class Unpacked(io.RawIOBase):
    """A member of a zip file. Forward only: its length is what the file claims, and seeking would unpack as much."""

    def __init__(self, member: IO[bytes], budget: Budget) -> None:
        super().__init__()
        self._member = member
        self._budget = budget

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """The next bytes; none at the end."""
        data = self._member.read(len(buffer))
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)
