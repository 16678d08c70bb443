"""The Kubernetes API as plain dicts: kinds, credentials, one client, one tree of errors."""
