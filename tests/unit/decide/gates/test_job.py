"""The Job of a gate: the user's pod with both models in it, told what it evaluates, and safe by default."""

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard.decide import templates
from modelyard.decide.gates import job
from tests.unit.decide.gates.attempts import CANDIDATE, INCUMBENT, TEMPLATE, build, gate, world


def pod_of(made: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = made["spec"]["template"]["spec"]
    return spec


def environment(made: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod_of(made)["containers"][0]["env"]}


def test_the_whole_job() -> None:
    made = build(world(storage={"secretRef": {"name": "models-s3"}, "serviceAccountName": "reader"}))
    labels = {
        "team": "platform",
        "app.kubernetes.io/name": "fraud",
        "app.kubernetes.io/instance": "fraud-production",
        "app.kubernetes.io/part-of": "modelyard",
        "app.kubernetes.io/managed-by": "modelyard",
        "modelyard.dev/model": "fraud",
        "modelyard.dev/stage": "production",
        "modelyard.dev/version": "7",
        "modelyard.dev/job": "gate",
        "modelyard.dev/gate": "slices",
    }
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Model", "uid-model")
    assert made["metadata"]["labels"] == labels
    spec = made["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 1815)
    assert "ttlSecondsAfterFinished" not in spec, "it stays until its answer is on record"
    template = spec["template"]
    assert template["metadata"]["labels"] == labels
    assert template["spec"]["containers"] == [
        {
            "name": "evaluate",
            "image": "example",
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "env": [
                {"name": "MODELYARD_MODEL", "value": "fraud"},
                {"name": "MODELYARD_VERSION", "value": "7"},
                {"name": "MODELYARD_DIGEST", "value": "sha256:c"},
                {"name": "MODELYARD_STAGE", "value": "production"},
                {"name": "MODELYARD_ENDPOINT", "value": ""},
                {"name": "MODELYARD_INCUMBENT_VERSION", "value": "6"},
                {"name": "MODELYARD_INCUMBENT_DIGEST", "value": "sha256:i"},
            ],
            "volumeMounts": [
                {"name": "modelyard-candidate", "mountPath": "/mnt/models/candidate", "readOnly": True},
                {"name": "modelyard-incumbent", "mountPath": "/mnt/models/incumbent", "readOnly": True},
            ],
        }
    ]
    assert template["spec"]["restartPolicy"] == "Never"
    assert template["spec"]["automountServiceAccountToken"] is False
    assert template["spec"]["serviceAccountName"] == "reader"
    assert template["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_each_model_is_fetched_with_the_models_own_credentials() -> None:
    made = build(world(storage={"secretRef": {"name": "models-s3"}, "region": "eu-1"}))
    fetches = pod_of(made)["initContainers"]
    assert [fetch["command"][3:] for fetch in fetches] == [
        ["modelyard.pods.fetch", "/mnt/models/candidate"],
        ["modelyard.pods.fetch", "/mnt/models/incumbent"],
    ]
    tasks = {item["path"]: item["fieldRef"]["fieldPath"] for v in pod_of(made)["volumes"] if "downwardAPI" in v
             for item in v["downwardAPI"]["items"]}  # fmt: skip
    annotations = made["spec"]["template"]["metadata"]["annotations"]
    seen = {}
    for fetch in fetches:
        env = {entry["name"]: entry["value"] for entry in fetch["env"]}
        assert fetch["envFrom"] == [{"secretRef": {"name": "models-s3"}}]
        assert env["AWS_REGION"] == "eu-1"
        folder, _, name = env["MODELYARD_TASK_FILE"].rpartition("/")
        assert {"name": "modelyard-task", "mountPath": folder, "readOnly": True} in fetch["volumeMounts"]
        seen[fetch["name"]] = json.loads(annotations[tasks[name].split("'")[1]])
    assert seen == {
        "modelyard-fetch-candidate": {
            "kind": "fetch", "uri": CANDIDATE.uri, "digest": "sha256:c", "objects": [["model.bin", "v1"]]
        },
        "modelyard-fetch-incumbent": {"kind": "fetch", "uri": INCUMBENT.uri, "digest": "sha256:i", "objects": None},
    }  # fmt: skip
    assert pod_of(made)["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize(
    ("fields", "incumbent", "mounted", "told"),
    [
        pytest.param({}, INCUMBENT, ["candidate", "incumbent"], "6", id="both is the default"),
        pytest.param({}, None, ["candidate"], "", id="no incumbent"),
        pytest.param({"inputs": "Candidate"}, INCUMBENT, ["candidate"], "6", id="its checks name the incumbent"),
        pytest.param(
            {"inputs": "Candidate", "checks": ["candidate.auc > 0.5"]}, INCUMBENT, ["candidate"], "",
            id="an answer that is not about the incumbent"),
        pytest.param({"inputs": "None"}, INCUMBENT, [], "6", id="no files"),
    ],
)  # fmt: skip
def test_inputs(fields: dict[str, Any], incumbent: Any, mounted: list[str], told: str) -> None:
    made = build(world(gate(**fields)), incumbent)
    assert [fetch["name"] for fetch in pod_of(made).get("initContainers", [])] == [
        f"modelyard-fetch-{side}" for side in mounted
    ]
    mounts = [mount["mountPath"] for mount in pod_of(made)["containers"][0].get("volumeMounts", [])]
    assert mounts == [f"/mnt/models/{side}" for side in mounted]
    assert environment(made)["MODELYARD_INCUMBENT_VERSION"] == told


def test_a_model_of_an_outside_provider_has_no_files() -> None:
    at = world()
    stage = at.stages[0]
    made = job.build(at, stage, stage.gates[0], "n", replace(CANDIDATE, uri=""), None, "fraud.risk.svc:8080")
    assert "initContainers" not in pod_of(made)
    assert "volumes" not in pod_of(made)
    assert environment(made)["MODELYARD_ENDPOINT"] == "fraud.risk.svc:8080"


def test_what_the_user_wrote_stays_unless_it_would_deceive() -> None:
    template = {
        "metadata": {
            "labels": {"cost-centre": "42", "modelyard.dev/revision": "iiiiiiiiii", "modelyard.dev/version": "6"},
            "annotations": {"sidecar.istio.io/inject": "false"},
        },
        "spec": {
            "restartPolicy": "OnFailure",
            "automountServiceAccountToken": True,
            "serviceAccountName": "evaluator",
            "securityContext": {"runAsUser": 1000},
            "volumes": [{"name": "modelyard-candidate", "emptyDir": {"medium": "Memory"}}],
            "initContainers": [{"name": "data", "image": "data"}],
            "containers": [
                {
                    "name": "evaluate",
                    "image": "example",
                    "env": [{"name": "MODELYARD_VERSION", "value": "99"}, {"name": "SEED", "value": "1"}],
                    "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
                },
                {"name": "helper", "image": "example"},
            ],
        },
    }
    made = build(world(gate(template), storage={"serviceAccountName": "reader"}))
    metadata, spec = made["spec"]["template"]["metadata"], pod_of(made)
    assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
    assert metadata["labels"]["cost-centre"] == "42"
    assert "modelyard.dev/revision" not in metadata["labels"]
    assert metadata["labels"]["modelyard.dev/version"] == "7"
    assert spec["restartPolicy"] == "Never"
    assert (spec["automountServiceAccountToken"], spec["serviceAccountName"]) == (True, "evaluator")
    assert spec["securityContext"]["runAsUser"] == 1000
    assert [volume["name"] for volume in spec["volumes"]] == [
        "modelyard-candidate", "modelyard-incumbent", "modelyard-task",
    ]  # fmt: skip
    assert spec["volumes"][0]["emptyDir"] == {"medium": "Memory"}
    assert [container["name"] for container in spec["initContainers"]][-1] == "data"
    assert environment(made)["MODELYARD_VERSION"] == "7"
    assert environment(made)["SEED"] == "1"
    first, second = spec["containers"]
    assert first["securityContext"]["capabilities"] == {"add": ["NET_BIND_SERVICE"]}
    assert first["volumeMounts"] == second["volumeMounts"]
    assert "terminationMessagePolicy" not in second


@pytest.mark.parametrize(
    ("template", "error"),
    [
        (TEMPLATE, ""),
        ({}, "job.template.spec.containers is empty; name at least one container with its image"),
        ({"spec": {"containers": [{"name": "a"}]}}, "job.template.spec.containers[0].image is missing; set it"),
        ({"spec": {"containers": [{"name": "a", "image": "b"}], "volumes": [{"name": "modelyard-task"}]}},
         "job.template.spec.volumes has 'modelyard-task', which is Modelyard's own; choose another name"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used(template: dict[str, Any], error: str) -> None:
    assert templates.error(template, "job.template") == error
