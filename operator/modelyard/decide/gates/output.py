"""What numbers did a gate's evaluation leave? Its termination message, read.

Called by `job` when the gate's container has ended. Whatever the text is, the answer is either two maps of data that
`checks` can judge or a sentence that says what is wrong with it; nothing raises, and nothing doubtful is let through.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.api.reasons import GateReason

MAX_LENGTH = 4096
"""Bytes of a termination message that the kubelet keeps at most."""
SHOWN = 120
"""How much of an unusable text is shown."""
SIDES = frozenset({"candidate", "incumbent"})


@dataclass(frozen=True)
class Output:
    """The numbers of an evaluation."""

    candidate: Mapping[str, Any]
    incumbent: Mapping[str, Any]


@dataclass(frozen=True)
class OutputError:
    """Why there are none."""

    reason: GateReason
    message: str


class _Unusable(ValueError):
    """What a text has that JSON, or CEL, has not."""


def parse(text: str | None, limit: int = MAX_LENGTH) -> Output | OutputError:
    """Read a termination message: `{"candidate": {...}, "incumbent": {...}}`, or a flat object, the candidate's.

    A text as long as the kubelet's `limit` may have been cut off.
    """
    if not text or not text.strip():
        message = "it ended well and left no numbers; write one JSON object to /dev/termination-log"
        return OutputError(GateReason.NO_OUTPUT, message)
    length = len(text.encode(errors="replace"))
    if length >= limit:
        message = f"its output is cut off at {limit} bytes; write fewer numbers"
        return OutputError(GateReason.OUTPUT_TOO_LONG, message)
    try:
        found = _DECODER.decode(text.strip())
    except _Unusable as error:
        return OutputError(GateReason.INVALID_OUTPUT, f"its output {error}")
    except (ValueError, RecursionError) as error:
        return OutputError(GateReason.INVALID_OUTPUT, f"its output is not JSON ({error}): {_shown(text)}")
    if not isinstance(found, dict):
        return OutputError(GateReason.INVALID_OUTPUT, f"its output is not a JSON object: {_shown(text)}")
    return _sides(found)


def _sides(found: Mapping[str, Any]) -> Output | OutputError:
    if not SIDES & found.keys():
        return Output(found, {})
    unknown = sorted(found.keys() - SIDES)
    if unknown:
        message = f"its output has {unknown[0]!r} beside candidate and incumbent; put every number under one of the two"
        return OutputError(GateReason.INVALID_OUTPUT, message)
    for name, side in found.items():
        if not isinstance(side, dict):
            return OutputError(GateReason.INVALID_OUTPUT, f"{name} in its output is not a JSON object")
    return Output(found.get("candidate", {}), found.get("incumbent", {}))


def _integer(text: str) -> int:
    _float(text)
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Unusable(f"has the number {text[:20]}, which no check can be made of")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Unusable(f"has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    if nul := next((key for key in found if "\0" in key), None):
        raise _Unusable(f"has the key {nul!r}, whose NUL no check can name")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_float)


def _shown(text: str) -> str:
    text = text.strip()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
