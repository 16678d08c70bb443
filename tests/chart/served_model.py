"""A small model that serves, as a user would write it, and what must not change about it. Used by test_install.py."""

import os
from pathlib import Path
from typing import Any

import boto3

from tests.checkout import CLUSTER_DIR
from tests.kube import PODS_READY, Kube, has_condition

from .release import IMAGE

BUCKET = "chart-test"

_RESTRICTED = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def store() -> dict[str, str]:
    """The settings of the cluster's object store."""
    path = Path(os.environ.get("MODELYARD_S3_ENV", CLUSTER_DIR / "s3.env"))
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def serve(kube: Kube) -> None:
    """Register a small model and wait until its first version answers requests."""
    settings = store()
    s3 = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        region_name=settings["AWS_REGION"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="fraud/1/model.json", Body=b'{"answer": 42}')
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "modelyard-storage"},
            "stringData": settings,
        }
    )
    kube.apply(model())
    kube.apply(version("1", f"s3://{BUCKET}/fraud/1/", stage="production"))
    kube.wait("model", "fraud", has_condition("Ready", "True"), PODS_READY)


def model() -> dict[str, Any]:
    """A Model whose server hands out the artifact's files."""
    server = {
        "name": "server",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "http.server", "8080", "--directory", "/mnt/models"],
        "readinessProbe": {"httpGet": {"path": "/model.json", "port": 8080}, "periodSeconds": 1},
        "securityContext": _CONTAINED,
    }
    # As process 1 it ignores the signal to stop; the default grace period is half a minute of waiting.
    pod = {"securityContext": _RESTRICTED, "terminationGracePeriodSeconds": 10, "containers": [server]}
    return {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "fraud"},
        "spec": {
            "stages": [{"name": "production", "serving": {"replicas": 1}}],
            "storage": {"forcePathStyle": True},
            "serving": {
                "port": 8080,
                "template": {"spec": pod},
            },
        },
    }


def version(number: str, uri: str, **spec: Any) -> dict[str, Any]:
    """One version of that Model."""
    return {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"fraud-{number}"},
        "spec": {"model": "fraud", "version": number, "artifact": {"uri": uri}, **spec},
    }


def serving(kube: Kube) -> dict[str, Any]:
    """What must not change: each pod and its restarts, each Deployment's and Service's spec."""
    mine = "modelyard.dev/model=fraud,modelyard.dev/stage=production"
    pods = kube.items("pods", mine)
    assert pods, "nothing serves"
    return {
        "pods": {pod["metadata"]["uid"]: restarts(pod) for pod in pods},
        "deployments": {each["metadata"]["uid"]: each["spec"] for each in kube.items("deployments", mine)},
        "services": {each["metadata"]["uid"]: each["spec"] for each in kube.items("services", mine)},
    }


def restarts(pod: dict[str, Any]) -> int:
    """How often the containers of a pod were started again."""
    return sum(container["restartCount"] for container in pod["status"]["containerStatuses"])
