"""CoreDNS, so that pods resolve names such as `fraud-production.risk.svc`.

It runs as a process beside the API server, behind the Service `kube-dns` with hand-made
endpoints. There is nothing outside to forward to, so it answers for all names, and the others do not exist.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from dev.cluster import access, processes
from dev.cluster.places import CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS, KUBECONFIG, LOG, NODE_ADDRESS, STATE
from dev.cluster.say import run, wait_until

if TYPE_CHECKING:
    from pathlib import Path

USER = "system:coredns"
READY_PORT = 8181


def start(programs: dict[str, Path]) -> None:
    """Start CoreDNS, give it its Service and wait until it knows the cluster."""
    kubectl = [str(programs["kubectl"]), f"--kubeconfig={KUBECONFIG}"]
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": _objects()})
    apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"]
    run([*kubectl, *apply], why="make the Service kube-dns", stdin=objects)
    corefile = STATE / "Corefile"
    corefile.write_text(_corefile())
    processes.ensure("coredns", [str(programs["coredns"]), "-conf", str(corefile)], config=corefile)
    wait_until(ready, what="CoreDNS", seconds=30, look_at=LOG / "coredns.log")


def ready() -> bool:
    """Whether CoreDNS has read the cluster's Services."""
    connection = http.client.HTTPConnection(NODE_ADDRESS, READY_PORT, timeout=2)  # no proxy, whatever is set
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _corefile() -> str:
    return f""".:53 {{
    errors
    ready {NODE_ADDRESS}:{READY_PORT}
    cache 5
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa . {{
        kubeconfig {access.part(USER)}
        ttl 5
    }}
}}
"""


def _objects() -> list[dict[str, Any]]:
    ports = [("dns", 53, "UDP"), ("dns-tcp", 53, "TCP")]
    role = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{role}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": USER},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": f"{role}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": USER},
            "subjects": [{"apiGroup": role, "kind": "User", "name": USER}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {
                "clusterIP": DNS_SERVICE_ADDRESS,
                "ports": [{"name": name, "port": port, "protocol": protocol} for name, port, protocol in ports],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": name, "port": port, "protocol": protocol} for name, port, protocol in ports],
        },
    ]
