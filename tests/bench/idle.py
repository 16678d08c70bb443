"""What does an operator cost that has nothing to do? Writes, CPU and memory with 100 versions, over a minute."""

import time
import urllib.request

from tests.bench.table import Row
from tests.cluster.registry import Registry
from tests.kube import Kube, Timeout

VERSIONS = 100
SECONDS = 60
REGISTERED = Timeout("every version is verified", 120)


def idle(registry: Registry) -> list[Row]:
    """Register 100 versions, wait for rest, and look at the leader's own metrics a minute apart."""
    kube = registry.kube
    kube.apply(registry._obj("Model", "many", {}))
    for number in range(VERSIONS):
        artifact = {"external": {"provider": "bench", "model": "many", "revision": str(number)}}
        spec = {"model": "many", "version": str(number), "artifact": artifact}
        kube.apply(registry._obj("ModelVersion", f"many-{number}", spec))
    kube.wait("modelversion", f"many-{VERSIONS - 1}", lambda v: "digest" in v.get("status", {}), REGISTERED)
    pod = _leader(kube)
    time.sleep(5)
    before, writes = _metrics(pod), _write_count(kube, registry.namespace)
    time.sleep(SECONDS)
    after, written = _metrics(pod), _write_count(kube, registry.namespace)
    cpu = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / SECONDS
    rss = after["process_resident_memory_bytes"] / 2**20
    counters = [n for n in after if n.startswith("modelyard_writes_total") and 'kind="Lease"' not in n]
    made = sum(after[name] - before.get(name, 0) for name in counters)
    moved = made + float(written != writes)
    return [
        Row(f"idle {SECONDS} s: writes but the Lease", f"{moved:.0f}", "none", moved == 0),
        Row(f"idle {SECONDS} s: CPU", f"{cpu:.2%} of a core", "under 1%", cpu < 0.01),
        Row(f"memory with {VERSIONS} versions", f"{rss:.0f} MiB", "at most 120 MiB", rss <= 120),
    ]


def _leader(kube: Kube) -> str:
    """Address of the pod that holds the Lease."""
    system = kube.within("modelyard-system")
    holder = system.get("lease", "modelyard")["spec"]["holderIdentity"]
    pods = {pod["metadata"]["name"]: pod for pod in system.items("pods")}
    (found,) = [pod for name, pod in pods.items() if holder.startswith(name)]
    return f"http://{found['status']['podIP']}:8080/metrics"


def _metrics(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def _write_count(kube: Kube, namespace: str) -> set[tuple[str, str]]:
    """Names and resourceVersions of everything of the operator's in the namespace."""
    kinds = "models,modelversions,services,configmaps,deployments.apps,jobs.batch"
    items = kube.within(namespace).items(kinds)
    return {(item["metadata"]["uid"], item["metadata"]["resourceVersion"]) for item in items}
