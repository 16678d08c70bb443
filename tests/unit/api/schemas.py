"""Walks structural schemas, and says what the API server would drop from or refuse in an object."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modelyard.api.schema import INT_OR_STRING, PRESERVE

Schema = dict[str, Any]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
}


def walk(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below and including this one, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*")


def misfits(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """What of a value the schema does not take: unknown fields would be dropped, the rest refused."""
    if schema.get(INT_OR_STRING):
        return
    if not isinstance(value, _TYPES[schema["type"]]):
        yield f"{path}: {value!r} is not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, str):
        if schema.get("format") == "date-time":
            datetime.fromisoformat(value)
        if len(value) < schema.get("minLength", 0):
            yield f"{path}: is empty"
    if isinstance(value, dict):
        yield from (f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            if name in schema.get("properties", {}):
                yield from misfits(inner, schema["properties"][name], f"{path}.{name}")
            elif not schema.get(PRESERVE) and "additionalProperties" not in schema:
                yield f"{path}.{name}: unknown, would be dropped"
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from misfits(inner, schema["items"], f"{path}[{number}]")
