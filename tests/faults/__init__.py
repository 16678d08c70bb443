"""The operator's process on a real API server, killed and disturbed on purpose, then compared with an undisturbed run.

    operator process (operator.py)  ->  fault proxy (proxy.py, faults.py)  ->  API server
                                                                            <-  the test (scenarios.py, yard.py)
                                                                            <-  played kubelet (kubelet.py)

Deployments, Jobs, EndpointSlices and garbage are handled by the cluster's own controllers; only the kubelet is played,
so that a pod is ready at once and a run takes seconds. All is in an API group of its own: an operator that is installed
in the cluster takes no part.
"""
