"""Is this installation alive? Run by `helm test` in a pod of the operator's image; never writes anything.

Asks the operator's Service for /readyz, and the API server whether it serves Modelyard's kinds. It does so as a
ServiceAccount without any rights: API discovery is open to every authenticated caller.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {"Model", "ModelVersion", "Approval", "Rollback"}


def check_ready() -> str:
    """Ask the operator whether it is ready."""
    url = os.environ["MODELYARD_URL"] + "/readyz"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return f"{url} answers {answer.status}"


def check_kinds() -> str:
    """Ask the API server for the kinds it serves."""
    url = "https://kubernetes.default.svc/apis/modelyard.dev/v1alpha1"
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    trust = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
        served = {resource["kind"] for resource in json.load(answer)["resources"]}
    if missing := KINDS - served:
        raise LookupError(f"{url}: not served: {', '.join(sorted(missing))}; install with crds.install=true")
    return f"{url} serves {', '.join(sorted(KINDS))}"


def main() -> None:
    """Repeat each check for half a minute, since a Service follows its pods with a delay."""
    deadline = time.monotonic() + 30
    for check in (check_ready, check_kinds):
        while True:
            try:
                print("ok:", check(), flush=True)
                break
            except (OSError, LookupError) as error:
                if time.monotonic() > deadline:
                    sys.exit(f"failed: {check.__name__}: {error}")
                time.sleep(1)


if __name__ == "__main__":
    main()
