"""Every pod that comes of a Model: no token, no root, no credentials but where bytes are read."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.decide.simulation import SERVER, Cluster

GATE = {"name": "slices", "when": "BeforeDeploy", "job": {"template": SERVER}, "checks": ["candidate.auc > 0.5"]}


@pytest.fixture(scope="module")
def pods() -> dict[str, dict[str, Any]]:
    """The pod templates of a verification, a gate, a server and a daily check, by what they are."""
    cluster = Cluster()
    cluster.outputs["slices"] = [{"auc": 0.9}]
    storage = {"secretRef": {"name": "models-s3"}, "serviceAccountName": "reader"}
    cluster.model(storage=storage, stages=[{"name": "production", "gates": [GATE]}])
    seen: dict[str, dict[str, Any]] = {}
    for version in ("1", "2", "3"):
        cluster.version(version)
        for _ in range(200):
            seen.update(_templates(cluster))
            if not cluster.step():
                break
        cluster.settle(3 * 24 * 3600)
        seen.update(_templates(cluster))
    return seen


def _templates(cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, _), obj in cluster.objects.items():
        if kind in ("Job", "Deployment"):
            template = obj["spec"]["template"]
            yield template["metadata"]["labels"].get("modelyard.dev/job", "server"), template["spec"]


def test_all_kinds_are_here(pods: dict[str, dict[str, Any]]) -> None:
    assert {"verify", "gate", "server"} <= set(pods)


def test_no_pod_has_a_token_of_its_service_account(pods: dict[str, dict[str, Any]]) -> None:
    """Identities of a cloud come in a volume of their own, which the cloud's webhook adds."""
    for name, pod in pods.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == "reader", name


def test_every_pod_is_restricted(pods: dict[str, dict[str, Any]]) -> None:
    for name, pod in pods.items():
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not any("hostPath" in volume for volume in pod.get("volumes", ())), name
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_our_own_containers_have_a_root_that_nobody_writes(pods: dict[str, dict[str, Any]]) -> None:
    found = [container for pod in pods.values() for container in _ours(pod)]
    assert len(found) >= 3
    for container in found:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["runAsNonRoot"] is True
        assert container["command"][:3] == ["python3", "-I", "-m"]  # no variable says what else Python is to run


def test_credentials_reach_only_the_containers_that_read_bytes(pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            given = [source["secretRef"]["name"] for source in container.get("envFrom", ())]
            assert given == (["models-s3"] if container in _ours(pod) else []), container["name"]


def _ours(pod: dict[str, Any]) -> list[dict[str, Any]]:
    containers = (*pod.get("initContainers", ()), *pod["containers"])
    return [each for each in containers if any(word.startswith("modelyard.pods") for word in each.get("command", ()))]
