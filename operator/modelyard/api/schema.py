"""From a pydantic type to the structural schema that a CRD wants.

`crd` and `reference` call it. What pydantic writes for JSON Schema differs from what the API server takes in the
following, and everything not named here is passed on as it is:

1. References are not allowed: every type is written out where it is used.
2. `X | None` is a field that may be absent, not one that may be null.
3. `int | str` is an int-or-string.
4. `additionalProperties: true` (an OpenType, or `dict[str, Any]`) means: keep what is not described.
5. A list without a list type is atomic, said aloud.
6. A pattern with a message of its own is a CEL rule, since a pattern cannot carry one.
"""

import functools
from collections.abc import Mapping
from typing import Any

from modelyard.api.base import LIST_MAP_KEYS, LIST_TYPE, MAP_TYPE, PATTERN_MESSAGE, VALIDATIONS, ApiType

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"

_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
    INT_OR_STRING,
    MAP_TYPE,
    LIST_TYPE,
    LIST_MAP_KEYS,
    PRESERVE,
    VALIDATIONS,
    "required",
    "properties",
    "additionalProperties",
    "items",
)


def structural(kind: type[ApiType]) -> Schema:
    """The structural schema of a type."""
    schema = _json_schema(kind)
    return _node(schema, schema.get("$defs", {}))


@functools.cache
def _json_schema(kind: type[ApiType]) -> Schema:
    """What pydantic writes, once: it takes most of the time, and nobody changes it."""
    return kind.model_json_schema(by_alias=True)


def _node(node: Mapping[str, Any], defs: Mapping[str, Schema]) -> Schema:
    flat = _flatten(node, defs)
    for key in ("title", "default", "$defs"):
        flat.pop(key, None)
    if message := flat.pop(PATTERN_MESSAGE, None):
        rule = {"rule": f"self.matches('{_quote(flat.pop('pattern'))}')", "message": message}
        flat[VALIDATIONS] = [rule, *flat.get(VALIDATIONS, [])]
    if "description" in flat:
        flat["description"] = _paragraphs(flat["description"])
    if flat.get("additionalProperties") is True:
        del flat["additionalProperties"]
        flat[PRESERVE] = True
    if flat.get("type") == "array":
        flat.setdefault(LIST_TYPE, "atomic")
        flat["items"] = _node(flat["items"], defs)
    if flat.get("type") == "integer":
        flat["format"] = "int64"
    if isinstance(extra := flat.get("additionalProperties"), dict):
        flat["additionalProperties"] = _node(extra, defs)
    if "properties" in flat:
        flat["properties"] = {name: _node(item, defs) for name, item in flat["properties"].items()}
    if unknown := flat.keys() - set(_ORDER):
        raise ValueError(f"write a structural schema: {sorted(unknown)} not understood in {flat.get('description')!r}")
    return {key: flat[key] for key in _ORDER if key in flat}


def _flatten(node: Mapping[str, Any], defs: Mapping[str, Schema]) -> Schema:
    """Follow references and options until what is left is one type; the nearest description wins."""
    flat = dict(node)
    while "$ref" in flat or "anyOf" in flat:
        reference = flat.pop("$ref", "").removeprefix("#/$defs/")
        target = defs[reference] if reference else _only_option(flat.pop("anyOf"))
        flat = {**target, **flat}
    return flat


def _only_option(options: list[Schema]) -> Schema:
    some = [option for option in options if option.get("type") != "null"]
    if len(some) == 1:
        return some[0]
    if [option.get("type") for option in some] == ["integer", "string"]:
        return {INT_OR_STRING: True}
    raise ValueError(f"write a structural schema: a field can have one type, not one of {some}")


def _quote(pattern: str) -> str:
    """A pattern as the inside of a CEL string."""
    return pattern.replace("\\", "\\\\").replace("'", "\\'")


def _paragraphs(text: str) -> str:
    """A docstring without the line breaks of its source; blank lines stay."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
