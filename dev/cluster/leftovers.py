"""What the native cluster leaves on the machine when its programs are gone, and how that is undone.

Called by `native` when the cluster is taken down, and before one is started where another died. Everything is
ended by force: all state is thrown away, and a pod with a long grace period must not hold this up.

Our programs, and containerd's shims, are found by the network namespace that they are in; pods' processes by the
control group that the kubelet was told to use: never by a name that others may have.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from dev.cluster import network
from dev.cluster.places import NAMESPACE, SOCKETS
from dev.cluster.say import run, wait_until

SOCKET = SOCKETS / "containerd.sock"
TASKS = SOCKETS / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io"
CGROUPS = Path("/sys/fs/cgroup")
END_SECONDS = 30


def clear_away(state: Path) -> None:
    """End every process, undo every mount and remove the network of a cluster whose state was in that folder."""
    _kill(network.processes())
    sockets = [file.read_text().removeprefix("unix://") for file in TASKS.glob("*/address")]
    wait_until(_pods_gone, what="the pods' processes to end", seconds=END_SECONDS)
    for socket in sockets:  # shims listen there, whatever containerd's own folders are
        Path(socket).unlink(missing_ok=True)
    for point in _mounts_below(state, SOCKETS):
        run(["umount", "--lazy", point], why="unmount what the node had mounted")
    for file in _files_elsewhere(state):
        file.unlink(missing_ok=True)
    for folder in reversed(_cgroup_folders()):  # the inner ones first
        folder.rmdir()
    network.down()


def make_cgroup() -> None:
    """Make the control group below which the kubelet puts its own."""
    for root in _hierarchies():
        (root / NAMESPACE).mkdir(exist_ok=True)
        if root == CGROUPS:
            enabled = " ".join(f"+{name}" for name in (root / "cgroup.controllers").read_text().split())
            (root / "cgroup.subtree_control").write_text(enabled)


def _hierarchies() -> list[Path]:
    """The roots of the machine's control groups: one, or with version 1 one a controller."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in CGROUPS.iterdir() if (folder / "cgroup.procs").exists() and not folder.is_symlink()]


def _cgroup_folders() -> list[Path]:
    """Ours and all inside it, the outer ones first."""
    return [Path(folder) for root in _hierarchies() for folder, _, _ in os.walk(root / NAMESPACE)]


def _pods_gone() -> bool:
    """Kill whatever the pods' control group still holds; True when it holds nothing."""
    left = {int(pid) for folder in _cgroup_folders() for pid in (folder / "cgroup.procs").read_text().split()}
    _kill(left)
    return not left


def _mounts_below(*folders: Path) -> list[str]:
    """What is mounted there, the last mounted first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if any(Path(point).is_relative_to(folder) for folder in folders)]


def _files_elsewhere(state: Path) -> list[Path]:
    """What the kubelet and CNI write at places that cannot be configured."""
    logs = [link for link in Path("/var/log/containers").glob("*.log") if link.readlink().is_relative_to(state)]
    pods = [folder.name for folder in TASKS.glob("*")]
    return logs + [file for pod in pods for file in Path("/var/lib/cni/results").glob(f"*-{pod}-*")]


def _kill(pids: list[int] | set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
