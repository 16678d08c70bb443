"""`python3 -m dev.cluster up|down|status|images`: see the package's docstring."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from dev.cluster import external, kind, native
from dev.cluster.places import KUBECONFIG, ROOT
from dev.cluster.say import Trouble, note

if TYPE_CHECKING:
    from types import ModuleType


def choose() -> ModuleType:
    """The kind of cluster to use, in the order that the package's docstring gives."""
    if os.environ.get("MODELYARD_KUBECONFIG"):
        return external
    if native.exists():
        return native
    return kind if kind.possible() else native


def up() -> None:
    """Start or repair the cluster and load the images."""
    cluster = choose()
    note(f"cluster: {cluster.__name__.rpartition('.')[2]}")
    cluster.up()
    cluster.load_images()
    note(f"ready: export KUBECONFIG={KUBECONFIG}  (kubectl and helm: {ROOT.name}/.cluster/bin)")


def down() -> None:
    """Take down whichever cluster this checkout has."""
    for cluster in (native, kind, external):
        if cluster.exists():
            cluster.down()
    note("this checkout's cluster is down")


def images() -> None:
    """Build and load again what changed in the images."""
    choose().load_images()


def status() -> None:
    """Say what runs; exit with 1 when the cluster is not whole."""
    sys.exit(0 if choose().status() else 1)


def main() -> None:
    """Run one command; the reason for a failure is one message."""
    commands = {"up": up, "down": down, "status": status, "images": images}
    parser = argparse.ArgumentParser(prog="python3 -m dev.cluster", description=__doc__)
    parser.add_argument("command", choices=commands)
    # A command that was told to stop leaves through the same door as one that failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        commands[parser.parse_args().command]()
    except Trouble as trouble:
        sys.exit(f"error: {trouble}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")


if __name__ == "__main__":
    main()
