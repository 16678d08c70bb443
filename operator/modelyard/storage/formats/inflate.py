"""A compressed stream as a plain one, read forward only, never more in memory than asked for, and with an end.

joblib compresses with zlib, gzip, bz2, lzma or xz; which, the first bytes say.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

MAX_INFLATED = 4 << 30
"""A bomb ends here, and counts as not scanned."""
CHUNK = 1 << 18


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


DECOMPRESSORS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x78", _Zlib),
    (b"\x1f\x8b", _Zlib),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lzma.LZMADecompressor),
    (b"\x5d\x00\x00", lzma.LZMADecompressor),
)


def decompressor_for(head: bytes) -> Callable[[], Any] | None:
    """The decompressor for a file that begins with these bytes, if it is compressed in a way that we know."""
    return next((make for magic, make in DECOMPRESSORS if head.startswith(magic)), None)


class Inflated(io.RawIOBase):
    """The content of a compressed stream. Raises ValueError when it is damaged or too long."""

    def __init__(self, stream: BinaryIO, decompressor: Any) -> None:
        super().__init__()
        self._stream = stream
        self._decompressor = decompressor
        self._left = MAX_INFLATED

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
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"the compressed data is longer than {MAX_INFLATED} bytes")
        buffer[: len(data)] = data
        return len(data)
