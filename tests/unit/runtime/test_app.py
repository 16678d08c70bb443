"""What is told when a part of the process dies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelyard import decide
from modelyard.runtime import app
from modelyard.runtime.config import Config
from modelyard.runtime.metrics import Metrics


class Unreadable(Exception):
    """No error of the API, so nobody expects it."""


class Cluster:
    """Nothing is in it, and its Lease cannot be understood."""

    async def list(self, *_: object, **__: object) -> AsyncIterator[object]:
        """No page at all."""
        for page in ():
            yield page

    async def get(self, *_: object) -> None:
        """The Lease."""
        raise Unreadable


def operator() -> app.Operator:
    brain = app.Brain(decide.decide, decide.settled, decide.settled_and_told)
    cluster: Any = Cluster()
    return app.Operator(Config(listen_port=0), brain, cluster, Metrics())


async def test_a_part_that_dies_takes_the_process_along(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ends(_registry: Any, _namespaces: Any, stop: asyncio.Event, cleanup: Any) -> None:
        await stop.wait()
        await cleanup()

    monkeypatch.setattr(app, "run_watches", ends)
    with pytest.raises(Unreadable):
        await operator().run()


async def test_what_died_first_is_told_when_the_watches_do_not_end_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_registry: Any, _namespaces: Any, stop: asyncio.Event, _cleanup: Any) -> None:
        await stop.wait()
        raise RuntimeError("the watches did not end")

    monkeypatch.setattr(app, "run_watches", hangs)
    with pytest.raises(RuntimeError, match="did not end") as raised:
        await operator().run()
    assert isinstance(raised.value.__cause__, Unreadable)
