"""Headers are believed only as far as they can be true; malformed ones are refused, whatever they claim."""

import contextlib
import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import FileDigest
from modelyard.storage.errors import ArtifactError
from modelyard.storage.formats import detect, gguf, mlflow, onnx, safetensors
from modelyard.storage.formats.header import MalformedHeaderError


def tensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start: int, stop: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


SOUND = tensors({"a": tensor(0, 8, [2]), "b": tensor(8, 12, []), "__metadata__": {"x": "y"}}, bytes(12))


def test_sound_safetensors() -> None:
    safetensors.check(io.BytesIO(SOUND), len(SOUND))
    empty = tensors({})
    safetensors.check(io.BytesIO(empty), len(empty))


MALFORMED = {
    "empty": b"",
    "only half a length": b"\x01\x00",
    "a header of 2^60 bytes": tensors({}, length=1 << 60),
    "a header one byte too long": tensors({}, length=3),
    "truncated data": SOUND[:-1],
    "bytes after the data": SOUND + b"x",
    "not JSON": tensors(b"{nope"),
    "not UTF-8": tensors(b'{"\xff": 1}'),
    "not an object": tensors([]),
    "nested beyond reason": tensors(b"[" * 100_000),
    "a gap": tensors({"a": tensor(4, 8, [1])}, bytes(8)),
    "an overlap": tensors({"a": tensor(0, 8, [2]), "b": tensor(4, 8, [1])}, bytes(8)),
    "wrong size for its shape": tensors({"a": tensor(0, 8, [3])}, bytes(8)),
    "offsets in reverse": tensors({"a": tensor(8, 0, [0])}, bytes(8)),
    "negative shape": tensors({"a": tensor(0, 8, [-1, -2])}, bytes(8)),
    "shape that overflows": tensors({"a": tensor(0, 8, [1 << 62, 1 << 62])}, bytes(8)),
    "a bool for a number": tensors({"a": tensor(0, 4, [True])}, bytes(4)),
    "unknown type": tensors({"a": tensor(0, 8, [1], "F128")}, bytes(8)),
    "a name twice": tensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_safetensors(content: bytes) -> None:
    with pytest.raises(MalformedHeaderError):
        safetensors.check(io.BytesIO(content), len(content))


def ggml(version: int, count: int, entries: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, count, entries) + rest


def test_gguf() -> None:
    for content in (ggml(3, 0, 0), ggml(2, 1, 1, bytes(37)), b"GGUF" + struct.pack("<III", 1, 0, 0)):
        gguf.check(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    "content",
    [b"", b"GGUF", b"GGML" + bytes(20), ggml(99, 0, 0), ggml(3, 1 << 60, 0), ggml(3, 0, 1 << 60), ggml(3, 2, 1)[:-3]],
)
def test_malformed_gguf(content: bytes) -> None:
    with pytest.raises(MalformedHeaderError):
        gguf.check(io.BytesIO(content), len(content))


ONNX = b"\x08\x08" + b"\x12\x07pytorch" + b"\x3a\x03abc" + b"\x42\x02\x10\x11"


def test_onnx() -> None:
    onnx.check(io.BytesIO(ONNX), len(ONNX))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x08\x08", id="no graph"),
        pytest.param(ONNX[:-1], id="truncated"),
        pytest.param(b"\x08\x08\x3a" + b"\xff" * 9 + b"\x01", id="a graph of 2^63 bytes"),
        pytest.param(b"\x08" + b"\xff" * 11, id="an endless number"),
        pytest.param(b"<html></html>", id="a web page"),
        pytest.param(b"\x08\x00" * 200_000, id="endless fields"),
    ],
)
def test_malformed_onnx(content: bytes) -> None:
    with pytest.raises(MalformedHeaderError):
        onnx.check(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    "content", [b"", b"- a\n", b"a: [", b"flavors: {}", b"flavors: x", b"\xff\xfe", b"!!python/object:os.system {}"]
)
def test_malformed_mlmodel(content: bytes) -> None:
    with pytest.raises(MalformedHeaderError):
        mlflow.check(io.BytesIO(content), len(content))


@pytest.mark.parametrize("check", [safetensors.check, gguf.check, onnx.check, mlflow.check])
@given(content=st.binary(max_size=200))
def test_any_bytes_are_sound_or_malformed(check: Any, content: bytes) -> None:
    with contextlib.suppress(MalformedHeaderError):
        check(io.BytesIO(content), len(content))


def find(declared: str | None, **contents: bytes) -> str:
    files = {name.replace("__", "."): content for name, content in contents.items()}
    digests = [FileDigest(path, len(content), "", content[:64]) for path, content in files.items()]
    return detect.find_format(digests, lambda path: io.BytesIO(files[path]), declared)


FLAVORS = b"flavors: {sklearn: {}}"
PICKLE = b"\x80\x04N."


@pytest.mark.parametrize(
    ("declared", "contents", "want"),
    [
        pytest.param(None, {"MLmodel": FLAVORS, "model__pkl": PICKLE}, "mlflow", id="an MLflow folder with a pickle"),
        pytest.param("pickle", {"MLmodel": FLAVORS, "model__pkl": PICKLE}, "pickle", id="declared as what it holds"),
        pytest.param(None, {"a__safetensors": SOUND, "config__json": b"{}"}, "safetensors", id="safetensors"),
        pytest.param(None, {"weights": ggml(3, 0, 0)}, "gguf", id="GGUF by its first bytes"),
        pytest.param(None, {"m__onnx": ONNX}, "onnx", id="ONNX"),
        pytest.param(None, {"m__joblib": b"x\x9c"}, "joblib", id="joblib"),
        pytest.param(None, {"weights": PICKLE}, "pickle", id="a pickle by its first bytes"),
        pytest.param(None, {"readme": b"hello"}, "other", id="something else"),
        pytest.param("tensorrt", {"engine": b"hello"}, "tensorrt", id="a format we do not know"),
        pytest.param("SafeTensors", {"a__safetensors": SOUND}, "safetensors", id="case does not matter"),
    ],
)
def test_formats(declared: str | None, contents: dict[str, bytes], want: str) -> None:
    assert find(declared, **contents) == want


@pytest.mark.parametrize(
    ("declared", "contents"),
    [
        pytest.param("safetensors", {"m__pkl": PICKLE}, id="a pickle declared as safetensors"),
        pytest.param("onnx", {"readme": b"hello"}, id="nothing of the declared format"),
        pytest.param("other", {"m__pkl": PICKLE}, id="a pickle declared as other"),
        pytest.param("tensorrt", {"m__pkl": PICKLE}, id="a pickle declared as something unknown"),
        pytest.param(None, {"a__safetensors": PICKLE}, id="a pickle named safetensors"),
        pytest.param(None, {"MLmodel": b"x"}, id="an MLmodel that is none"),
    ],
)
def test_format_mismatches(declared: str | None, contents: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactError) as refused:
        find(declared, **contents)
    assert refused.value.reason is ArtifactReason.FORMAT_MISMATCH
