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

# A machine has one native cluster, unless another one is asked for by number: names and addresses follow from it.
# Sockets are outside the checkout because a socket's path may have at most 107 characters.
SLOT_FILE = CLUSTER / "slot"  # remembers it, so that only `make cluster` needs to be told
SLOT = int(os.environ.get("MODELYARD_SLOT") or (SLOT_FILE.read_text() if SLOT_FILE.exists() else 0))  # 0 to 14
NAMESPACE = f"modelyard{SLOT or ''}"  # also the name of the control group
SOCKETS = Path("/run", NAMESPACE)
OWNER = SOCKETS / "checkout"  # which checkout's cluster it is

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
