"""A process that is given orders, each a line of JSON, and answers each with one.

For what has to happen in another process many times: it has imported everything by then, and forks.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tests.checkout import ROOT

ENDED_WITHIN = 30.0


class HelperProcess:
    """`python -m module`, until it is closed. Orders of several threads take turns."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=dict(environment),
        )

    def ask(self, order: Mapping[str, Any]) -> Any:
        """Its answer; ValueError or BrokenPipeError when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """It gets no more orders, and ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(ENDED_WITHIN)
        self._process.stdout.close()
