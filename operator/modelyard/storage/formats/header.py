"""Reading binary headers that nobody has checked yet: every length is bounded before it is believed."""

from typing import BinaryIO


class MalformedHeaderError(Exception):
    """A file is not what its name or first bytes say. The message says where."""


def take(stream: BinaryIO, count: int, what: str) -> bytes:
    """Exactly that many bytes."""
    data = stream.read(count)
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    if len(data) < count:
        raise MalformedHeaderError(f"it ends within {what}")
    return data


def take_uint(stream: BinaryIO, size: int, what: str) -> int:
    """An unsigned little-endian number."""
    return int.from_bytes(take(stream, size, what), "little")
