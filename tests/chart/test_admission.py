"""The admission policies as the chart renders them; tests/api/admission tries what they do on a real API server."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from modelyard.decide import revisions, verification
from modelyard.decide.gates import results
from tests.api.admission.cast import GATE_POD

from .helm import ROOT, Helm, Manifest

VALIDATING, MUTATING = "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"
PREFIX = "modelyard-system.modelyard."


def policies(objects: list[Manifest], kind: str = VALIDATING) -> dict[str, Manifest]:
    """The policies of a kind, by the last part of their names."""
    return {each["metadata"]["name"].removeprefix(PREFIX): each["spec"] for each in objects if each["kind"] == kind}


def test_each_policy_is_bound_and_refuses(helm: Helm) -> None:
    """One without a binding does nothing. Only the one that reads Models from a cache that may lag lets errors pass."""
    objects = helm.render()
    bindings = policies(objects, f"{VALIDATING}Binding")
    assert set(bindings) == set(policies(objects))
    assert all(binding["policyName"] == PREFIX + name for name, binding in bindings.items())
    assert all(binding["validationActions"] == ["Deny"] for binding in bindings.values())
    failing = {name: policy["failurePolicy"] for name, policy in policies(objects).items()}
    assert {name for name, policy in failing.items() if policy != "Fail"} == {"reason"}


def test_all_or_nothing(helm: Helm) -> None:
    objects = helm.render("--set=admission.enabled=false")
    assert not {each["kind"] for each in objects if "AdmissionPolicy" in each["kind"]}


@pytest.mark.parametrize(
    ("version", "writes"), [("1.30.0", False), ("1.35.9", False), ("1.36.0", True), ("1.36.3-eks-1", True)]
)
def test_stamps_are_written_where_a_policy_can(helm: Helm, version: str, writes: bool) -> None:
    objects = helm.render(f"--kube-version={version}")
    assert (
        set(policies(objects, MUTATING))
        == set(policies(objects, f"{MUTATING}Binding"))
        == ({"stamps", "reason"} if writes else set())
    )
    assert "stamps" in policies(objects)


def test_stamps_are_written_where_the_cluster_says_so(helm: Helm) -> None:
    """A cluster that serves the kind already has it used, whatever its version."""
    served = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
    assert policies(helm.render("--kube-version=1.35.9", served), MUTATING)


SELECTED = {"key": "modelyard.dev/unprotected", "operator": "DoesNotExist"}
WATCHED = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["risk", "search"]}


@pytest.mark.parametrize(
    ("arguments", "scope"),
    [
        pytest.param((), {}, id="everywhere"),
        pytest.param(("--set=watchNamespaces={risk,search}",), {"matchExpressions": [WATCHED]}, id="where it watches"),
        pytest.param(
            (
                "--set=watchNamespaces={risk,search}",
                f"--set-json=admission.namespaceSelector.matchExpressions={json.dumps([SELECTED])}",
            ),
            {"matchExpressions": [SELECTED, WATCHED]},
            id="where it watches, less what is left out",
        ),
    ],
)
def test_where_they_hold(helm: Helm, arguments: tuple[str, ...], scope: Any) -> None:
    """All of them in the same namespaces, or stamps would be believed where nothing writes them."""
    objects = helm.render(*arguments)
    bindings = policies(objects, f"{VALIDATING}Binding") | policies(objects, f"{MUTATING}Binding")
    assert {name: binding["matchResources"] for name, binding in bindings.items()} == {
        name: {"namespaceSelector": scope} for name in bindings
    }


def test_who_is_excepted(helm: Helm) -> None:
    """The operator by its account, whatever it is called, and whom the values name; nobody is from the verbs."""
    arguments = (
        "--set=serviceAccount.name=operator",
        "--set=admission.exemptUsers={velero},admission.exemptGroups={backups}",
    )
    for name, policy in policies(helm.render(*arguments)).items():
        knows = {word for word in ("velero", "backups", ":modelyard-system:operator") if word in str(policy)}
        excepts = name in {"managed", "lookalikes", "results", "stamps", "status"}
        assert knows == ({"velero", "backups", ":modelyard-system:operator"} if excepts else set()), name


@pytest.mark.parametrize("model", ["a", "m" * 40])
def test_pods_with_a_verdict_are_known_by_their_names(helm: Helm, model: str) -> None:
    """The policy on commands sees nothing else of a pod, and Kubernetes cuts a Job's name to make a pod's of it."""
    (validation,) = policies(helm.render())["commands"]["validations"]
    pattern = validation["expression"].partition("matches('")[2].partition("')")[0]
    world: Any = SimpleNamespace(seen=SimpleNamespace(name=model), model={"spec": {}})
    version: Any = SimpleNamespace(uid="u")
    attempt: Any = SimpleNamespace(for_request="", attempt=1, binding=("g",), retry="")
    for job in (
        results.job_name(model, attempt, version),
        verification.job_name(world, version, attempt),
        f"{model}-check-{revisions.short_hash('')}",
    ):
        assert re.match(pattern, f"{job}-"[:58] + "x7k2p"), job
    assert re.match(pattern, GATE_POD)
    assert not re.match(pattern, f"{model}-production-{revisions.short_hash('')}-5d9f7b8c6d-x7k2p")


def test_the_documentation_lists_them(helm: Helm) -> None:
    """Each policy has a line that names its test, and that test exists."""
    text = (ROOT / "docs" / "security.md").read_text().partition("### What each policy stops")[2].partition("###")[0]
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    named = {name: cells[3] for cells in lines for name in re.findall(r"`([a-z-]+)`", cells[1])}
    assert set(named) == set(policies(helm.render()))
    for test in {test for cell in named.values() for test in re.findall(r"`(test_\w+\.py)`", cell)}:
        assert (ROOT / "tests" / "api" / "admission" / test).is_file(), test
    assert all("test_" in cell for cell in named.values())
