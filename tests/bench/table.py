"""Rows of the benchmark's table, and the statistics in them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing."""

    what: str
    measured: str
    target: str
    reached: bool | None = None
    """None where there is nothing to reach (a floor)."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(values: Sequence[float]) -> str:
    """Median, 99th percentile and count of durations in seconds."""
    return f"p50 {percentile(values, 0.5) * 1e3:.0f} ms, p99 {percentile(values, 0.99) * 1e3:.0f} ms, n={len(values)}"


def show(rows: Sequence[Row]) -> str:
    """The rows as a table for a terminal."""
    width = max((len(row.what) for row in rows), default=0)
    measure = max((len(row.measured) for row in rows), default=0)
    marks = {True: "reached", False: "MISSED", None: ""}
    return "\n".join(
        f"{row.what:<{width}}  {row.measured:<{measure}}  {row.target}  {marks[row.reached]}".rstrip() for row in rows
    )
