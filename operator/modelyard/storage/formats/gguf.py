"""Is a file plausible GGUF? Magic, version and counts are checked against the file's size; no tensor is read."""

from typing import BinaryIO

from modelyard.storage.formats.header import MalformedHeaderError, take, take_uint

MAGIC = b"GGUF"
VERSIONS = (1, 2, 3)
MIN_TENSOR = 24
"""Bytes of the smallest possible tensor description: name, dimensions, type, offset."""
MIN_METADATA = 13
"""Bytes of the smallest possible metadata entry: key, type, value."""


def check(stream: BinaryIO, size: int) -> None:
    """Raise MalformedHeaderError unless the counts of the header can be true."""
    if take(stream, 4, "the magic") != MAGIC:
        raise MalformedHeaderError("it does not begin with GGUF")
    version = take_uint(stream, 4, "the version")
    if version not in VERSIONS:
        raise MalformedHeaderError(f"its version is {version} (known: 1 to 3, little-endian)")
    width = 4 if version == 1 else 8
    tensors = take_uint(stream, width, "the number of tensors")
    entries = take_uint(stream, width, "the number of metadata entries")
    if tensors * MIN_TENSOR + entries * MIN_METADATA > size:
        raise MalformedHeaderError(f"it claims {tensors} tensors and {entries} metadata entries in {size} bytes")
