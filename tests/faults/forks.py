"""Where the operator's processes of all lanes come from: one process that has imported everything, and forks."""

import os
import select
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.api_runtime.group import VARIABLE
from tests.helper_process import HelperProcess

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
        self._server = HelperProcess("tests.faults.operator", os.environ | {VARIABLE: group})

    def start(self, order: Mapping[str, Any]) -> Process:
        """Another one; ProcessLookupError when it could not even begin."""
        pid: int = self._server.ask(order)
        return Process(pid, os.pidfd_open(pid))

    def close(self) -> None:
        """Nothing is started any more."""
        self._server.close()
