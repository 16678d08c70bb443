"""The bytes of a record: RFC 8785 canonical JSON, so that one meaning has one hash, and any language can recompute it.

What JSON of the API may hold and RFC 8785 cannot is brought into a shape that it can: integers beyond 2^53, which
other readers would round, become strings.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785

MAX_INTEGER = 2**53 - 1
EXPONENTS_FROM = 1e21
"""Numbers from here on are written with an exponent."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """The canonical JSON of a document. It holds no line break."""
    return rfc8785.dumps(plain(document))


def plain(value: Any) -> Any:
    """The value with nothing in it that canonical JSON has no notation for."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    if isinstance(value, float) and MAX_INTEGER < abs(value) < EXPONENTS_FROM and value.is_integer():
        return str(int(value))  # written without an exponent, it would be read as such an integer
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def parse(raw: bytes) -> dict[str, Any]:
    """Read a document back. Raises ValueError when it is none."""
    document = json.loads(raw)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def sha256_of(raw: bytes) -> str:
    """The hash that the next record carries."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()
