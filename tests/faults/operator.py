"""Starts operator processes quickly: `python -m tests.faults.operator` imports everything once and forks for each
(see `forks`).

A line of JSON on standard input names the settings, the log and the environment; the process id comes back. The
processes are as real as any: they are killed by signals and share nothing with each other but code. What they wait for
is shorter than in earnest, so that a run takes seconds; what they do is not touched.
"""

import tests.api_runtime.group  # isort: skip  # noqa: F401  # before everything that reads the names

import ctypes
import gc
import json
import mmap
import os
import signal
import struct
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import google.protobuf.descriptor_pool  # noqa: F401  # else each process imports it when it first judges a gate

from modelyard.decide import jobs, progress, verification
from modelyard.decide.gates import asking
from modelyard.kube import client
from modelyard.runtime import __main__ as entry
from modelyard.runtime import app, lease, reconciler, recorder, watching
from modelyard.runtime.config import Config
from modelyard.storage import s3

LEASE = lease.Timing(duration=12, deadline=9, renew_every=2, retry_every=0.3)
"""Hardly shorter: on a machine with too much to do, a renewal takes seconds."""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
SWEEP = 6.0
CALLS = aiohttp.ClientTimeout(total=6, sock_connect=3)


def hurry() -> None:
    """Shorten what is waited for."""
    progress.SETTLE = timedelta(seconds=0.5)  # no real requests are under way
    jobs.RESULT_GRACE = timedelta(seconds=8)  # longer than a watch is silent unnoticed, as in earnest
    asking.FIRST_RETRY = verification.FIRST_RETRY = timedelta(seconds=0.5)
    recorder.LONGEST_PAUSE = 1
    s3.READ_TIMEOUT = 2
    reconciler.REFUSED_PAUSE = 1
    app.SWEEP_PAUSE = 0.5
    app.CANARY_SWEEP = 2
    app.RETRY = 0.3
    watching.RENEWED_EVERY = 5
    watching.SILENT_AFTER = 6
    watching.PATIENCE = (0.1, 0.2, 0.4) + 100 * (0.5,)
    client.LIST_TIMEOUT = CALLS
    (client.Client._send.__kwdefaults__ or {})["limit"] = CALLS
    lease.Timing = lambda: LEASE  # type: ignore[misc, assignment]
    read = Config.read
    Config.read = lambda path: read(path).model_copy(update={"sweep_interval": SWEEP})  # type: ignore[method-assign]


def serve() -> None:
    """Fork a process a line, until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    hurry()
    os.environ["SSL_CERT_FILE"] = os.devnull  # no call is encrypted; each client reads all of the system's nevertheless
    gc.freeze()  # what is imported stays shared
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _become(order)
        print(pid, flush=True)


def _become(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)  # whatever ends the tests, no operator is left behind
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    app._now = _Clock(order["clock"]).now
    recorder.version = lambda package: order["version"]  # type: ignore[attr-defined, assignment]
    os.environ.update(order["environment"], KUBECONFIG=order["kubeconfig"], POD_NAME=order["identity"])
    sys.argv = ["modelyard.runtime", "--config", order["config"]]
    os._exit(entry.main())


class _Clock:
    """A clock that somebody else turns, by writing the seconds into a file."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._turned = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def now(self) -> datetime:
        (seconds,) = struct.unpack("d", self._turned[:8])
        return datetime.now(UTC) + timedelta(seconds=seconds)


if __name__ == "__main__":
    serve()
