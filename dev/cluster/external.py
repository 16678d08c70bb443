"""A cluster that somebody else runs, named by MODELYARD_KUBECONFIG: nothing in it is started or stopped here.

It needs an S3 store that it and this machine reach at one address, and it must be able to pull the images.
"""

from __future__ import annotations

import os
from pathlib import Path

from dev.cluster import access, programs, store
from dev.cluster.images import CONTEXTS
from dev.cluster.places import KUBECONFIG
from dev.cluster.say import Trouble, note, succeeds

VARIABLE = "MODELYARD_KUBECONFIG"
STORE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL")


def exists() -> bool:
    """There is never anything of ours to take down."""
    return False


def up() -> None:
    """Check that the cluster answers and leave the same files behind as for our own."""
    kubeconfig = Path(os.environ[VARIABLE]).expanduser()
    if not kubeconfig.is_file():
        raise Trouble(f"use the cluster of {VARIABLE}: {kubeconfig}: no such file")
    missing = [name for name in STORE if not os.environ.get(name)]
    if missing:
        raise Trouble(f"use the cluster of {VARIABLE}: its S3 store is not known: set {', '.join(missing)}")
    built = programs.ensure(programs.CLIENTS)
    programs.link_clients(built)
    access.adopt(built["kubectl"], kubeconfig)
    if not status():
        raise Trouble(f"use the cluster of {VARIABLE}: {kubeconfig}: the API server does not answer")
    store.write_settings({name: os.environ[name] for name in STORE})


def load_images() -> None:
    """Say what cannot be done from here."""
    note(f"  images: the cluster must be able to pull {', '.join(CONTEXTS)}")


def down() -> None:
    """Leave the cluster alone."""


def status() -> bool:
    """Whether the cluster answers."""
    kubectl = programs.ensure(("kubectl",))["kubectl"]
    return succeeds([str(kubectl), f"--kubeconfig={KUBECONFIG}", "get", "--raw=/readyz", "--request-timeout=10s"])
