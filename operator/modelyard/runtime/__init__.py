"""The process around it: kopf, the queue, the lease, probes, metrics, settings, shutdown."""
