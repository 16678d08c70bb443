"""Signatures with real pods: what is not signed as the Model requires never has a pod, let alone traffic."""

import json
import subprocess
from pathlib import Path

import pytest
from dev.sbom import FILE, PLACE

from tests.checkout import ROOT, UV
from tests.cluster.registry import Registry
from tests.kube import PODS_READY, VERSION_VERIFIED, Obj
from tests.signing import Key, sign

pytestmark = pytest.mark.cluster


def signed(folder: Path, key: Key, **files: bytes) -> dict[str, bytes]:
    """Files with their signature, as they are uploaded."""
    (folder / "model").mkdir(parents=True)
    for name, content in files.items():
        (folder / "model" / name.replace("_", ".")).write_bytes(content)
    sign(folder / "model", folder / "model.sig", key)
    found = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    return {**found, "model.sig": (folder / "model.sig").read_bytes()}


def verification(registry: Registry, version: str, reason: str) -> Obj:
    """Wait until a version's verification has a reason."""

    def holds(obj: Obj) -> bool:
        return bool(obj.get("status", {}).get("verification", {}).get("reason") == reason)

    name = f"{registry.name}-{version}"
    return registry.kube.wait("modelversion", name, holds, VERSION_VERIFIED, f"its verification says {reason}")


def test_only_what_somebody_listed_has_signed_is_served(registry: Registry, tmp_path: Path) -> None:
    key, stranger = Key(), Key()
    source = {"configMapKeyRef": {"name": "release-keys", "key": "release.pem"}}
    registry.model(
        artifactPolicy={"signature": {"required": True, "keys": [{"name": "release", "publicKeyFrom": source}]}}
    )

    registry.version("1", artifact={"uri": registry.upload("1", signed(tmp_path / "1", key, answer_txt=b"one"))})
    waiting = verification(registry, "1", "SignaturePolicyInvalid")
    assert "'release-keys'" in waiting["status"]["verification"]["message"]
    assert waiting["status"]["verification"]["state"] == "Pending", "the ConfigMap may yet come"
    keys = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "release-keys"}}
    registry.kube.create({**keys, "data": {"release.pem": key.public_pem}})
    registry.serves("1")
    status = registry.kube.get("modelversion", "fraud-1")["status"]
    assert status["artifact"]["signature"]["by"] == "release"
    assert status["artifact"]["signature"]["fingerprint"] == key.fingerprint

    registry.version("2")
    registry.reaches("2", "Failed", "SignatureMissing")
    by_stranger = signed(tmp_path / "3", stranger, answer_txt=b"three")
    registry.version("3", artifact={"uri": registry.upload("3", by_stranger)})
    registry.reaches("3", "Failed", "SignatureUntrusted")
    tampered = {**signed(tmp_path / "4", key, answer_txt=b"four"), "answer.txt": b"evil"}
    registry.version("4", artifact={"uri": registry.upload("4", tampered)})
    refused = registry.reaches("4", "Failed", "SignatureMismatch")
    assert "answer.txt" in refused["status"]["request"]["message"]

    assert registry.answer() == "1 one "
    assert len(registry.deployments()) == 1
    assert registry.history() == [("Promoted", "1")]


def test_the_image_says_what_is_in_it(registry: Registry) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sbom"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "cat", "image": "modelyard:dev", "imagePullPolicy": "Never",
                    "command": ["cat", f"/{PLACE}/{FILE}"],
                    "securityContext": {
                        "runAsUser": 65532, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}
                    },
                }
            ],
        },
    }  # fmt: skip
    registry.kube.create(pod)
    registry.kube.wait("pod", "sbom", lambda p: p["status"].get("phase") == "Succeeded", PODS_READY, "it has ended")
    document = json.loads(registry.kube.run("logs", "sbom"))
    locked = subprocess.run(
        [UV, "export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-header", "--no-annotate"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    ).stdout  # fmt: skip
    named = {f"{one['name']}=={one['version']}" for one in document["components"]}
    assert named <= {line.partition(" ;")[0].strip() for line in locked.splitlines()}
    assert {"kopf==1.45.2", "kubernetes==37.0.1"} <= named
