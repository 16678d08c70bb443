"""The helper programs as processes with little memory and time, which start quickly.

`python -m tests.store.confined` imports what they import once, and forks for each line of JSON on its standard input.
The processes are the programs as a pod's command runs them, with limits that the kernel enforces; how they ended comes
back on standard output, with the memory that they took.
"""

import json
import os
import resource
import runpy
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helper_process import HelperProcess

MIB = 1 << 20
MEMORY = 768 * MIB
"""Less than the chart's limit for helper pods (1 GiB)."""
SECONDS = 100
"""Of wall time, on a busy machine; most take a fraction of one."""
PRELOADED = ("boto3", "yaml", "modelaudit_picklescan", "modelyard.storage.s3", "modelyard.storage.verification")


@dataclass
class Ended:
    """How a program ended."""

    code: int
    result: dict[str, Any]
    memory: int
    log: str

    @property
    def reason(self) -> str:
        return str(self.result.get("error", {}).get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.result.get("error", {}).get("message", ""))

    @property
    def transient(self) -> bool:
        return bool(self.result["error"]["transient"])


class Confined:
    """Runs programs, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs = HelperProcess("tests.store.confined", os.environ)

    def __call__(self, program: str, env: dict[str, str], task: dict[str, Any], *arguments: str) -> Ended:
        """Run `modelyard.pods.<program>` with the environment of a pod."""
        task_file, result_file, log = (self._folder / name for name in ("task.json", "result.json", "log"))
        task_file.write_text(json.dumps(task))
        result_file.unlink(missing_ok=True)
        files = {"MODELYARD_TASK_FILE": str(task_file), "MODELYARD_RESULT_FILE": str(result_file)}
        order = {"program": program, "env": {**env, **files}, "arguments": arguments, "log": str(log)}
        ended = self._programs.ask(order)
        result = json.loads(result_file.read_bytes()) if result_file.exists() else {}
        assert ended["memory"] < MEMORY
        return Ended(ended["code"], result, ended["memory"], log.read_text(errors="replace"))

    def stop(self) -> None:
        """Run no more."""
        self._programs.close()


def serve() -> None:
    """Fork a process a line, until the input ends."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MODELYARD_"))]:
        del os.environ[name]
    for name in PRELOADED:
        __import__(name)
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _become(order)
        _, status, usage = os.wait4(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "memory": usage.ru_maxrss * 1024}), flush=True)


def _become(order: dict[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)
    os.environ.update(order["env"])
    sys.argv = [order["program"], *order["arguments"]]
    code = 1
    try:
        runpy.run_module(f"modelyard.pods.{order['program']}", run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
