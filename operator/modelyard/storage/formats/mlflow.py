"""Is a folder an MLflow model? Its MLmodel must be YAML that names at least one flavor.

The file is read as a flat run of events and nothing is built of it: aliases, merge keys, endless nesting and numbers
of a million digits are how a small YAML file becomes a large object, or the end of the process.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from modelyard.storage.formats.header import MalformedHeaderError, take

MAX_MLMODEL = 1 << 20
"""Signatures of wide tables take some hundred kilobytes."""
MAX_DEPTH = 64
"""The parser's time for each further event grows with it."""


def check(stream: BinaryIO, size: int) -> None:
    """Raise MalformedHeaderError unless the MLmodel file is one."""
    import yaml  # costs a pod that verifies something else nothing

    if size > MAX_MLMODEL:
        raise MalformedHeaderError(f"it has {size} bytes, more than {MAX_MLMODEL}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        named = _names_flavors(yaml.parse(take(stream, size, "the file"), Loader=loader))
    except (yaml.YAMLError, ValueError) as error:
        raise MalformedHeaderError(f"it is not YAML: {str(error).splitlines()[0]}") from error
    if not named:
        raise MalformedHeaderError("it names no flavors")


def _names_flavors(events: Iterator[Any]) -> bool:
    """Whether `flavors` of the root mapping is a mapping that is not empty. Reads on to the last event."""
    from yaml.events import CollectionEndEvent, CollectionStartEvent, MappingStartEvent, NodeEvent

    open_ones: list[bool] = []  # the collections around an event: whether each is a mapping
    nodes, key, found = 0, "", False
    for event in events:
        if isinstance(event, CollectionEndEvent):
            open_ones.pop()
        elif isinstance(event, NodeEvent):
            if open_ones == [True]:  # the root's keys and values, in turn
                key = getattr(event, "value", "") if nodes % 2 == 0 else key
                nodes += 1
            found |= open_ones == [True, True] and key == "flavors"
            if isinstance(event, CollectionStartEvent):
                open_ones.append(isinstance(event, MappingStartEvent))
                if len(open_ones) > MAX_DEPTH:
                    raise MalformedHeaderError(f"it is nested more than {MAX_DEPTH} deep")
    return found
