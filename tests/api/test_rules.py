"""What the API server refuses at `kubectl apply`, with the operator down or not yet there, and what it says."""

import json
from typing import Any

import pytest

from modelyard.api.crd import CRD_FOLDERS, ROOT
from tests.api.broken import OBJECT_CASES, Broken, leaf_cases
from tests.api.conftest import Registry
from tests.api.manifests import EXTERNAL, FULL, Path, full, with_, without, written
from tests.kube import Kube

pytestmark = pytest.mark.api


def test_the_api_server_takes_the_definitions_as_they_are_shipped(cluster: Kube) -> None:
    for file in sorted((ROOT / CRD_FOLDERS[0]).glob("*.yaml")):
        cluster.run("apply", "--server-side", "--force-conflicts", "--dry-run=server", f"--filename={file}")


@pytest.mark.parametrize("kind", FULL)
def test_an_object_that_uses_every_field_is_stored_as_it_was_written(registry: Registry, kind: str) -> None:
    stored = registry.create(full(kind))
    assert stored["spec"] == FULL[kind]["spec"], "the API server added a default or dropped a field"


@pytest.mark.parametrize("broken", [pytest.param(case, id=case.id) for case in [*leaf_cases(), *OBJECT_CASES]])
def test_a_broken_rule_is_refused_with_the_field_and_what_to_do(judge: Registry, broken: Broken) -> None:
    refusal = judge.refusal(broken.manifest)
    assert broken.field in refusal
    assert broken.message in refusal


_STAGE: Path = ("spec", "stages", 0)
_ARTIFACT: Path = ("spec", "artifact")
_MANY_METRICS = {f"m{number}": number for number in range(501)}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        pytest.param("Model", ("spec",), {}, id="a model may say nothing"),
        pytest.param("Model", ("metadata", "name"), "a" * 40, id="a name of 40 characters"),
        pytest.param("Model", (*_STAGE, "version"), "2025-11-15.rc1", id="a version of dots and dashes"),
        pytest.param("Model", (*_STAGE, "gates", 0), {"name": "auc", "checks": ["true"]}, id="a gate without a job"),
        pytest.param("Model", ("spec", "serving", "keepWarm"), {"for": "0s"}, id="nothing is kept warm"),
        pytest.param(
            "Model",
            ("spec", "stages"),
            [
                {"name": "staging", "serving": {"serviceName": "other-production"}},
                {"name": "production", "serving": {"serviceName": "fraud-production"}},
            ],
            id="a Service called as another model's default, or as the stage's own",
        ),
        pytest.param("ModelVersion", (*_ARTIFACT, "uri"), "s3://models/fraud/7.onnx", id="one object"),
        pytest.param("ModelVersion", (*_ARTIFACT, "uri"), "s3://models/", id="a bucket as a whole"),
        pytest.param("ModelVersion", (*_ARTIFACT, "uri"), "s3://my.bucket-1/a b/ü+%20/", id="a key of any characters"),
        pytest.param("ModelVersion", _ARTIFACT, {"external": EXTERNAL}, id="hosted by a provider"),
        pytest.param("ModelVersion", ("spec", "stage"), "archived", id="archived may be asked for"),
        pytest.param("ModelVersion", (*_ARTIFACT, "files", 0, "path"), "..data/.hidden/a..b", id="dots in a path"),
    ],
)
def test_what_is_allowed(judge: Registry, kind: str, path: Path, value: Any) -> None:
    judge.kube.run("create", "--dry-run=server", "--filename=-", stdin=_text(judge, with_(full(kind), path, value)))


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        pytest.param("ModelVersion", (*_ARTIFACT, "uri"), uri, message, id=f"uri {uri!r}")
        for uri, message in {
            "models/fraud/7/": "this release reads artifacts from S3 only",
            "/mnt/models": "this release reads artifacts from S3 only",
            "S3://models/fraud/": "this release reads artifacts from S3 only",
            "https://models.s3.amazonaws.com/fraud/": "this release reads artifacts from S3 only",
            "hf://org/name": "this release reads artifacts from S3 only",
            "s3://": "an s3 URI names a bucket and a path in it",
            "s3:///fraud/": "an s3 URI names a bucket and a path in it",
            "s3://models//fraud/": "an s3 URI names a bucket and a path in it",
            "s3://Models/fraud/": "the bucket of an s3 URI is 3-63 lower-case letters",
            "s3://models/fraud\n/": "an s3 URI names a bucket and a path in it",
        }.items()
    ]
    + [
        pytest.param("ModelVersion", (*_ARTIFACT, "files", 0, "path"), path, message, id=f"path {path!r}")
        for path, message in {
            "/etc/passwd": "a path is relative",
            "../secret": "a path is relative",
            "a//b": "a path is relative",
            "a/./b": "a path is relative",
            "folder/": "a path is relative",
            "a\nb": "neither backslash nor line break",
        }.items()
    ]
    + [
        pytest.param("Model", (*_STAGE, "name"), name, message, id=f"stage {name!r}")
        for name, message in {
            "none": "a stage cannot be called",
            "archived": "a stage cannot be called",
            "scale": "a stage cannot be called",
            "finalizers": "a stage cannot be called",
            "1st": "a stage is 1-20",
            "pre-prod": "a stage is 1-20",
            "a" * 21: "spec.stages[0].name",
        }.items()
    ]
    + [
        pytest.param("ModelVersion", ("spec", "stage"), "none", "cannot be called none", id="asking for none by name"),
        pytest.param("ModelVersion", ("spec", "stage"), "", "leave it out to ask for none", id="asking for nothing"),
        pytest.param("Model", ("metadata", "name"), "7fraud", "begins with a letter", id="a name that begins with 7"),
        pytest.param("Model", ("metadata", "name"), "my.model", "a Model's name", id="a name with a dot"),
        pytest.param("Approval", ("spec", "decision"), "Maybe", "spec.decision", id="neither Approve nor Reject"),
        pytest.param("Model", ("spec", "consumers"), [{"name": "a"}] * 2, "Duplicate value", id="a consumer twice"),
        pytest.param("Model", ("spec", "stages"), [{"name": "prod"}] * 2, "Duplicate value", id="a stage twice"),
        pytest.param("Model", (*_STAGE, "gates"), [{"name": "g", "checks": ["1"]}] * 2, "Duplicate", id="a gate twice"),
        pytest.param("Model", ("spec", "stages"), [], "should have at least 1 items", id="no stage at all"),
        pytest.param("Model", ("spec", "stages"), [{"name": f"s{n}"} for n in range(17)], "Too many", id="17 stages"),
        pytest.param("Model", ("spec", "description"), "x" * 4097, "Too long", id="a description without end"),
        pytest.param("Model", ("spec", "serving", "port"), 70000, "less than or equal to 65535", id="port 70000"),
        pytest.param("Model", ("spec", "serving", "template", "spec"), {}, "containers", id="a pod without containers"),
        pytest.param("Model", ("spec", "serving", "rollout", "strategy"), "Canary", "BlueGreen", id="unknown strategy"),
        pytest.param("Model", ("spec", "srving"), {}, 'unknown field "spec.srving"', id="a field misspelt"),
        pytest.param("ModelVersion", ("spec", "metrics"), _MANY_METRICS, "Too many", id="501 metrics"),
        pytest.param("ModelVersion", ("spec", "metrics"), "good", "must be of type object", id="metrics in prose"),
    ],
)  # fmt: skip
def test_what_is_refused(judge: Registry, kind: str, path: Path, value: Any, message: str) -> None:
    assert message in judge.refusal(with_(full(kind), path, value))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param(kind, path, id=f"{kind} {written(path)}")
        for kind, path in [
            ("ModelVersion", ("spec", "model")),
            ("ModelVersion", ("spec", "version")),
            ("ModelVersion", ("spec", "artifact")),
            ("Approval", ("spec", "digest")),
            ("Approval", ("spec", "decision")),
            ("Rollback", ("spec", "model")),
            ("Rollback", ("spec", "stage")),
            ("Model", ("spec",)),
            ("Model", (*_STAGE, "approvals", "required")),
        ]
    ],
)
def test_what_has_to_be_there(judge: Registry, kind: str, path: Path) -> None:
    assert f"{written(path)}: Required value" in judge.refusal(without(full(kind), path))


def _text(judge: Registry, manifest: dict[str, Any]) -> str:
    return json.dumps(judge.of_group(manifest))
