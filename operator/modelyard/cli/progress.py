"""Bars for what takes a while: hashing, uploading, fetching. Shown on a terminal, silent elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelyard.storage.store import StoredObject


@dataclass(frozen=True)
class Bar:
    """Told how far it is; from several threads."""

    reached: Callable[[int], None]
    """So many bytes are done by now."""
    advanced: Callable[[int], None]
    """So many bytes more."""

    def at(self, item: StoredObject, done: int, total: int) -> None:
        """As the storage package tells its progress."""
        self.reached(done)


def _nothing(_: int) -> None:
    pass


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Bar]:
    """A bar over so many bytes."""
    if not sys.stderr.isatty():
        yield Bar(_nothing, _nothing)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield Bar(
            reached=lambda done: progress.update(task, completed=done),
            advanced=lambda more: progress.advance(task, more),
        )
