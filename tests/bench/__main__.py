"""`make bench`: a small table of what was measured on this machine, beside the raw floor of the same run.

Figures are ratios to that floor wherever they depend on the machine. Nothing here is asserted by a test.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.bench.approving import last_approval
from tests.bench.floor import a_floor
from tests.bench.idle import idle
from tests.bench.judging import judging
from tests.bench.neighbour import neighbour
from tests.bench.plugin import listing
from tests.bench.reaction import ROUNDS, first_write, warm_rollback
from tests.bench.recording import recording
from tests.bench.table import Row, milliseconds, show
from tests.bench.verify_bench import run as verification
from tests.checkout import ROOT
from tests.cluster.conftest import NAMESPACE_LABELS, read_storage, s3_client
from tests.cluster.registry import Registry, storage_secret
from tests.connections import Api
from tests.kube import Kube

NEED_THE_OPERATOR = {"reaction", "idle"}
"""Parts that measure the operator as it is installed; the others leave the cluster's as it is."""


def main() -> int:
    """Measure everything, or the named parts."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=["gates", "reaction", "idle", "verification", "plugin", "ledger", "neighbour"]
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if set(arguments.parts) & NEED_THE_OPERATOR:
        subprocess.run(["make", "--silent", "install-dev"], cwd=ROOT, check=True, stdout=sys.stderr)
    rows: list[Row] = []
    try:
        for more in _measured(arguments.parts, arguments.rounds):
            rows += more
    finally:  # what was measured is worth minutes
        print(show(rows))
    return int(any(row.reached is False for row in rows))


def _measured(parts: Sequence[str], rounds: int) -> Iterator[Sequence[Row]]:
    """The rows of each part, as it ends."""
    if "gates" in parts:
        yield judging()
    if "reaction" in parts:
        yield from _reactions(rounds)
    if "idle" in parts:
        with a_namespace() as registry:
            yield idle(registry)
    if "verification" in parts:
        yield [Row(what, measured, target) for what, measured, target in verification()]
    if "plugin" in parts:
        yield listing()
    if "ledger" in parts:
        yield recording()
    if "neighbour" in parts:
        yield neighbour()


def _reactions(rounds: int) -> Iterator[Sequence[Row]]:
    """How soon the operator as it is installed does what is asked of it, beside the floor."""
    api = Api()
    with a_floor(api) as floor:
        with a_namespace() as registry:
            yield first_write(api, registry, floor)
        with a_namespace() as registry:
            yield warm_rollback(api, registry, floor, rounds)
        with a_namespace() as registry:
            yield last_approval(api, registry, floor, rounds)
        yield [Row("floor: write -> event -> write", milliseconds(floor.taken), "a controller of 20 lines")]


@contextmanager
def a_namespace() -> Iterator[Registry]:
    """A namespace with a storage Secret, as in the cluster tests; all of it is gone before the next measurement."""
    storage = read_storage()
    with Kube.connect().own_namespace("bench", NAMESPACE_LABELS, wait=True) as here:
        here.create(storage_secret(storage))
        yield Registry(here, s3_client(storage))


if __name__ == "__main__":
    sys.exit(main())
