"""What `make cluster` promises: names, Services, one S3 address, people, and repair of what died."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from dev.cluster import access, images, native, processes
from dev.cluster.places import ROOT, S3_ENV, SERVICE_RANGE

from tests.cluster.registry import ROUTED
from tests.kube import PODS_READY, Kube

pytestmark = pytest.mark.cluster

# Answers over HTTP, and is where we look at the cluster from: it finds itself by name through its Service
# (kube-proxy learns of a ready pod a moment after kubectl), and the store at the address that this machine uses.
PROBE = """
import socket, time, urllib.request, boto3
deadline = time.monotonic() + 10
while True:
    try:
        print(urllib.request.urlopen("http://probe.%s.svc:80/", timeout=5).status)
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))
store = boto3.client("s3")
store.put_object(Bucket="models", Key="cluster-tool/probe", Body=b"seen")
print(store.get_object(Bucket="models", Key="cluster-tool/probe")["Body"].read().decode())
"""


def settings() -> dict[str, str]:
    return dict(line.split("=", 1) for line in S3_ENV.read_text().splitlines())


@pytest.fixture
def probe() -> Iterator[Kube]:
    with Kube.connect().own_namespace("cluster-tool") as kube:
        run_probe(kube)
        yield kube


def run_probe(kube: Kube) -> None:
    labels = {"app": "probe"}
    container = {
        "name": "probe",
        "image": images.OPERATOR_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "http.server", "8000"],
        "workingDir": "/tmp",
        "env": [{"name": name, "value": value} for name, value in settings().items()],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }
    pod = {"metadata": {"name": "probe", "labels": labels}, "spec": {"containers": [container]}}
    service = {"metadata": {"name": "probe"}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]}}
    for kind, body in (("Pod", pod), ("Service", service)):
        kube.run("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": kind, **body}))
    kube.run("wait", "--for=condition=Ready", f"--timeout={PODS_READY.budget:.0f}s", "pod/probe")


def test_pods_reach_names_services_and_the_store(probe: Kube) -> None:
    printed = probe.run("exec", "probe", "--", "python3", "-c", PROBE % probe.namespace)

    assert printed.split() == ["200", probe_address(), "seen"]
    assert "GET / HTTP/1.1" in probe.run("logs", "probe")


@pytest.mark.skipif(not native.exists(), reason="another cluster's network is not ours")
def test_who_asked_for_a_service_too_early_is_answered_later_from_the_same_port(probe: Kube) -> None:
    """A connection that leads nowhere stays in the node's table for two minutes, with all later ones of its port."""
    address = f"{SERVICE_RANGE.rpartition('.')[0]}.{random.randint(20, 254)}"  # what a run before had may be known yet
    port = asked_from(0, address)
    assert port
    ports = [{"port": 80, "targetPort": 8000}]
    spec = {"clusterIP": address, "selector": {"app": "probe"}, "ports": ports}
    probe.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"}, "spec": spec})

    deadline = time.monotonic() + ROUTED.budget
    while asked_from(port, address):
        assert time.monotonic() < deadline, ROUTED.name
        time.sleep(0.1)


def asked_from(port: int, address: str) -> int:
    """Connect from one of this machine's ports (0: from any); 0 when that succeeds, else the port."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.settimeout(5)
        client.bind(("", port))
        try:
            client.connect((address, 80))
        except OSError:
            return int(client.getsockname()[1])
        return 0


def probe_address() -> str:
    return Kube.connect().within("default").run("get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}")


@pytest.mark.parametrize(("person", "groups"), access.PEOPLE.items(), ids=access.PEOPLE)
def test_people_are_who_they_should_be(person: str, groups: list[str]) -> None:
    kubeconfig = access.USERS / f"{person}.kubeconfig"
    kube = Kube(kubeconfig=kubeconfig, kubectl=Kube.connect().kubectl)

    who = json.loads(kube.run("auth", "whoami", "--output=json"))["status"]["userInfo"]

    assert who["username"] == person
    assert who["groups"] == [*groups, "system:authenticated"]


@pytest.mark.alone
@pytest.mark.skipif(not native.exists(), reason="only the native cluster is made of processes of ours")
def test_a_killed_process_is_back_after_make_cluster() -> None:
    before = processes._recorded("kube-proxy")["pid"]
    os.kill(before, signal.SIGKILL)

    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "dev.cluster", "up"], cwd=ROOT, check=True, capture_output=True)

    assert processes.running("kube-proxy")
    assert processes._recorded("kube-proxy")["pid"] != before
    assert time.monotonic() - start < 60  # a hang, not a budget
