"""containerd, the kubelet and kube-proxy of the native cluster, and what a stopped node leaves behind.

Called by `native`. Three settings are there for containers and small virtual machines:
`restrict_oom_score_adj` (without CAP_SYS_RESOURCE no sandbox starts otherwise), `failCgroupV1: false`,
and no image garbage collection (no registry is there to pull a deleted image again).
kube-proxy keeps its default sync period of at most once a second, as real clusters have it.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from dev.cluster import access, certificates, processes
from dev.cluster.places import (
    CLUSTER_DOMAIN,
    DNS_SERVICE_ADDRESS,
    KUBECONFIG,
    LOG,
    NODE_ADDRESS,
    NODE_NAME,
    POD_RANGE,
    SOCKETS,
    STATE,
)
from dev.cluster.say import run, succeeds, wait_until

PAUSE_IMAGE = "modelyard.dev/pause:1"
SOCKET = SOCKETS / "containerd.sock"
CGROUP = "modelyard"
NETWORK = "modelyard"
CGROUPS = Path("/sys/fs/cgroup")
TASKS = SOCKETS / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io"


def start_containerd() -> None:
    """Start containerd, so that images can be loaded before the first pod wants them."""
    config = _write("containerd.toml", _containerd_config())
    _write("cni/10-pods.conflist", json.dumps(_pod_network(), indent=1))
    processes.ensure("containerd", ["/usr/bin/containerd", "--config", str(config)], config=config)
    wait_until(lambda: succeeds(ctr("version")), what="containerd", seconds=30, look_at=LOG / "containerd.log")


def start(programs: dict[str, Path]) -> None:
    """Start kubelet and kube-proxy and wait until the node is Ready."""
    _make_cgroup()
    config = _write("kubelet.json", json.dumps(_kubelet_config(), indent=1))
    processes.ensure(
        "kubelet",
        [
            str(programs["kubelet"]),
            f"--config={config}",
            f"--kubeconfig={access.part(f'system:node:{NODE_NAME}')}",
            f"--root-dir={STATE / 'kubelet'}",
            f"--cert-dir={STATE / 'kubelet' / 'pki'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ],
        config=config,
    )
    processes.ensure(
        "kube-proxy",
        [
            str(programs["kube-proxy"]),
            "--proxy-mode=nftables",
            f"--kubeconfig={access.part('system:kube-proxy')}",
            f"--hostname-override={NODE_NAME}",
            f"--cluster-cidr={POD_RANGE}",
            "--conntrack-max-per-core=0",  # it is the whole machine's, and not ours to change
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--healthz-bind-address=127.0.0.1:10256",
        ],
    )
    wait_until(lambda: ready(programs["kubectl"]), what="the node", seconds=90, look_at=LOG / "kubelet.log")


def ready(kubectl: Path) -> bool:
    """Whether the node says that it is Ready."""
    condition = "--for=condition=Ready"
    return succeeds([kubectl, f"--kubeconfig={KUBECONFIG}", "wait", condition, "--timeout=1s", f"node/{NODE_NAME}"])


def ctr(*arguments: str) -> list[str]:
    """The command that asks our containerd about what Kubernetes sees."""
    return ["ctr", f"--address={SOCKET}", "--namespace=k8s.io", *arguments]


def clear_away() -> None:
    """End the pods and undo the mounts of a node whose kubelet and containerd are stopped.

    By force: all state is thrown away, and a pod with a long grace period must not hold this up.
    """
    sockets = [file.read_text().removeprefix("unix://") for file in TASKS.glob("*/address")]
    for pid in _shims():
        os.kill(pid, signal.SIGKILL)
    wait_until(_pods_gone, what="the pods' processes to end", seconds=30)
    for socket in sockets:  # shims listen there, whatever containerd's own folders are
        Path(socket).unlink(missing_ok=True)
    for point in _mounts_below(STATE, SOCKETS):
        run(["umount", "--lazy", point], why="unmount what the node had mounted")
    for leftover in _files_elsewhere():
        leftover.unlink(missing_ok=True)
    for folder in sorted(_cgroup_folders(), key=lambda path: len(path.parts), reverse=True):
        folder.rmdir()


def _files_elsewhere() -> list[Path]:
    """What the kubelet and CNI write at places that cannot be configured."""
    logs = [link for link in Path("/var/log/containers").glob("*.log") if link.readlink().is_relative_to(STATE)]
    return [*logs, *Path("/var/lib/cni/results").glob(f"{NETWORK}-*")]


def _pods_gone() -> bool:
    """Kill whatever the pods' control group still holds; True when it holds nothing."""
    left = {int(pid) for folder in _cgroup_folders() for pid in (folder / "cgroup.procs").read_text().split()}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


def _shims() -> list[int]:
    """The processes that hold our pods' containers: containerd's shims with our socket on their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = os.fsdecode((folder / "cmdline").read_bytes()).split("\0")
        except OSError:  # it ended meanwhile
            continue
        if "containerd-shim" in words[0] and str(SOCKET) in words:
            found.append(int(folder.name))
    return found


def _mounts_below(*folders: Path) -> list[str]:
    """What is mounted there, the last mounted first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if any(Path(point).is_relative_to(folder) for folder in folders)]


def _hierarchies() -> list[Path]:
    """The roots of the machine's control groups: one, or with version 1 one a controller."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in CGROUPS.iterdir() if (folder / "cgroup.procs").exists() and not folder.is_symlink()]


def _make_cgroup() -> None:
    """Make the control group below which the kubelet puts its own, so that it can be cleared as one."""
    for root in _hierarchies():
        (root / CGROUP).mkdir(exist_ok=True)
        if root == CGROUPS:
            enabled = " ".join(f"+{name}" for name in (root / "cgroup.controllers").read_text().split())
            (root / "cgroup.subtree_control").write_text(enabled)


def _cgroup_folders() -> list[Path]:
    return [Path(folder) for root in _hierarchies() for folder, _, _ in os.walk(root / CGROUP)]


def _containerd_config() -> str:
    return f"""\
version = 2
root = "{STATE}/containerd"
state = "{SOCKETS}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{STATE}/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{STATE}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{SOCKETS}/runc"
"""


def _pod_network() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(SOCKETS / "addresses"),
    }
    return {
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}],
    }


def _kubelet_config() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": str(certificates.CA)}},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(_write("resolv.conf", "")),  # nothing of the machine's own names
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 200,
        "podLogsDir": str(STATE / "pod-logs"),
        "volumePluginDir": str(STATE / "volume-plugins"),
    }


def _write(name: str, text: str) -> Path:
    path = STATE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
