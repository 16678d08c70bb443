"""The chart on a real cluster: `helm install`, `test`, `upgrade` and `uninstall`, seen from a model that serves."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import NAMESPACE_LABELS
from tests.kube import (
    API_SETTLES,
    PODS_READY,
    VERSION_VERIFIED,
    Kube,
    KubectlError,
    has_condition,
)
from tests.sharing import UNPROTECTED, operator_in_use

from .helm import CHART, ROOT, Helm
from .release import MODELS, NAMESPACE, Release
from .served_model import BUCKET, serve, serving, version

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

MAIN = "modelyard-system"
"""Namespace of the cluster's own installation."""


@pytest.fixture(scope="module")
def cluster() -> Kube:
    """The cluster, which has the definitions; another release may own them."""
    kube = Kube.connect()
    with operator_in_use(alone=True):
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            name = yaml.safe_load(path.read_text())["metadata"]["name"]
            if kube.find("customresourcedefinition", name) is None:
                kube.create(path)
            kube.wait("customresourcedefinition", name, has_condition_of_definition("Established"), API_SETTLES)
    return kube


@pytest.fixture(scope="module")
def namespaces(helm: Helm, cluster: Kube) -> Iterator[None]:
    """Two namespaces that admit only restricted pods.

    The cluster's own installation, which watches all namespaces, rests meanwhile and has no policies in these: one
    operator for a namespace.
    """
    for name in (NAMESPACE, MODELS):
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": NAMESPACE_LABELS | UNPROTECTED},
            }
        )
    with operator_in_use(alone=True), resting(cluster.within(MAIN)):
        yield
        # Its policies and roles belong to no namespace.
        Release(helm, cluster.within(NAMESPACE)).helm("uninstall", "modelyard", "--ignore-not-found")
        cluster.delete("namespace", MODELS, NAMESPACE)


@pytest.fixture
def release(helm: Helm, cluster: Kube, namespaces: None) -> "Release":
    """The chart, installed and ready."""
    mine = Release(helm, cluster.within(NAMESPACE))
    mine.install()
    return mine


def test_two_pods_are_ready_and_one_leads(release: Release) -> None:
    pods = release.pods()
    assert len(pods) == 2
    assert all(container["ready"] for pod in pods.values() for container in pod["status"]["containerStatuses"])
    assert release.leader(set(pods)) in pods


def test_helm_test_passes(release: Release) -> None:
    assert "Phase:          Succeeded" in release.helm("test", "modelyard")


def test_the_first_commands_work(release: Release) -> None:
    """The objects in Helm's notes, as a new user copies them: not indented, or the shell never finds their end."""
    manifests = release.helm("get", "notes", "modelyard").partition("<<'EOF'\n")[2].partition("\nEOF\n")[0]
    answer = release.kube.within(MODELS).run("apply", "--dry-run=server", "-f", "-", stdin=manifests)
    assert "model.modelyard.dev/fraud created" in answer
    assert "modelversion.modelyard.dev/fraud-1 created" in answer


def test_what_people_may_do(release: Release) -> None:
    """By the roles they have already: `view`, `edit` and `admin` of one namespace."""
    kube = release.kube.within(MODELS)
    for person, role in (("vera", "view"), ("edith", "edit"), ("adam", "admin")):
        kube.apply(binding(person, role))
    expected = {
        ("vera", "list", "modelversions"): True,
        ("vera", "create", "models"): False,
        ("edith", "create", "modelversions"): True,
        ("edith", "promote", "models/staging"): True,
        ("edith", "promote", "models/production"): False,
        ("edith", "create", "rollbacks"): False,
        ("adam", "promote", "models/production"): True,
        ("adam", "configure", "models/production"): True,
        ("adam", "create", "rollbacks"): True,
        ("adam", "create", "approvals"): False,
        ("adam", "approve", "models/production"): False,
        ("edith", "patch", "models/status"): False,
        ("oscar", "list", "models"): False,
    }
    kube.wait("clusterrole", "admin", lambda role: "models/production" in json.dumps(role["rules"]), API_SETTLES)
    assert {question: may(kube, *question) for question in expected} == expected


def test_models_serve_on_through_upgrade_and_removal(release: Release) -> None:
    """No pod of a model restarts, no request fails, and what users wrote is still there."""
    kube = release.kube.within(MODELS)
    serve(kube)
    before, operator = serving(kube), release.pods()
    with requests_all_the_time(kube) as failures:
        release.install("--set=logLevel=debug")
        after = set(release.pods())
        assert len(after) == 2
        assert after.isdisjoint(operator), "the new configuration reached no pod"
        release.leader(after)
        refused = version("2", f"s3://{BUCKET}/nothing/")
        kube.apply(refused)  # the new operator works, and has had its chance to touch what serves
        name = refused["metadata"]["name"]
        kube.wait("modelversion", name, has_condition("Verified", "False"), VERSION_VERIFIED)
        assert serving(kube) == before

        release.helm("uninstall", "modelyard", "--wait", "--timeout=2m")
        assert release.pods() == {}
        assert serving(kube) == before
        assert kube.find("model", "fraud"), "the user's Model is gone"
    assert failures == []


def test_definitions_upgrade_with_the_chart_and_stay(release: Release, tmp_path: Path) -> None:
    """Shown with a definition of the test's own: those of Modelyard are in use by the whole cluster."""
    chart = tmp_path / "modelyard"
    shutil.copytree(CHART, chart)
    for path in (chart / "files" / "crds").glob("*.yaml"):
        path.unlink()
    kube, name = release.kube, "witnesses.chart-test.modelyard.dev"

    def install(maximum: int) -> None:
        (chart / "files" / "crds" / "witness.yaml").write_text(yaml.safe_dump(definition(maximum)))
        release.helm(
            *("upgrade", "definitions", str(chart), "--install"),
            "--set=replicas=0,rbac.create=false,serviceAccount.create=false,serviceAccount.name=default",
            "--set=admission.enabled=false",
        )

    try:
        install(maximum=1)
        kube.wait("customresourcedefinition", name, has_condition_of_definition("Established"), API_SETTLES)
        install(maximum=2)
        schema = kube.get("customresourcedefinition", name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert schema["properties"]["spec"]["properties"]["braces"] == {"type": "integer", "maximum": 2} | BRACES
        release.helm("uninstall", "definitions", "--wait")
        assert "deletionTimestamp" not in kube.get("customresourcedefinition", name)["metadata"]
    finally:
        kube.delete("customresourcedefinition", name)


BRACES = {"description": "Not a template: {{ .Values.replicas }}."}


def definition(maximum: int) -> dict[str, Any]:
    """A definition of a kind that nobody uses."""
    number = {"type": "integer", "maximum": maximum} | BRACES
    spec = {"type": "object", "properties": {"braces": number}}
    schema = {"type": "object", "properties": {"spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "witnesses.chart-test.modelyard.dev"},
        "spec": {
            "group": "chart-test.modelyard.dev",
            "scope": "Namespaced",
            "names": {"kind": "Witness", "plural": "witnesses", "singular": "witness"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


def has_condition_of_definition(type: str) -> Any:
    """Definitions have conditions without observedGeneration."""

    def holds(obj: dict[str, Any]) -> bool:
        found = {each["type"]: each["status"] for each in obj.get("status", {}).get("conditions") or ()}
        return found.get(type) == "True"

    return holds


@contextmanager
def resting(main: Kube) -> Iterator[None]:
    """Without the operator of the cluster's own installation, if it has one."""
    deployment = main.find("deployment", "modelyard")
    replicas = deployment["spec"]["replicas"] if deployment else 0
    if replicas:
        main.run("scale", "deployment/modelyard", "--replicas=0")
        main.wait("deployment", "modelyard", lambda seen: not seen["status"].get("replicas"), PODS_READY)
    try:
        yield
    finally:
        if replicas:
            main.run("scale", "deployment/modelyard", f"--replicas={replicas}")


def binding(person: str, role: str) -> dict[str, Any]:
    """One of Kubernetes' own roles for one person, in one namespace."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{person}-{role}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": person}],
    }


def may(kube: Kube, person: str, verb: str, resource: str) -> bool:
    """What the API server says about a person's right; it is not kubectl's to know Modelyard's own verbs."""
    name, _, subresource = resource.partition("/")
    what = {"group": "modelyard.dev", "resource": name, "subresource": subresource, "verb": verb}
    spec = {"user": person, "resourceAttributes": {"namespace": MODELS} | what}
    review = kube.create({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})[0]
    return bool(review["status"]["allowed"])


@contextmanager
def requests_all_the_time(kube: Kube) -> Iterator[list[str]]:
    """One request after the other through the stage's Service; the list fills with those that fail."""
    port = kube.get("service", "fraud-production")["spec"]["ports"][0]["port"]
    path = f"/api/v1/namespaces/{MODELS}/services/fraud-production:{port}/proxy/model.json"
    failures: list[str] = []
    answered = threading.Event()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                assert json.loads(kube.run("get", "--raw", path)) == {"answer": 42}
                answered.set()
            except (KubectlError, AssertionError) as error:
                failures.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield failures
    finally:
        over.set()
        thread.join()
    assert answered.is_set(), "no request was answered at all"
