"""containerd, the kubelet and kube-proxy of the native cluster.

Called by `native`. Three settings are there for containers and small virtual machines:
`restrict_oom_score_adj` (without CAP_SYS_RESOURCE no sandbox starts otherwise), `failCgroupV1: false`,
and no image garbage collection (no registry is there to pull a deleted image again).
kube-proxy has its defaults, as real clusters have it: a sync at most once a second, in iptables mode. In nftables mode
it refuses a connection now and then while it changes its rules (docs/reliability.md), and no test could tell that from
a mistake of the operator's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dev.cluster import access, certificates, leftovers, processes
from dev.cluster.places import (
    CLUSTER_DOMAIN,
    DNS_SERVICE_ADDRESS,
    KUBECONFIG,
    LOG,
    NAMESPACE,
    NODE_ADDRESS,
    NODE_NAME,
    POD_RANGE,
    SOCKETS,
    STATE,
)
from dev.cluster.say import succeeds, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PAUSE_IMAGE = "modelyard.dev/pause:1"
SOCKET = leftovers.SOCKET


def start_containerd() -> None:
    """Start containerd, so that images can be loaded before the first pod wants them."""
    config = _write("containerd.toml", _containerd_config())
    _write("cni/10-pods.conflist", json.dumps(_pod_network(), indent=1))
    processes.ensure("containerd", ["/usr/bin/containerd", "--config", str(config)], config=config)
    wait_until(lambda: succeeds(ctr("version")), what="containerd", seconds=30, look_at=LOG / "containerd.log")


def start(programs: dict[str, Path]) -> None:
    """Start kubelet and kube-proxy and wait until the node is Ready."""
    leftovers.make_cgroup()
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
            "--proxy-mode=iptables",
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
        "name": NAMESPACE,
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}],
    }


def _kubelet_config() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": str(certificates.CA)}},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{NAMESPACE}",
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
