"""What is found out about an artifact by itself; strange files say nothing, and never break a registration."""

import json
from typing import Any

import pytest

from modelyard.cli.errors import UsageError
from modelyard.cli.mlflow import Server, fields_of
from modelyard.cli.origin import SCHEMA_LIMIT, from_config, from_mlmodel, requirements
from modelyard.cli.registering import FILES_LIMIT, described_as
from modelyard.cli.uploading import destination
from modelyard.storage.digest import FileDigest

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("flavors", "framework"),
    [
        ("{python_function: {}, sklearn: {sklearn_version: 1.7.2}}", {"name": "scikit-learn", "version": "1.7.2"}),
        ("{xgboost: {xgb_version: '3.0'}}", {"name": "xgboost", "version": "3.0"}),
        ("{python_function: {}, mine: {}}", {"name": "mine"}),
        ("{sklearn: null}", {"name": "scikit-learn"}),
    ],
)
def test_the_framework_of_an_mlmodel(flavors: str, framework: Obj) -> None:
    assert from_mlmodel(f"flavors: {flavors}")["framework"] == framework


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "flavors: 7", "flavors: {python_function: {}}", "signature: x", "signature: {inputs: '{'}",
        f"signature: {{inputs: '{json.dumps(['x' * SCHEMA_LIMIT])}'}}",
    ],
)  # fmt: skip
def test_an_mlmodel_that_says_nothing(text: str) -> None:
    assert from_mlmodel(text) == {}


def test_a_hugging_face_config() -> None:
    assert from_config('{"transformers_version": "4.50"}') == {"framework": {"name": "transformers", "version": "4.50"}}
    assert from_config("[]") == from_config("{") == from_config("{}") == {}


def test_requirements_without_options_and_comments() -> None:
    text = "# why\n--index-url https://x\nnumpy==2.0  # fast\n\n-r other.txt\npandas>=2\n" + "x" * 513
    assert requirements(text) == ["numpy==2.0", "pandas>=2"]


def test_what_is_said_first_holds_and_maps_are_merged() -> None:
    options = {"stage": None, "metrics": {"auc": 0.9}, "run": None, "datasets": []}
    tracked = {"metrics": {"auc": 0.8, "loss": 0.1}, "run": {"id": "a", "uri": "u"}, "author": "alice"}
    files = {"run": {"id": "b"}, "author": "git"}
    spec = described_as([options, tracked, files], "fraud", "s3://m/", "sha256:1", [FileDigest("a", 1, "00")])
    assert spec == {
        "model": "fraud", "metrics": {"auc": 0.9, "loss": 0.1}, "run": {"id": "a", "uri": "u"}, "author": "alice",
        "artifact": {"uri": "s3://m/", "digest": "sha256:1", "files": [{"path": "a", "sha256": "00", "size": 1}]},
    }  # fmt: skip


def test_very_many_files_are_declared_by_their_digest_alone() -> None:
    files = [FileDigest(str(number), 1, "00") for number in range(FILES_LIMIT + 1)]
    assert described_as([], "fraud", "s3://m/", "sha256:1", files)["artifact"] == {
        "uri": "s3://m/",
        "digest": "sha256:1",
    }


def test_where_files_are_uploaded_to() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    folder = destination("s3://models/a", "fraud", digest, folder=True, name="x")
    assert folder.uri == "s3://models/a/fraud/0123456789abcdef0123456789abcdef/"
    assert destination("s3://models", "fraud", digest, folder=False, name="m.onnx").uri == (
        "s3://models/fraud/0123456789abcdef0123456789abcdef/m.onnx"
    )
    with pytest.raises(UsageError, match="uploaded to S3"):
        destination("gs://models", "fraud", digest, folder=True, name="x")


def test_a_run_of_mlflow() -> None:
    source = {"dataset": {"name": "d", "digest": "1", "source": '{"path": "s3://d"}'}, "tags": []}
    run: Obj = {
        "info": {"run_id": "r", "experiment_id": "1", "user_id": "bob"},
        "data": {
            "metrics": [
                {"key": "auc", "value": 0.9},
                {"key": "bad", "value": "NaN"},
                {"key": "inf", "value": "Infinity"},
            ]
        },
        "inputs": {"dataset_inputs": [source]},
    }
    assert fields_of(run, "exp") == {
        "run": {"id": "r", "experiment": "exp"}, "metrics": {"auc": 0.9}, "author": "bob",
        "datasets": [{"name": "d", "digest": "1", "uri": "s3://d"}],
    }  # fmt: skip


@pytest.mark.parametrize("address", ["", "sqlite:///x.db", "./mlruns"])
def test_a_tracking_uri_that_is_no_server(address: str) -> None:
    with pytest.raises(UsageError, match="--tracking-uri"):
        Server(address)


@pytest.mark.parametrize("reference", ["fraud", "models:/fraud", "runs:/abc", "models:/fraud/Production"])
def test_what_mlflow_cannot_be_asked_for(reference: str) -> None:
    with pytest.raises(UsageError, match="no MLflow model"):
        Server("http://127.0.0.1:9").find(reference)
