"""`make bench`: a small table of what was measured on this machine, beside the raw floor of the same run.

Figures are ratios to that floor wherever they depend on the machine. Nothing here is asserted by a test.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
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
    rows: list[Row] = judging() if "gates" in arguments.parts else []
    api = Api()
    if "reaction" in arguments.parts:
        with a_floor(api) as floor:
            with a_namespace() as registry:
                rows += first_write(api, registry, floor)
            with a_namespace() as registry:
                rows += warm_rollback(api, registry, floor, arguments.rounds)
            with a_namespace() as registry:
                rows += last_approval(api, registry, floor, arguments.rounds)
            rows.append(Row("floor: write -> event -> write", milliseconds(floor.taken), "a controller of 20 lines"))
    if "idle" in arguments.parts:
        with a_namespace() as registry:
            rows += idle(registry)
    if "verification" in arguments.parts:
        rows += [Row(what, measured, target) for what, measured, target in verification()]
    if "plugin" in arguments.parts:
        rows += listing()
    if "ledger" in arguments.parts:
        rows += recording()
    if "neighbour" in arguments.parts:
        rows += neighbour()
    print(show(rows))
    return int(any(row.reached is False for row in rows))


@contextmanager
def a_namespace() -> Iterator[Registry]:
    """A namespace with a storage Secret, as in the cluster tests; all of it is gone before the next measurement."""
    storage = read_storage()
    with Kube.connect().own_namespace("bench", NAMESPACE_LABELS, wait=True) as here:
        here.create(storage_secret(storage))
        yield Registry(here, s3_client(storage))


if __name__ == "__main__":
    sys.exit(main())
