"""`modelyard fetch` as a person runs it: their kubeconfig, their storage credentials, a real store.

The API server is a few lines of HTTP that answer with stored objects.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.cli.main import main
from tests.store.conftest import Bucket, digest_of
from tests.store.gateway import Gateway

FILES = {"MLmodel": b"flavors: {sklearn: {}}\n", "data/weights.bin": b"weights"}
CUSTOM = "/apis/modelyard.dev/v1alpha1/namespaces/risk"


class Cluster:
    """Objects by their path, served over HTTP."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        objects = self.objects

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = objects.get(self.path)
                body = json.dumps(found or {"kind": "Status", "code": 404}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def kubeconfig(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "risk"}}],
        }


@pytest.fixture
def cluster(gateway: Gateway, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A Model whose version 7 is in production, with its bytes in the store."""
    bucket.put(FILES, "fraud/7/")
    server = Cluster()
    storage = {"endpoint": gateway.endpoint, "region": "us-east-1", "forcePathStyle": True}
    server.objects[f"{CUSTOM}/models/fraud"] = {
        "metadata": {"name": "fraud", "namespace": "risk"},
        "spec": {"storage": storage},
        "status": {"stages": [{"name": "production", "current": {"version": "7", "digest": digest_of(FILES)}}]},
    }
    server.objects[f"{CUSTOM}/modelversions/fraud-7"] = {
        "metadata": {"name": "fraud-7", "namespace": "risk"},
        "spec": {"artifact": {"uri": bucket.uri("fraud/7/")}},
        "status": {"digest": digest_of(FILES)},
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(server.kubeconfig()))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, gateway.env[name])
    thread = threading.Thread(target=server.server.serve_forever)
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()
    thread.join()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", ["risk/fraud@production", "risk/fraud:7", "fraud@production"])
def test_fetch(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    assert main(["fetch", what, str(tmp_path / "here" / "models")]) == 0
    assert tree(tmp_path / "here" / "models") == FILES
    assert capsys.readouterr().out == digest_of(FILES) + "\n"


def test_a_deleted_version_is_found_through_its_stage(cluster: Cluster, bucket: Bucket, tmp_path: Path) -> None:
    del cluster.objects[f"{CUSTOM}/modelversions/fraud-7"]
    cluster.objects["/api/v1/namespaces/risk/configmaps/fraud-production"] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "fraud-production"},
        "data": {"version": "7", "digest": digest_of(FILES), "uri": bucket.uri("fraud/7/")},
    }
    assert main(["fetch", "risk/fraud@production", str(tmp_path / "models")]) == 0
    assert tree(tmp_path / "models") == FILES


def test_other_bytes_are_refused(cluster: Cluster, bucket: Bucket, tmp_path: Path, capsys: Any) -> None:
    bucket.put({"MLmodel": b"altered"}, "fraud/7/")
    assert main(["fetch", "risk/fraud:7", str(tmp_path / "models")]) == 1
    assert "DigestMismatch" in capsys.readouterr().err
    assert tree(tmp_path / "models") == {}


def test_wrong_credentials_of_the_caller(cluster: Cluster, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert main(["fetch", "risk/fraud:7", str(tmp_path / "models")]) == 1
    assert "CredentialsInvalid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("risk/other@production", "there is no Model 'other' in namespace 'risk'"),
        ("risk/fraud@staging", "no version carries this stage"),
        ("risk/fraud@test", "has no stage 'test'; it has staging, production"),
        ("risk/fraud:8", "there is no ModelVersion 'fraud-8'"),
    ],
)
def test_what_the_cluster_does_not_have(cluster: Cluster, tmp_path: Path, capsys: Any, what: str, says: str) -> None:
    assert main(["fetch", what, str(tmp_path / "models")]) == 3
    assert says in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_version_that_is_not_verified(cluster: Cluster, tmp_path: Path, capsys: Any) -> None:
    cluster.objects[f"{CUSTOM}/modelversions/fraud-7"]["status"] = {"verification": {"message": "the store is down"}}
    assert main(["fetch", "risk/fraud:7", str(tmp_path / "models")]) == 1
    assert "the store is down" in capsys.readouterr().err


def test_a_cluster_that_is_down(cluster: Cluster, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    broken = cluster.kubeconfig()
    broken["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(broken))
    assert main(["fetch", "risk/fraud:7", str(tmp_path / "models")]) == 1
    assert "is the cluster running" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["fraud", "a/b/c@d", "fraud@a:b", "@x", "risk/fraud@"])
def test_a_name_that_is_none(tmp_path: Path, capsys: Any, what: str) -> None:
    assert main(["fetch", what, str(tmp_path / "models")]) == 2
    assert "MODEL@STAGE" in capsys.readouterr().err


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    assert main(["fetch", "risk/fraud:7", str(tmp_path)]) == 2
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_digest_of_a_uri(gateway: Gateway, bucket: Bucket, monkeypatch: Any, capsys: Any) -> None:
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)
    bucket.put(FILES, "m/")
    assert main(["digest", bucket.uri("m/")]) == 0
    assert capsys.readouterr().out == digest_of(FILES) + "\n"


def test_usage_is_exit_code_2(capsys: Any) -> None:
    assert main(["nonsense"]) == 2
    assert "No such command 'nonsense'" in capsys.readouterr().err
