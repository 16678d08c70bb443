"""etcd, the API server, the controller manager and the scheduler of the native cluster.

Called by `native`. Every start is idempotent; state is thrown away by `make down`, so etcd need
not wait for the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.cluster import access, certificates, processes
from dev.cluster.places import API_PORT, KUBECONFIG, LOG, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE, STATE
from dev.cluster.say import succeeds, wait_until

if TYPE_CHECKING:
    from pathlib import Path

ETCD = "http://127.0.0.1:2379"
PEERS = "http://127.0.0.1:2380"
ISSUER = "https://kubernetes.default.svc.cluster.local"


def start(programs: dict[str, Path]) -> None:
    """Start what is not running and wait until the API server says that it is ready."""
    pki = certificates.FOLDER
    processes.ensure("etcd", _etcd(programs["etcd"]))
    processes.ensure("kube-apiserver", _api_server(programs["kube-apiserver"]))
    wait_until(
        lambda: ready(programs["kubectl"]), what="the API server", seconds=90, look_at=LOG / "kube-apiserver.log"
    )
    processes.ensure(
        "kube-controller-manager",
        [
            str(programs["kube-controller-manager"]),
            f"--kubeconfig={access.part('system:kube-controller-manager')}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki / 'serviceaccounts.key'}",
            f"--root-ca-file={certificates.CA}",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={POD_RANGE}",
            "--node-cidr-mask-size=20",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--bind-address=127.0.0.1",
        ],
    )
    processes.ensure(
        "kube-scheduler",
        [
            str(programs["kube-scheduler"]),
            f"--kubeconfig={access.part('system:kube-scheduler')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
    )


def ready(kubectl: Path) -> bool:
    """Whether the API server answers and has finished its start-up."""
    command = [str(kubectl), f"--kubeconfig={KUBECONFIG}", "get", "--raw=/readyz", "--request-timeout=3s"]
    return KUBECONFIG.exists() and succeeds(command)


def wait_for_controllers(kubectl: Path) -> None:
    """Wait for what the controllers make first and every pod needs: the namespace's service account."""
    command = [str(kubectl), f"--kubeconfig={KUBECONFIG}", "--namespace=default", "get", "serviceaccount", "default"]
    log = LOG / "kube-controller-manager.log"
    wait_until(lambda: succeeds(command), what="the default service account", seconds=30, look_at=log)


def _etcd(program: Path) -> list[str]:
    return [
        str(program),
        f"--data-dir={STATE / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={PEERS}",
        f"--initial-advertise-peer-urls={PEERS}",
        f"--initial-cluster=default={PEERS}",
        "--unsafe-no-fsync",
    ]


def _api_server(program: Path) -> list[str]:
    pki = certificates.FOLDER
    return [
        str(program),
        f"--etcd-servers={ETCD}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={NODE_ADDRESS}",
        "--endpoint-reconciler-type=lease",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--token-auth-file={access.TOKENS}",
        f"--client-ca-file={certificates.CA}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki / 'serviceaccounts.key'}",
        f"--service-account-signing-key-file={pki / 'serviceaccounts.key'}",
        # `kubectl logs` and `exec`: by address, because the node's name is in no DNS.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
    ]
