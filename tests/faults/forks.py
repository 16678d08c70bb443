"""Where the operator's processes of all lanes come from: one process that has imported everything, and forks."""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.api_runtime.group import VARIABLE
from tests.checkout import ROOT

ENDED_WITHIN = 30


@dataclass
class Process:
    """One operator process, which may have ended."""

    pid: int
    handle: int
    """Becomes readable when the process has ended."""

    def ends_within(self, seconds: float) -> bool:
        """Whether it is gone by then."""
        ended = select.poll()  # select() knows no handle above 1023
        ended.register(self.handle, select.POLLIN)
        return bool(ended.poll(seconds * 1000))


class Forks:
    """Processes of operators of one API group; they end with `close`."""

    def __init__(self, group: str) -> None:
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.operator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {VARIABLE: group},
        )

    def start(self, order: Mapping[str, Any]) -> Process:
        """Another one; ProcessLookupError when it could not even begin."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with self._lock:
            self._server.stdin.write(json.dumps(order) + "\n")
            self._server.stdin.flush()
            pid = int(self._server.stdout.readline())
            return Process(pid, os.pidfd_open(pid))

    def close(self) -> None:
        """Nothing is started any more."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(ENDED_WITHIN)
        self._server.stdout.close()
