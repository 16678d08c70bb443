"""How does the story look in a terminal? Headings, sentences, commands as typed, and a spinner over what takes time.

Used by every module here; decides nothing. Without a terminal (CI, a pipe) it prints whole lines and no colours.
"""

import itertools
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TTY = sys.stdout.isatty()
WIDTH = 100


class Unexpected(Exception):
    """Something was not as the story tells it; the text says what was expected, what was found and where to look."""


def paint(text: str, code: str) -> str:
    """The text in a colour, where there are colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if TTY else text


def bold(text: str) -> str:
    """What the eye should find."""
    return paint(text, "1")


def heading(text: str) -> None:
    """Open a chapter."""
    print(f"\n{paint('━━', '36')} {bold(text)} {paint('━' * max(2, WIDTH - len(text) - 4), '36')}\n", flush=True)


def say(text: str) -> None:
    """A paragraph of the story."""
    print(textwrap.fill(text, WIDTH), flush=True)


def command(line: str) -> None:
    """A command as one would type it."""
    print(f"\n{paint('$', '32;1')} {paint(line, '32')}", flush=True)


def output(text: str) -> None:
    """What a command printed."""
    if text.strip():
        print(text.rstrip(), flush=True)


def fact(text: str) -> None:
    """Something that was measured or checked just now."""
    print(f"  {paint('✔', '32;1')} {text}", flush=True)


class Progress:
    """What is being waited for, and its present state."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.state = ""
        self._shown = ""
        self._begun = time.monotonic()

    def update(self, state: str) -> None:
        """Show a new state; every state is printed once where there is no terminal to animate."""
        self.state = state
        if not TTY and state and state != self._shown:
            print(f"  … {self.what}: {state} ({time.monotonic() - self._begun:.1f} s)", flush=True)
        self._shown = state


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Show that something is under way, for how long, and in the end how long it took."""
    shown, start, done = Progress(what), time.monotonic(), threading.Event()

    def spin() -> None:
        for frame in itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"):
            state = f": {shown.state}" if shown.state else ""
            line = f"  {frame} {what}{state} ({time.monotonic() - start:.0f} s)"
            print(f"\r\x1b[2K{line[: WIDTH + 10]}", end="", flush=True)
            if done.wait(0.1):
                return

    spinner = threading.Thread(target=spin, daemon=True)
    if TTY:
        spinner.start()
    try:
        yield shown
    except BaseException:
        what = f"{what}: not done"
        raise
    finally:
        done.set()
        if TTY:
            spinner.join()
            print("\r\x1b[2K", end="")
        print(f"  {paint('·', '90')} {what} {paint(f'{time.monotonic() - start:.1f} s', '90')}", flush=True)
