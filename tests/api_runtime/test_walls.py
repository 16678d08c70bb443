"""Namespaces are walls, and what tenants write leads the operator nowhere: the shipped process on a real API server.

The Models here have no server and versions of outside providers, so stages move without pods.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.api_runtime.conftest import Process
from tests.api_runtime.watched_operator import NOTES
from tests.checkout import find_kubeconfig
from tests.kube import Kube, Obj
from tests.store.gateway import Gateway

pytestmark = pytest.mark.api

Start = Callable[..., Process]
BUCKET = "ledger"
NOISE = 150
PLANTED = "PLANTED-a8f3"
"""What must be found nowhere but where it was written."""


class Tenant:
    """A namespace, as one of its users sees it."""

    def __init__(self, here: Kube, group: str) -> None:
        self.here = here
        self.group = group

    def manifest(self, kind: str, name: str, spec: Obj, **metadata: Any) -> Obj:
        metadata = {"name": name, "namespace": self.here.namespace, **metadata}
        return {"apiVersion": f"{self.group}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    def model(self, name: str, **spec: Any) -> Obj:
        return self.manifest("Model", name, {"stages": [{"name": "production"}], **spec})

    def version(self, model: str, version: str, **spec: Any) -> Obj:
        external = {"provider": "openai", "model": model, "revision": version}
        spec = {"model": model, "version": version, "stage": "production", "artifact": {"external": external}, **spec}
        return self.manifest("ModelVersion", f"{model}-{version}", spec)

    def create(self, *manifests: Obj) -> None:
        self.here.create(yaml.safe_dump_all(manifests))

    def serves(self, model: str, version: str) -> Obj:
        def holds(found: Obj) -> bool:
            stages = found.get("status", {}).get("stages", [])
            return any(stage.get("current", {}).get("version") == version for stage in stages)

        return self.here.wait(f"models.{self.group}", model, holds, what=f"{model} serves version {version}")

    def is_serving(self, model: str, version: str) -> None:
        def holds(found: Obj) -> bool:
            return bool(found.get("status", {}).get("request", {}).get("step") == "Serving")

        self.here.wait(f"modelversions.{self.group}", f"{model}-{version}", holds, what="it is Serving")

    def has_jobs(self, *names: str) -> bool:
        jobs = [job["metadata"]["name"] for job in self.here.items("jobs")]
        return all(any(job.startswith(name) for job in jobs) for name in names)

    def status(self, kind: str, name: str) -> Obj:
        found: Obj = self.here.get(f"{kind}.{self.group}", name)
        return found


@pytest.fixture
def alice(here: Kube, group: str) -> Tenant:
    """A tenant who does nothing wrong."""
    return Tenant(here, group)


@pytest.fixture
def mallory(kube: Kube, group: str) -> Iterator[Tenant]:
    """A tenant next door, in a namespace that comes before in every list."""
    with kube.own_namespace("a-neighbour") as here:
        yield Tenant(here, group)


def both(alice: Tenant, mallory: Tenant) -> list[str | None]:
    return [mallory.here.namespace, alice.here.namespace]


def lines(process: Process) -> list[Obj]:
    return [json.loads(line) for line in process.log.read_text().splitlines()]


# -- neighbours --------------------------------------------------------------------------------------------------------


def test_a_busy_neighbour_is_not_waited_for(alice: Tenant, mallory: Tenant, operator: Start) -> None:
    """Everything waits when the operator starts: 150 Models next door, each with a bad version, and one here."""
    demanding = {"artifactPolicy": {"requireDeclaredFiles": True}}
    nowhere = {"uri": "s3://nowhere/at/all"}
    names = [f"noise-{number}" for number in range(NOISE)]
    mallory.create(*(mallory.model(name, **demanding) for name in names))
    mallory.create(*(mallory.version(name, "1", artifact=nowhere) for name in names))
    alice.create(alice.model("fraud"), alice.version("fraud", "1"))
    process = operator(program="real_operator", watchNamespaces=both(alice, mallory))
    alice.serves("fraud", "1")
    process.until(lambda: process.metric("modelyard_queue_depth") == 0, "everything was looked at", within=120)

    told = [line for line in lines(process) if line["message"] == "event published"]
    mine = [at for at, line in enumerate(told) if line["namespace"] == alice.here.namespace]
    noise = [at for at, line in enumerate(told) if line["namespace"] == mallory.here.namespace]
    assert len(noise) >= NOISE
    first = sum(at < mine[-1] for at in noise)
    assert first < len(noise) / 3, f"{first} of {len(noise)} Events of the neighbour came first"


def test_nothing_next_door_is_read_or_moved(alice: Tenant, mallory: Tenant, operator: Start) -> None:
    """Objects that claim to belong to the Model of another namespace, by name, labels, owner and state."""
    alice.create(alice.model("fraud"), alice.version("fraud", "1"))
    operator(program="real_operator", watchNamespaces=both(alice, mallory))
    alice.is_serving("fraud", "1")  # it is said after all else was written
    before = alice.status("models", "fraud")

    reject = {"version": "2", "digest": f"sha256:{'0' * 64}", "decision": "Reject"}
    where = {"model": "fraud", "stage": "production"}
    mallory.create(
        *forgeries(alice, before, mallory.here.namespace),
        mallory.version("fraud", "2"),
        mallory.manifest("Rollback", "back", {**where, "toVersion": "2", "reason": "INC-1"}),
        mallory.manifest("Approval", "no", {**where, **reject}),
    )
    mallory.create(mallory.model("mine"), mallory.version("mine", "1"))
    mallory.serves("mine", "1")  # by then all of it was seen
    assert "digest" not in mallory.status("modelversions", "fraud-2").get("status", {})
    assert mallory.status("rollbacks", "back").get("status", {}).get("outcome") != "Applied"

    after = alice.status("models", "fraud")
    assert after["status"]["stages"] == before["status"]["stages"]
    assert alice.here.get("configmap", "fraud-production")["data"]["version"] == "1"
    assert alice.status("modelversions", "fraud-1")["status"]["stages"][0]["name"] == "production"
    assert not alice.here.items("jobs")


def forgeries(alice: Tenant, model: Obj, namespace: str | None) -> Iterator[Obj]:
    """What the operator would have made for a Model, made by somebody else in another namespace."""
    ours = alice.here.get("configmap", "fraud-production")
    owner = {**ours["metadata"]["ownerReferences"][0], "uid": model["metadata"]["uid"]}
    state = {name: value.replace('"1"', '"2"') for name, value in ours["metadata"]["annotations"].items()}
    metadata = {
        "name": "fraud-production",
        "namespace": namespace,
        "labels": ours["metadata"]["labels"],
        "annotations": {**state, f"{alice.group}/sequence": "99"},
        "ownerReferences": [owner],
    }
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"version": "2"}}
    ports = {"selector": {"app": "mallory"}, "ports": [{"port": 8080}]}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports}
    labels = {**ours["metadata"]["labels"], f"{alice.group}/job": "verify"}
    container = {"name": "verify", "image": "example.invalid/none"}
    spec = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    forged = {**metadata, "name": "fraud-verify-0123456789", "labels": labels}
    yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": forged, "spec": spec}


# -- what tenants write ------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The operator's own store, with its credentials in the operator's environment."""
    (tmp_path / "store").mkdir()
    gateway = Gateway(tmp_path / "store")
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)
    gateway.start()
    gateway.client().create_bucket(Bucket=BUCKET)
    yield gateway
    gateway.stop()


@pytest.fixture
def trap() -> Iterator[tuple[str, list[Any]]]:
    """An address, and who came to it."""
    came: list[Any] = []
    server = socket.create_server(("127.0.0.1", 0))

    def welcome() -> None:
        while True:
            try:
                connection, peer = server.accept()
            except OSError:
                return
            came.append(peer)
            connection.close()

    threading.Thread(target=welcome, daemon=True).start()
    yield f"127.0.0.1:{server.getsockname()[1]}", came
    server.close()


def talkative(tenant: Tenant, host: str) -> list[Obj]:
    """A Model and versions with URLs wherever there may be one, and secrets wherever people put them."""
    url = f"http://{host}/{{}}"
    env = [{"name": "TOKEN", "value": PLANTED}]
    container = {"name": "server", "image": f"{host}/none", "env": env}
    told = {
        "card": {"uri": url.format("card")},
        "storage": {"endpoint": url.format(""), "secretRef": {"name": "storage"}},
    }
    lineage = {
        "source": {"repository": url.format("code"), "revision": "abc"},
        "run": {"id": "1", "uri": url.format("run")},
        "datasets": [{"name": "payments", "uri": url.format("data")}],
        "baseModels": [{"ref": url.format("base"), "relation": "finetune"}],
    }
    wrong = {**container, "env": [{**env[0], "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}
    pods = {"template": {"spec": {"containers": [container]}}}
    gate = {"name": "slices", "job": pods, "checks": ["candidate.auc > 0"]}
    secret = {"AWS_ACCESS_KEY_ID": f"{PLANTED}-id", "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-key"}
    where = {"name": "storage", "namespace": tenant.here.namespace}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": where, "stringData": secret},
        tenant.model("fraud", **told),
        tenant.version("fraud", "1", **lineage),
        tenant.version("fraud", "2", **lineage, artifact={"uri": "s3://bucket/m/"}),
        tenant.model("served", **told, serving=pods),
        tenant.version("served", "1", serving={"env": env}),
        tenant.model("refused", serving={"template": {"spec": {"containers": [wrong]}}}),
        tenant.version("refused", "1"),
        tenant.model("gated", stages=[{"name": "production", "gates": [gate]}]),
        tenant.version("gated", "1"),
    ]


def test_urls_of_tenants_are_not_opened_and_their_secrets_not_told(
    alice: Tenant, operator: Start, ledger: Gateway, trap: tuple[str, list[Any]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The process turns to the API server and to its own ledger, and repeats no secret that it comes across."""
    host, came = trap
    notes = tmp_path / "connections"
    monkeypatch.setenv(NOTES, str(notes))
    alice.create(*talkative(alice, host))
    process = operator(
        program="watched_operator",
        logLevel="debug",
        clusterName="test",
        ledger={
            "url": f"s3://{BUCKET}/yard",
            "endpoint": ledger.endpoint,
            "region": "us-east-1",
            "forcePathStyle": True,
        },
    )
    process.until_leading()
    alice.serves("fraud", "1")
    process.until(lambda: alice.has_jobs("fraud-verify", "gated-gate"), "both Jobs")
    process.until(lambda: alice.here.items("deployments"), "a Deployment")
    process.until(lambda: "is invalid" in process.log.read_text(), "a refusal")
    process.until(lambda: b"Promoted" in recorded(ledger), "a record")
    alice.here.told("fraud", "VersionPromoted")
    process.stop()

    servers = {urlsplit(yaml.safe_load(find_kubeconfig().read_text())["clusters"][0]["cluster"]["server"]).netloc}
    servers.add(f"127.0.0.1:{ledger.port}")
    assert came == []
    noted = notes.read_text().splitlines()
    assert {line for line in noted if not leads_to(line, servers)} == set()
    assert {server for server in servers if any(leads_to(line, {server}) for line in noted)} == servers

    told = {
        "log": process.log.read_text(),
        "events": json.dumps(alice.here.items("events")),
        "ledger": recorded(ledger).decode(),
        "configmaps": json.dumps(alice.here.items("configmaps")),
        **{
            kind: json.dumps([found.get("status") for found in alice.here.items(f"{kind}.{alice.group}")])
            for kind in ("models", "modelversions", "approvals", "rollbacks")
        },
    }
    assert {name for name, text in told.items() if PLANTED in text} == set()
    assert {name for name, text in told.items() if ledger.env["AWS_SECRET_ACCESS_KEY"] in text} == set()
    assert "fraud" in told["ledger"]  # it was written, and looked at
    assert "VersionPromoted" in told["events"]


def recorded(ledger: Gateway) -> bytes:
    """Every byte of the ledger."""
    return b"".join(path.read_bytes() for path in (ledger.folder / "data" / BUCKET).rglob("*") if path.is_file())


def leads_to(note: str, servers: set[str]) -> bool:
    """Whether a note of the watched process is of one of these servers."""
    event, _, where = note.partition(" ")
    if event == "socket.getaddrinfo":
        return where.strip("'\"b") in {server.partition(":")[0] for server in servers} | {"0.0.0.0", "None"}
    address = where.strip("()").split(", ")
    return f"{address[0].strip(chr(39))}:{address[1]}" in servers if len(address) > 1 else False
