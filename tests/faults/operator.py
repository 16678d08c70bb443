"""Starts operator processes quickly: `python -m tests.faults.operator` imports everything once and forks for each.

A line of JSON on standard input names the settings, the log and the environment; the process id comes back. The
processes are as real as any: they are killed by signals and share nothing with each other but code.
"""

import tests.api_runtime.group  # isort: skip  # noqa: F401  # before everything that reads the names

import json
import os
import signal
import sys
from datetime import timedelta

from modelyard.decide import stage
from modelyard.runtime import __main__ as entry

stage.SETTLE = timedelta(seconds=0.5)  # no real requests are under way


def serve() -> None:
    """Fork a process a line, until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _become(order)
        print(pid, flush=True)


def _become(order: dict[str, str]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.update(KUBECONFIG=order["kubeconfig"], POD_NAME=order["identity"])
    sys.argv = ["modelyard.runtime", "--config", order["config"]]
    os._exit(entry.main())


if __name__ == "__main__":
    serve()
