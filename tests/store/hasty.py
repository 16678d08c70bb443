"""The helper programs, many times over and with little patience: `python -m tests.store.hasty`.

A line of JSON on standard input names program, arguments and environment; it is run to its end in a process of its
own, forked from this one so that nothing has to be imported again, and its exit code comes back. An answer is waited
for a second, not thirty.
"""

import json
import os
import runpy
import sys
from typing import Any

from modelyard.storage import opening, s3, verification  # noqa: F401  # what takes long to import

s3.READ_TIMEOUT = 1


def serve() -> None:
    """Run a program a line, until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _become(order)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(order: dict[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target in (1, 2):
        os.dup2(log, target)
    os.environ.update(order["environment"])
    sys.argv = [order["program"], *order["arguments"]]
    code = 1
    try:
        runpy.run_module(f"modelyard.pods.{order['program']}", run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
