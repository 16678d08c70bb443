"""What does an operator cost that has nothing to do? Writes, CPU and memory with 100 versions, over a minute."""

import time
import urllib.request

from tests.bench.table import Row
from tests.cluster.registry import Registry
from tests.kube import Kube, Timeout

VERSIONS = 100
SECONDS = 60
QUIET = 10.0
"""Longer than anything that still follows from a registration by itself."""
REGISTERED = Timeout("every version is verified", 120)


def idle(registry: Registry) -> list[Row]:
    """Register 100 versions, wait for rest, and look at the leader's own metrics a minute apart.

    The counters are of the whole process: Models of other namespaces would count too, so the benchmark waits until
    its own namespaces of before are gone.
    """
    kube = registry.kube
    kube.apply(registry._obj("Model", "many", {}))
    for number in range(VERSIONS):
        artifact = {"external": {"provider": "bench", "model": "many", "revision": str(number)}}
        spec = {"model": "many", "version": str(number), "artifact": artifact}
        kube.apply(registry._obj("ModelVersion", f"many-{number}", spec))
    for number in range(VERSIONS):
        kube.wait("modelversion", f"many-{number}", lambda version: "digest" in version.get("status", {}), REGISTERED)
    pod = _leader(kube)
    before, objects = _at_rest(pod), _written_objects(kube, registry.namespace)
    time.sleep(SECONDS)
    after = _metrics(pod)
    cpu = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / SECONDS
    rss = after["process_resident_memory_bytes"] / 2**20
    made = {name: count - before.get(name, 0) for name, count in _writes(after).items()}
    made = {name: count for name, count in made.items() if count}
    moved = _written_objects(kube, registry.namespace) ^ objects
    return [
        Row(f"idle {SECONDS} s: writes but the Lease", _told(made, moved), "none", not made and not moved),
        Row(f"idle {SECONDS} s: CPU", f"{cpu:.2%} of a core", "under 1%", cpu < 0.01),
        Row(f"memory with {VERSIONS} versions", f"{rss:.0f} MiB", "at most 120 MiB", rss <= 120),
    ]


def _at_rest(pod: str) -> dict[str, float]:
    """The metrics once nothing was written for a while."""
    deadline = time.monotonic() + REGISTERED.budget
    metrics, quiet_since = _metrics(pod), time.monotonic()
    while time.monotonic() < quiet_since + QUIET:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the operator did not come to rest within {REGISTERED.budget:g} s: {_writes(metrics)}")
        time.sleep(0.5)
        newer = _metrics(pod)
        if _writes(newer) != _writes(metrics):
            quiet_since = time.monotonic()
        metrics = newer
    return metrics


def _writes(metrics: dict[str, float]) -> dict[str, float]:
    """The counters of writes, but the Lease's."""
    counters = (name for name in metrics if name.startswith("modelyard_writes_total") and 'kind="Lease"' not in name)
    return {name: metrics[name] for name in counters}


def _told(made: dict[str, float], moved: set[tuple[str, str, str]]) -> str:
    """How many writes, and which: what was written is the first thing one wants to know."""
    if not made and not moved:
        return "0"
    which = [f"{name.removeprefix('modelyard_writes_total')} {count:.0f}" for name, count in made.items()]
    return f"{sum(made.values()):.0f}: {', '.join([*which, *sorted({what for what, _, _ in moved})])}"


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


def _written_objects(kube: Kube, namespace: str) -> set[tuple[str, str, str]]:
    """Kind and name, uid and resourceVersion of everything of the operator's in the namespace."""
    kinds = "models,modelversions,services,configmaps,deployments.apps,jobs.batch"
    return {
        (f"{item['kind']}/{item['metadata']['name']}", item["metadata"]["uid"], item["metadata"]["resourceVersion"])
        for item in kube.within(namespace).items(kinds)
    }
