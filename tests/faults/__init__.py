"""The operator's process on a real API server, killed and disturbed on purpose, then compared with an undisturbed run.

    operator process (operator.py)  ->  fault proxy (proxy.py, faults.py)  ->  API server
          |                                                                 <-  people (scenarios/, yard.py)
          |                                                                 <-  played kubelet (kubelet.py)
          |                                                                  -> an independent reader (recorder.py)
          v
    store proxy (ledger.py, tests/store/proxy.py)  ->  S3 store              -> another independent reader (chain.py)

Deployments, Jobs, EndpointSlices and garbage are handled by the cluster's own controllers; only the kubelet is played,
so that a pod is ready at once and a run takes seconds. All is in an API group of its own: an operator that is installed
in the cluster takes no part.
"""
