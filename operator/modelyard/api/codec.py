"""Dataclasses to and from the camelCase JSON of a status or a record.

The operator's memory (`decide.state`) is written with it into the Model's status and into annotations, and what
happened (`ledger.records`) into the ledger. Unknown keys are ignored, so that an older release can read what a newer
one wrote; absent, null and empty values read as the field's default and are not written.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")
_PLAIN = frozenset({str, int, bool, float, type(None)})


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, with milliseconds only where there are some."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    spec = "milliseconds" if utc.microsecond >= 1000 else "seconds"
    return utc.isoformat(timespec=spec).replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read a time as Kubernetes writes it. Raises ValueError on anything else."""
    return datetime.fromisoformat(text)


def dump(value: Any) -> Any:
    """The JSON shape of a dataclass, or of what one may hold."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if dataclasses.is_dataclass(kind):
        return _dump_fields(kind, value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, tuple | list):
        return [item if type(item) in _PLAIN else dump(item) for item in value]
    if isinstance(value, Mapping):
        return {key: item if type(item) in _PLAIN else dump(item) for key, item in value.items()}
    return value


def _dump_fields(kind: Any, value: Any) -> dict[str, Any]:
    found = {}
    for name, key, _ in _fields(kind):
        item = getattr(value, name)
        if item or item == 0:  # False and zero say something; what is empty does not
            found[key] = item if type(item) in _PLAIN else dump(item)
    return found


def load(kind: type[T], data: Mapping[str, Any]) -> T:
    """Read a dataclass back. Raises ValueError or TypeError when the data cannot be one."""
    found = {}
    for name, key, convert in _fields(typing.cast("Any", kind)):
        item = data.get(key)
        if item is not None:
            found[name] = convert(item) if convert else item
    return kind(**found)


@cache
def _fields(kind: Any) -> tuple[tuple[str, str, Callable[[Any], Any] | None], ...]:
    """Name, key in JSON, and what makes the value of the JSON, of every field."""
    hints = typing.get_type_hints(kind)
    return tuple((f.name, _camel(f.name), _converter(_required(hints[f.name]))) for f in dataclasses.fields(kind))


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """What makes a value of that type; None when JSON has it as it is."""
    if hint is datetime:
        return parse_time
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return partial(load, hint)
    if typing.get_origin(hint) is tuple:
        convert = _converter(typing.get_args(hint)[0])
        return (lambda items: tuple(map(convert, items))) if convert else tuple
    return None


def _required(hint: Any) -> Any:
    """`X` of an `X | None`."""
    if isinstance(hint, types.UnionType):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


@cache
def _camel(name: str) -> str:
    return re.sub(r"_(id$)?([a-z]?)", lambda m: "ID" if m[1] else m[2].upper(), name)
