"""Is a file plausible ONNX? Only the outermost protobuf fields are walked, and a graph must be among them."""

from typing import BinaryIO

from modelyard.storage.formats.header import MalformedHeaderError, take

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
IR_VERSION, GRAPH = 1, 7
"""Fields of ModelProto that every model has."""
MAX_FIELDS = 100_000


def check(stream: BinaryIO, size: int) -> None:
    """Raise MalformedHeaderError unless the file is a protobuf message with the fields of an ONNX model."""
    seen = set()
    for _ in range(MAX_FIELDS):
        if stream.tell() == size:
            break
        tag = _varint(stream)
        seen.add(tag >> 3)
        _skip(stream, tag & 7, size)
    else:
        raise MalformedHeaderError(f"it has more than {MAX_FIELDS} outermost fields")
    if not {IR_VERSION, GRAPH} <= seen:
        raise MalformedHeaderError("it has no ir_version or no graph")


def _skip(stream: BinaryIO, wire_type: int, size: int) -> None:
    if wire_type == VARINT:
        _varint(stream)
        return
    if wire_type not in (FIXED64, BYTES, FIXED32):
        raise MalformedHeaderError(f"byte {stream.tell()} is no protobuf field")
    length = _varint(stream) if wire_type == BYTES else 8 if wire_type == FIXED64 else 4
    if length > size - stream.tell():
        raise MalformedHeaderError(f"a field at byte {stream.tell()} claims {length} bytes, the file has {size}")
    stream.seek(length, 1)


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = take(stream, 1, "a field")[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise MalformedHeaderError(f"byte {stream.tell()} is no protobuf field")
