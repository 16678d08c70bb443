"""Where this checkout is, the files of the cluster that its tests may use, and the uv that runs them."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLUSTER_DIR = ROOT / ".cluster"
UV = os.environ.get("UV", "uv")
"""A machine may have none on the PATH: make brings one then, and says which."""


def find_kubeconfig() -> Path:
    """The cluster tests may use: MODELYARD_KUBECONFIG, else what `make cluster` left; never anything else."""
    explicit = os.environ.get("MODELYARD_KUBECONFIG")
    path = Path(explicit) if explicit else CLUSTER_DIR / "kubeconfig"
    if not path.is_file():
        raise FileNotFoundError(f"no cluster for the tests: {path} does not exist; run `make cluster` first")
    return path
