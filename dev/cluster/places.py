"""Where everything of the local cluster lies, and which addresses it uses.

`.cluster/` in the checkout holds what one cluster consists of and goes away with it. The cache
outlives it and is shared by every checkout: its entries are named by what they were made from.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

CLUSTER = ROOT / ".cluster"
KUBECONFIG = CLUSTER / "kubeconfig"  # administrator, context CONTEXT
USERS = CLUSTER / "users"  # <name>.kubeconfig, one a person
S3_ENV = CLUSTER / "s3.env"
BIN = CLUSTER / "bin"  # kubectl, helm
RUN = CLUSTER / "run"  # pid files
LOG = CLUSTER / "log"
STATE = CLUSTER / "state"  # etcd's data, the kubelet's and containerd's folders, the buckets
CONTEXT = "modelyard-dev"

CACHE = Path(os.environ.get("MODELYARD_CACHE") or Path.home() / ".cache" / "modelyard")

# Native clusters of several checkouts stand side by side: names and addresses follow from a number.
# Sockets are outside the checkout because a socket's path may have at most 107 characters.
SLOTS = range(15)
SLOT_FILE = CLUSTER / "slot"


def namespace(slot: int) -> str:
    """The name of a cluster's network namespace, control group and folder below /run."""
    return f"modelyard{slot or ''}"


def owner(slot: int) -> str:
    """Which checkout's cluster has this number; empty when it is free, or the checkout was deleted."""
    file = Path("/run", namespace(slot), "checkout")
    checkout = file.read_text() if file.exists() else ""
    return checkout if Path(checkout, ".cluster", "run").exists() else ""


def _slot() -> int:
    """The number of this checkout's cluster: the one it has, else the first that is free."""
    if SLOT_FILE.exists():
        return int(SLOT_FILE.read_text())
    return next((slot for slot in SLOTS if owner(slot) in ("", str(ROOT))), SLOTS[-1])


SLOT = _slot()
NAMESPACE = namespace(SLOT)
SOCKETS = Path("/run", NAMESPACE)
OWNER = SOCKETS / "checkout"

# 198.18.0.0/15 is set aside for tests of network devices (RFC 2544): no real network uses it.
HOST_ADDRESS = f"198.18.{SLOT}.1"
NODE_ADDRESS = f"198.18.{SLOT}.2"
LINK_PREFIX = 30
POD_RANGE = f"198.18.{16 + 16 * SLOT}.0/20"
SERVICE_RANGE = f"198.19.{16 * SLOT}.0/20"
API_SERVICE_ADDRESS = f"198.19.{16 * SLOT}.1"
DNS_SERVICE_ADDRESS = f"198.19.{16 * SLOT}.10"
API_PORT = 6443
S3_PORT = 7070
NODE_NAME = "modelyard"
CLUSTER_DOMAIN = "cluster.local"
