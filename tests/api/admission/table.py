"""Rows of the authorization table: what is tried in words, by whom, the act, and the outcome."""

from typing import Any

import pytest

from .cast import Act, Cast

Row = tuple[str, str, Act, str]


def rows(**tables: list[Row]) -> list[Any]:
    """Parameters (who, act, want), each with its words for a name."""
    return [
        pytest.param(who, act, want, id=f"{table}: {words}: {who}")
        for table, each in tables.items()
        for words, who, act, want in each
    ]


def words(cast: Cast, who: str, want: str) -> str:
    """The outcome in full, with the name of whoever tried."""
    return want.replace("{who}", cast.known_as(who))
