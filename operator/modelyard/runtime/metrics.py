"""What Prometheus is told about the operator. Every metric is declared here.

Counts are made where things happen; gauges of state are read when somebody scrapes. Label values come from fixed
sets (kinds, verbs, reasons, error classes), never from names of objects.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from modelyard.kube.errors import KubeError

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_READS = frozenset({"get", "list"})


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.reconciles = Histogram(
            "modelyard_reconcile_seconds",
            "How long one turn of one Model took, by how it ended.",
            ["outcome"],
            buckets=_FAST,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "modelyard_queue_wait_seconds",
            "How long a Model waited for a worker.",
            buckets=_FAST,
            registry=registry,
        )
        self.queue_depth = Gauge("modelyard_queue_depth", "Models waiting for a worker.", registry=registry)
        self.calls = Histogram(
            "modelyard_api_call_seconds",
            "Calls to the API server, by verb and kind.",
            ["verb", "kind"],
            buckets=_FAST,
            registry=registry,
        )
        self.writes = Counter(
            "modelyard_writes",
            "Writes that the API server accepted, by kind and verb.",
            ["kind", "verb"],
            registry=registry,
        )
        self.errors = Counter("modelyard_errors", "Failures, by class of error.", ["error"], registry=registry)
        self.events = Counter(
            "modelyard_events", "Kubernetes Events published, by reason.", ["reason"], registry=registry
        )
        self.transitions = Counter(
            "modelyard_transitions",
            "Recorded changes of a stage (its pointer moved, it was paused, ...), by type.",
            ["type"],
            registry=registry,
        )
        self.ledger_records = Counter(
            "modelyard_ledger_records",
            "Records appended to the ledger, and attempts that failed, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.ledger_waiting = Gauge(
            "modelyard_ledger_waiting", "Records that wait in Models' statuses to be appended.", registry=registry
        )
        self.ledger_requests = Counter(
            "modelyard_ledger_requests",
            "Requests to the ledger service, by HTTP status.",
            ["status"],
            registry=registry,
        )
        self.models = Gauge("modelyard_models", "Models known.", registry=registry)
        self.versions = Gauge("modelyard_versions", "ModelVersions known.", registry=registry)
        self.leading = Gauge("modelyard_leading", "1 while this process holds the lease.", registry=registry)
        self.synced = Gauge("modelyard_cache_synced", "1 once every kind was read.", registry=registry)

    def called(self, verb: str, kind: str, seconds: float, error: KubeError | None) -> None:
        """A call to the API server ended. The observer of the client."""
        self.calls.labels(verb, kind).observe(seconds)
        if error is not None:
            self.errors.labels(type(error).__name__).inc()
        elif verb not in _READS:
            self.writes.labels(kind, verb).inc()
