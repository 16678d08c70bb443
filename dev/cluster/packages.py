"""Which Debian packages the native cluster needs, and installing the missing ones.

The packages bring a service of their own (containerd); it must not start, because ours runs in
another network namespace with other folders.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dev.cluster.say import Trouble, run, step

if TYPE_CHECKING:
    from collections.abc import Iterator

# package -> a file of it, which is how we know that it is there
NEEDED = {
    "ca-certificates": "/usr/sbin/update-ca-certificates",
    "busybox-static": "/bin/busybox",
    "conntrack": "/usr/sbin/conntrack",
    "containerd": "/usr/bin/containerd",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iproute2": "/sbin/ip",
    "iptables": "/usr/sbin/iptables",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "mount": "/bin/mount",
    "openssl": "/usr/bin/openssl",
    "runc": "/usr/sbin/runc",
    "util-linux": "/usr/bin/nsenter",
}
POLICY = Path("/usr/sbin/policy-rc.d")  # Debian asks it before it starts a service


def install_missing() -> None:
    """Install what is not there yet. Needs root and Debian."""
    missing = [package for package, file in NEEDED.items() if not Path(file).exists()]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Trouble(f"install {', '.join(missing)}: needs root; run the command as root, or use kind with Docker")
    if not Path("/usr/bin/apt-get").exists():
        raise Trouble(
            f"install {', '.join(missing)}: this machine has no apt-get; the native cluster needs Debian or Ubuntu: "
            "start Docker to use kind, or name a cluster with MODELYARD_KUBECONFIG"
        )
    with step(f"install {len(missing)} Debian packages"), _no_services():
        apt("update")
        apt("install", "--yes", "--no-install-recommends", *missing)


def apt(*arguments: str) -> None:
    """Run apt-get without questions."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "--quiet", *arguments], why=f"apt-get {arguments[0]}", env=environment)


@contextmanager
def _no_services() -> Iterator[None]:
    """Have Debian install services without starting them; a policy that exists already is put back."""
    kept = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if kept is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(kept)
        # Where systemd runs, the unit would otherwise come up at the next boot.
        if Path("/run/systemd/system").exists():
            subprocess.run(["systemctl", "disable", "--quiet", "containerd"], check=False)
