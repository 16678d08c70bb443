"""The operator process as it is shipped, which notes every address that it connects to or looks up.

An audit hook of the interpreter sees what any library does; it cannot be taken away again.
"""

import tests.api_runtime.group  # isort: skip  # noqa: F401  # before everything that reads the names

import os
import sys
from typing import Any

from modelyard.runtime.__main__ import main

NOTES = "MODELYARD_TEST_CONNECTIONS"
EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "subprocess.Popen": 0, "os.exec": 0}
"""Which argument of the event says where to."""


def note(event: str, arguments: tuple[Any, ...]) -> None:
    """Write down where the process turns to."""
    if (index := EVENTS.get(event)) is not None:
        os.write(descriptor, f"{event} {arguments[index]!r}\n".encode())


if __name__ == "__main__":
    descriptor = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.addaudithook(note)
    sys.exit(main())
