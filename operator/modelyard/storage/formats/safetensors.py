"""Is a file valid safetensors? The length, the JSON and the layout of the data are checked; no tensor is read.

A sound file has an 8-byte little-endian header length, that many bytes of JSON, and data that the tensors of the
header cover from the first byte to the last without gap or overlap.
"""

import json
from math import prod
from typing import Any, BinaryIO, TypeGuard

from modelyard.storage.formats.header import MalformedHeaderError, take, take_uint

MAX_HEADER = 16 << 20
"""The format allows 100 MB; 5,000 tensors take half a megabyte, and parsed JSON takes ten times its size."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def check(stream: BinaryIO, size: int) -> None:
    """Raise MalformedHeaderError unless the header is sound and fits the file's size."""
    length = take_uint(stream, 8, "the header's length")
    if length > size - 8:
        raise MalformedHeaderError(f"its header claims {length} bytes, the file has {size}")
    if length > MAX_HEADER:
        raise MalformedHeaderError(f"its header of {length} bytes is larger than {MAX_HEADER}")
    try:
        header = json.loads(take(stream, length, "the header"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise MalformedHeaderError(f"its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise MalformedHeaderError("its header is not a JSON object")
    end = 0
    for start, stop in sorted(_extent(name, entry) for name, entry in header.items() if name != "__metadata__"):
        if start != end:
            raise MalformedHeaderError(f"its tensors leave a gap or overlap at byte {start} of the data")
        end = stop
    if end != size - 8 - length:
        raise MalformedHeaderError(f"its tensors take {end} bytes, the file holds {size - 8 - length}")


def _extent(name: str, entry: Any) -> tuple[int, int]:
    """Where a tensor's data lies; its type and shape must account for exactly those bytes."""
    if not isinstance(entry, dict):
        raise MalformedHeaderError(f"tensor {name!r:.80} is not described by an object")
    shape, offsets, bits = entry.get("shape"), entry.get("data_offsets"), BITS.get(str(entry.get("dtype")))
    if bits is None:
        raise MalformedHeaderError(f"tensor {name!r:.80} has the unknown type {entry.get('dtype')!r:.20}")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise MalformedHeaderError(f"tensor {name!r:.80} has no valid shape or data_offsets")
    if prod(shape) * bits != (offsets[1] - offsets[0]) * 8:
        raise MalformedHeaderError(f"tensor {name!r:.80} has another size than its type and shape need")
    return offsets[0], offsets[1]


def _naturals(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) <= 64 and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers must not see different tensors under one name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found
