"""A real Kubernetes cluster for development and tests, up and down with one command.

`python3 -m dev.cluster up` takes the first of these that is there:

1. `external`: the cluster that MODELYARD_KUBECONFIG names (never the current context by accident);
2. `kind`: when Docker or Podman really runs (continuous integration does not exercise this path);
3. `native`: one node made of processes on this machine, in a network namespace of its own.

Each leaves the same things behind: see `places`. Only the standard library is used, so that
the tool runs before anything has been installed.
"""
