"""How the cluster's programs are started, recognised and stopped: one pid file each.

A pid file says which process it is, by pid and start time, and with which command it was started. A
pid that the machine gave to another program since is never stopped, and a program whose flags have
changed is started anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.cluster.places import LOG, NAMESPACE, RUN
from dev.cluster.say import Trouble, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_SECONDS = 10
THRIFTY = {"GOGC": "400", "GOMEMLIMIT": "1536MiB"}
"""Memory for processor time, as Go programs know it: a sixth of the API server's goes into collecting garbage else."""
BECOME = """printf '{"pid": %s, "started": %s, %s' $$ "$(cut -d ' ' -f 22 /proc/$$/stat)" "$2" > "$1.half" \
  && mv "$1.half" "$1" && shift 2 && exec "$@" """


def in_namespace(command: Sequence[str]) -> list[str]:
    """Put a command into the cluster's network namespace.

    Not `ip netns exec`: that mounts another /sys, in which the kubelet finds no cgroups.
    """
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}", "--", *command]


def ensure(
    name: str,
    command: Sequence[str],
    *,
    config: Path | None = None,
    env: Mapping[str, str] | None = None,
    isolated: bool = True,
) -> bool:
    """Have `command` running under this name, inside the namespace; True when it had to be started.

    It is started anew when its words have changed, or the text of the `config` file that it has read.
    """
    argv = [str(word) for word in command]
    want = {"argv": argv, "config": hashlib.sha256(config.read_bytes()).hexdigest() if config else ""}
    if running(name) and want.items() <= _recorded(name).items():
        return False
    stop(name)
    RUN.mkdir(parents=True, exist_ok=True)
    LOG.mkdir(parents=True, exist_ok=True)
    # The new process writes its own pid file before it becomes the program, so that no death of
    # ours leaves a process without one; it belongs to nobody (`--fork`), so it outlives us.
    file = RUN / f"{name}.pid"
    line = ["setsid", "--fork", "sh", "-c", BECOME, "start", str(file), json.dumps(want)[1:]]
    line += in_namespace(argv) if isolated else argv
    with (LOG / f"{name}.log").open("ab") as log:
        environment = {**os.environ, **THRIFTY, **(env or {})}
        subprocess.run(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/", check=True)
    wait_until(file.exists, what=f"{name} to start", seconds=STOP_SECONDS)
    return True


def running(name: str) -> bool:
    """Whether the process of that pid file is alive: the program, or on its way to become it."""
    recorded = _recorded(name)
    return bool(recorded) and _started(recorded["pid"]) == recorded["started"]


def names() -> list[str]:
    """Which programs have a pid file."""
    return sorted(file.stem for file in RUN.glob("*.pid"))


def stop(name: str, *, how: signal.Signals = signal.SIGTERM) -> None:
    """Stop one program and wait until it is gone; forget it."""
    if running(name):
        pid = _recorded(name)["pid"]
        _signal(pid, how)
        try:
            wait_until(lambda: not running(name), what=f"{name} to end", seconds=STOP_SECONDS)
        except Trouble:  # it would not go; nothing is lost by force, all state is thrown away
            _signal(pid, signal.SIGKILL)
            wait_until(lambda: not running(name), what=f"{name} to be killed", seconds=STOP_SECONDS)
    (RUN / f"{name}.pid").unlink(missing_ok=True)


def _recorded(name: str) -> dict[str, Any]:
    try:
        recorded: dict[str, Any] = json.loads((RUN / f"{name}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return recorded


def _started(pid: int) -> int | None:
    """When a living process was started, in ticks since the machine's start; of a dead or zombie one, None.

    That stays when a process becomes another program. Its command line does not: it is empty for a moment.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])


def _signal(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
