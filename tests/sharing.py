"""The one operator that is installed in the cluster, among test processes that run side by side.

Tests that only use it share it; one that stops, replaces or overloads it has it alone (marker `alone`). A lock on a
file, because pytest's workers are processes; it ends with the process that holds it.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.checkout import CLUSTER_DIR, ROOT

UNPROTECTED = {"modelyard.dev/unprotected": ""}
"""What `make install-dev` leaves out of the admission policies: where a test plays the operator or breaks its world."""
LOCK = CLUSTER_DIR / "operator-in-use"
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
"""The same in all processes of one test run."""


_has_it_alone = False
"""Whether this process does, for the rest of a module perhaps."""


@contextmanager
def operator_in_use(*, alone: bool = False) -> Iterator[None]:
    """Nobody disturbs the installed operator meanwhile; `alone`: nobody else uses it either."""
    global _has_it_alone
    if _has_it_alone:
        yield
        return
    with LOCK.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        _has_it_alone = alone
        try:
            yield
        finally:
            _has_it_alone = False


def install_operator() -> None:
    """Install the operator of this checkout by its chart, or bring what is installed up to it, once in a test run."""
    with operator_in_use():
        if _is_installed():  # to ask that alone would be to wait for a moment in which no test uses it
            return
    with operator_in_use(alone=True):
        if _is_installed():
            return
        done = subprocess.run(["make", "install-dev"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"make install-dev: {done.stdout}\n{done.stderr}"
        LOCK.write_text(RUN)


def _is_installed() -> bool:
    return LOCK.read_text() == RUN
