"""`kubectl modelyard register`: a real API server, a real object store, a real MLflow tracking server."""

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.cli.mlflow import Server
from tests.api.conftest import Registry
from tests.api.plugin_world import Obj, model
from tests.plugin import Plugin, typed
from tests.store.conftest import Bucket, bucket, digest_of, gateway
from tests.store.gateway import Gateway
from tests.store.tracking import TrackingServer

pytestmark = pytest.mark.api
__all__ = ["bucket", "gateway"]

MLMODEL = """
flavors: {python_function: {}, sklearn: {sklearn_version: 1.7.2}}
run_id: 4c0ffee
signature: {inputs: '[{"name": "amount", "type": "double"}]'}
"""
FILES = {
    "MLmodel": MLMODEL.encode(),
    "requirements.txt": b"scikit-learn==1.7.2\n# why\n",
    "data/weights.bin": b"w" * 99,
}


@pytest.fixture
def plugin(registry: Registry, gateway: Gateway, bucket: Bucket, tmp_path: Path) -> Plugin:
    """The plugin of somebody who may write to the bucket."""
    registry.create(model())
    environment = {**gateway.env, "MODELYARD_UPLOAD_TO": bucket.uri("models")}
    return Plugin.install(registry.kube, tmp_path, registry.group, **environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model on the disk, as MLflow saves it."""
    return write(tmp_path / "model", FILES)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def spec_of(registry: Registry, name: str) -> Obj:
    spec: Obj = registry.get("ModelVersion", name)["spec"]
    return spec


def test_a_folder_is_hashed_uploaded_and_described(
    plugin: Plugin, registry: Registry, bucket: Bucket, folder: Path
) -> None:
    facts = [
        "--metric",
        "auc=0.91",
        "--param",
        "depth=6",
        "--dataset",
        "payments=s3://data/p/",
        "--base",
        "hf://org/x@1",
    ]
    done = plugin("register", "fraud", str(folder), "--stage", "staging", "--no-git", *facts).ok()
    assert done.out == "fraud-1\n"
    spec = spec_of(registry, "fraud-1")
    digest = digest_of(FILES)
    assert spec["artifact"]["digest"] == digest
    uri = spec["artifact"]["uri"]
    assert uri == bucket.uri(f"models/fraud/{digest.removeprefix('sha256:')[:32]}/")
    assert [entry["path"] for entry in spec["artifact"]["files"]] == sorted(FILES)
    stored = bucket.client.get_object(Bucket=bucket.name, Key=uri.removeprefix(bucket.uri()) + "data/weights.bin")
    assert stored["Body"].read() == FILES["data/weights.bin"]
    del spec["artifact"]
    assert spec == {
        "model": "fraud", "version": "1", "stage": "staging", "run": {"id": "4c0ffee"},
        "framework": {"name": "scikit-learn", "version": "1.7.2"},
        "inputSchema": {"columns": [{"name": "amount", "type": "double"}]},
        "dependencies": {"requirements": ["scikit-learn==1.7.2"]},
        "metrics": {"auc": 0.91}, "hyperparameters": {"depth": 6},
        "datasets": [{"name": "payments", "uri": "s3://data/p/"}], "baseModels": [{"ref": "hf://org/x@1"}],
    }  # fmt: skip


def test_the_same_bytes_of_the_same_run_are_one_version(plugin: Plugin, registry: Registry, folder: Path) -> None:
    plugin("register", "fraud", str(folder)).ok()
    again = plugin("register", "fraud", str(folder)).ok()
    assert again.out == "fraud-1\n"
    assert "registered already" in again.err
    assert plugin("register", "fraud", str(folder), "--run", "another").ok().out == "fraud-2\n"
    other = plugin("register", "fraud", str(folder), "--run", "third", "--version", "1")
    assert other.code == 1
    assert "fraud-1 exists and is something else" in other.err


def test_registering_at_the_same_time_takes_different_numbers(
    plugin: Plugin, registry: Registry, tmp_path: Path
) -> None:
    folders = [write(tmp_path / f"model-{number}", {"weights.bin": bytes([number])}) for number in range(3)]
    started = [plugin.start("register", "fraud", str(folder), "--no-git") for folder in folders]
    printed = [process.communicate() for process in started]
    assert sorted(out for out, _ in printed) == ["fraud-1\n", "fraud-2\n", "fraud-3\n"], printed


def test_an_upload_that_broke_off_goes_on_there(plugin: Plugin, bucket: Bucket, folder: Path) -> None:
    prefix = f"models/fraud/{digest_of(FILES).removeprefix('sha256:')[:32]}/"
    for path, mark in (("MLmodel", hashlib.sha256(FILES["MLmodel"]).hexdigest()), ("requirements.txt", "other")):
        bucket.client.put_object(
            Bucket=bucket.name, Key=prefix + path, Body=FILES[path], Metadata={"modelyard-sha256": mark}
        )
    assert "uploaded 2 of 3 files" in plugin("register", "fraud", str(folder)).ok().err


def test_a_folder_in_the_store_is_registered_where_it_is(plugin: Plugin, registry: Registry, bucket: Bucket) -> None:
    bucket.put(FILES, "mine/")
    plugin("register", "fraud", bucket.uri("mine/"), "--no-git").ok()
    artifact = spec_of(registry, "fraud-1")["artifact"]
    assert (artifact["uri"], artifact["digest"]) == (bucket.uri("mine/"), digest_of(FILES))


def test_a_manifest_for_git(plugin: Plugin, registry: Registry, folder: Path) -> None:
    text = plugin("register", "fraud", str(folder), "--print").ok().out
    assert registry.kube.find(registry.resource("ModelVersion"), "fraud-1") is None
    registry.kube.apply(text)
    assert spec_of(registry, "fraud-1")["artifact"]["digest"] == digest_of(FILES)


def test_the_commit_that_is_checked_out_is_recorded(
    plugin: Plugin, registry: Registry, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    git = ["git", "-C", str(checkout), "-c", "user.email=alice@example.com", "-c", "user.name=Alice"]
    subprocess.run(["git", "init", "--quiet", str(checkout)], check=True)
    subprocess.run([*git, "config", "user.email", "alice@example.com"], check=True)
    (checkout / "train.py").write_text("pass\n")
    subprocess.run([*git, "add", "train.py"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=Train"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://alice:secret@git.example.com/risk"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.chdir(checkout)
    plugin("register", "fraud", str(folder)).ok()
    spec = spec_of(registry, "fraud-1")
    assert spec["source"] == {"repository": "https://git.example.com/risk", "revision": commit}
    assert spec["author"] == "alice@example.com"
    (checkout / "train.py").write_text("other\n")
    plugin("register", "fraud", str(folder), "--run", "two").ok()
    assert spec_of(registry, "fraud-2")["source"]["revision"] == f"{commit}-dirty"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["fraud"], 2, "name the artifact"),
        (["fraud", "/nowhere/at/all"], 1, "there is no such file"),
        (["other", "."], 3, "there is no Model 'other'"),
        (["fraud", ".", "--stage", "test"], 3, "has no stage 'test'"),
        (["fraud", ".", "--metric", "auc=high"], 2, "'high' is no number"),
        (["fraud", "--from", "models:/fraud@x", "--tracking-uri", "http://127.0.0.1:9"], 1, "--tracking-uri"),
    ],
)
def test_what_cannot_be_registered(plugin: Plugin, words: list[str], code: int, says: str) -> None:
    done = plugin("register", *words)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_wrong_credentials_of_the_store(plugin: Plugin, folder: Path) -> None:
    other = replace(plugin, environment={**plugin.environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
    done = other("register", "fraud", str(folder))
    assert done.code == 1
    assert "CredentialsInvalid: upload MLmodel" in done.err
    assert "your own environment" in done.err


# MLflow


@pytest.fixture(scope="module")
def tracking(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """A tracking server that keeps its models in the object store."""
    gateway.client().create_bucket(Bucket="mlflow-models")
    server = TrackingServer(tmp_path_factory.mktemp("mlflow"), gateway, "mlflow-models")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trained(tracking: TrackingServer) -> dict[str, Any]:
    """A model that a training script has logged there, under the alias `champion`."""
    return tracking.log_model("fraud", "champion")


@pytest.mark.parametrize(
    "form", ["runs:/{run}/model", "models:/fraud@champion", "models:/fraud/1", "models:/{model_id}"]
)
def test_every_way_to_name_a_model_leads_to_its_files(
    tracking: TrackingServer, trained: dict[str, Any], form: str
) -> None:
    found = Server(tracking.address).find(form.format(**trained))
    assert found.uri.startswith("s3://mlflow-models/mlflow/")
    keys = tracking.gateway.client().list_objects_v2(
        Bucket="mlflow-models", Prefix=found.uri.removeprefix("s3://mlflow-models/")
    )
    assert any(entry["Key"].endswith("/MLmodel") for entry in keys["Contents"])
    assert found.fields["run"]["id"] == trained["run"]


def test_from_mlflow_copies_what_it_knows(
    plugin: Plugin, registry: Registry, tracking: TrackingServer, trained: dict[str, Any]
) -> None:
    from_ = ["--from", "models:/fraud@champion", "--tracking-uri", tracking.address]
    assert plugin("register", "fraud", *from_).ok().out == "fraud-1\n"
    spec = spec_of(registry, "fraud-1")
    assert spec["run"] | {"uri": ""} == {"id": trained["run"], "experiment": "fraud", "uri": ""}
    assert spec["hyperparameters"] == {"C": "0.5", "solver": "lbfgs"}
    assert spec["metrics"] == {"auc": 0.91}
    (data,) = spec["datasets"]
    assert (data["name"], data["context"]) == ("payments", "training")
    assert spec["source"]["revision"] == "3f2a9c1"
    assert spec["framework"]["name"] == "scikit-learn"
    assert spec["artifact"]["uri"].endswith("/")
    assert plugin("register", "fraud", *from_).ok().out == "fraud-1\n"


def test_a_name_that_mlflow_does_not_know(plugin: Plugin, tracking: TrackingServer, trained: dict[str, Any]) -> None:
    done = plugin("register", "fraud", "--from", "models:/fraud@nobody", "--tracking-uri", tracking.address)
    assert done.code == 1
    assert "alias nobody not found" in done.err


def test_the_manifest_names_no_alias(
    plugin: Plugin, registry: Registry, tracking: TrackingServer, trained: dict[str, Any]
) -> None:
    from_ = ["--from", "models:/fraud@champion", "--tracking-uri", tracking.address, "--print"]
    manifest = yaml.safe_load(plugin("register", "fraud", *from_).ok().out)
    assert trained["model_id"] in manifest["spec"]["artifact"]["uri"]


def test_the_command_of_the_page(
    plugin: Plugin, tracking: TrackingServer, trained: dict[str, Any], tmp_path: Path
) -> None:
    (line,) = typed("From MLflow")
    done = plugin.type(line, tmp_path, MLFLOW_TRACKING_URI=tracking.address).ok()
    assert done.out == "fraud-1\n"
