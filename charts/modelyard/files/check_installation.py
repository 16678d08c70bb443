"""Is this installation alive? Run by `helm test` in a pod of the operator's image; never writes anything.

Asks the operator's Service for /readyz, the API server whether it serves Modelyard's kinds, and whether the admission
policies are in force: they have to refuse an Approval by an account that may create Approvals and approve nothing.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "modelyard.dev/v1alpha1"
KINDS = {"Model", "ModelVersion", "Approval", "Rollback"}


def check_ready() -> str:
    """Ask the operator whether it is ready."""
    url = os.environ["MODELYARD_URL"] + "/readyz"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return f"{url} answers {answer.status}"


def check_kinds() -> str:
    """Ask the API server for the kinds it serves."""
    served = {resource["kind"] for resource in json.loads(ask_api_server(""))["resources"]}
    if missing := KINDS - served:
        raise LookupError(f"not served: {', '.join(sorted(missing))}; install with crds.install=true")
    return f"the API server serves {', '.join(sorted(KINDS))}"


def check_policies() -> str:
    """Try to create an Approval as an account without the verb `approve`. A dry run: nothing is ever stored."""
    namespace = os.environ.get("MODELYARD_POLICIES_IN")
    if not namespace:
        return "no admission policies are installed, or this test has no right to try them (rbac.create=false)"
    spec = {"model": "test", "version": "1", "stage": "test", "digest": "sha256:" + "0" * 64, "decision": "Approve"}
    approval = {"apiVersion": API, "kind": "Approval", "metadata": {"name": "modelyard-test"}, "spec": spec}
    try:
        ask_api_server(f"/namespaces/{namespace}/approvals?dryRun=All", approval)
    except urllib.error.HTTPError as refusal:
        said = json.load(refusal)["message"]
        if "ValidatingAdmissionPolicy" in said:
            return f"admission policies are in force in {namespace}"
        raise LookupError(said) from refusal
    if os.environ.get("MODELYARD_POLICIES_SELECT"):
        return f"admission policies are not in force in {namespace}: admission.namespaceSelector decides where they are"
    raise LookupError(f"an Approval without the right to approve was accepted in {namespace}: no policy is in force")


def ask_api_server(path: str, body: object = None) -> bytes:
    """GET, or POST a body, below Modelyard's API, as this pod's account."""
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"https://kubernetes.default.svc/apis/{API}{path}", data, headers)
    trust = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
        found: bytes = answer.read()
    return found


def main() -> None:
    """Repeat each check for half a minute: Services follow pods with a delay, and the API server its policies."""
    deadline = time.monotonic() + 30
    for check in (check_ready, check_kinds, check_policies):
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
