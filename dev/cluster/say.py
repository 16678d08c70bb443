"""What the person at the terminal sees, and how other programs are run. Used by every module here.

A failure is a `Trouble`: one message that says what was attempted, on what, why it failed and what
to do. Only `__main__` catches it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

SHOWN_LINES = 25


class Trouble(Exception):
    """Something a person must read; the text is complete in itself."""


def note(text: str) -> None:
    """Print one line at once, also when the output is a pipe."""
    print(text, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show what is being done, then how long it took."""
    live = sys.stdout.isatty()
    if live:
        print(f"  {what} ...", end="\r", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        if live:
            print(flush=True)
        raise
    note(f"  {what:<58} {time.monotonic() - start:6.1f} s")


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    why: str,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return what it printed; a failure shows the end of that."""
    try:
        done = subprocess.run(command, input=stdin, env=env, cwd=cwd, text=True, capture_output=True, check=False)
    except FileNotFoundError as missing:
        raise Trouble(f"{why}: {command[0]}: no such program") from missing
    if done.returncode:
        shown = "\n".join((done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:])
        line = " ".join(str(word) for word in command)
        raise Trouble(f"{why}: `{line}` failed with status {done.returncode}:\n{shown}")
    return done.stdout


def succeeds(command: Sequence[str | os.PathLike[str]], *, timeout: float = 20) -> bool:
    """Whether a program that is only asked a question says yes."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wait_until(ready: Callable[[], bool], *, what: str, seconds: float, look_at: Path | None = None) -> None:
    """Poll until `ready`; when the time is up, say what never came and show the end of a log."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    while not ready():
        if time.monotonic() > deadline:
            tail = ""
            if look_at and look_at.exists():
                lines = look_at.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
                tail = f"; the end of {look_at}:\n" + "\n".join(lines)
            raise Trouble(f"waited {seconds:.0f} s in vain for {what}{tail}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
