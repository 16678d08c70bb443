"""Stamps on clusters before 1.36, where no policy can write them: the chart's other policy demands them.

What the chart renders for 1.33 is tried on the present server, which knows all that 1.33 knows.
"""

from collections.abc import Iterator

import pytest

from modelyard.api.names import ANNOTATION_REQUESTED_BY, ANNOTATION_RETRIED_BY
from tests.chart.helm import Helm
from tests.kube import Kube

from .acts import annotate, apply, create, label, outcome, patch, replace
from .cast import Act, Cast, approval, rollback, version
from .conftest import in_force, until_refused

pytestmark = pytest.mark.api

ARGO = "system:serviceaccount:argocd:argocd-application-controller"
ALLOWED = "allowed"
LEAVE, SET = "leave the annotation as it is", "set the annotation to your own name in the same change"


def by(who: str | None, retried: str | None = None) -> dict[str, str]:
    """The two stamps."""
    stamps = {ANNOTATION_REQUESTED_BY: who, ANNOTATION_RETRIED_BY: retried}
    return {key: value for key, value in stamps.items() if value}


@pytest.fixture(scope="module")
def old(helm: Helm, cluster: Kube, group: str) -> Iterator[Cast]:
    """The policies as 1.33 gets them, and one version that alice asked staging for."""
    arguments = (f"--set=admission.sharedAccounts={{{ARGO}}}", "--kube-version=1.33.0")
    with in_force(helm, cluster, group, *arguments) as cast:
        until_refused(
            cast,
            {
                ("alice", "stamps"): create(version("probe-1")),
                ("edith", ALLOWED): create(version("probe-1", "staging", annotations=by("edith"))),
                ("bob", ALLOWED): create(version("probe-1", "staging", annotations=by("bob"))),
            },
        )
        cast.as_("alice").create(cast.own(version("fraud-1", "staging", annotations=by("alice"))))
        yield cast


def test_no_policy_writes(helm: Helm) -> None:
    kinds = {each["kind"] for each in helm.render("--kube-version=1.35.4")}
    assert "ValidatingAdmissionPolicy" in kinds
    assert kinds.isdisjoint({"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"})


def names(stamp: str, expected: str, found: str, advice: str) -> str:
    """What the policy says."""
    return f'stamps: modelyard.dev/{stamp} names who did it: expected "{expected}", found "{found}"; {advice}'


def moved(stage: str | None, **stamps: str | None) -> Act:
    """Ask for a stage, with stamps."""
    annotations = {f"modelyard.dev/{key.replace('_', '-')}": value for key, value in stamps.items()}
    return patch("modelversion", "fraud-1", {"spec": {"stage": stage}, "metadata": {"annotations": annotations}})


@pytest.mark.parametrize(
    ("who", "act", "want"),
    [
        pytest.param("alice", create(version("fraud-2")), names("requested-by", "alice", "", SET), id="none"),
        pytest.param("alice", create(version("fraud-2", annotations=by("alice"))), ALLOWED, id="one's own"),
        pytest.param(
            "alice",
            create(version("fraud-2", annotations=by("bob"))),
            names("requested-by", "alice", "bob", SET),
            id="another's",
        ),
        pytest.param(
            "alice",
            create(version("fraud-2", annotations=by("alice", "bob"))),
            names("retried-by", "", "bob", LEAVE),
            id="a stamp for what was not done",
        ),
        pytest.param(
            "bob",
            moved("production"),
            names("requested-by", "bob", "alice", SET),
            id="a stage changed, the old stamp left",
        ),
        pytest.param("bob", moved("production", requested_by="bob"), ALLOWED, id="a stage changed and stamped"),
        pytest.param(
            "bob",
            annotate("modelversion", "fraud-1", retry="1"),
            names("retried-by", "bob", "", SET),
            id="retry unstamped",
        ),
        pytest.param(
            "bob", annotate("modelversion", "fraud-1", retry="1", retried_by="bob"), ALLOWED, id="retry stamped"
        ),
        pytest.param("bob", label("modelversion", "fraud-1", {"team": "x"}), ALLOWED, id="a tag"),
        pytest.param(
            "bob",
            annotate("modelversion", "fraud-1", requested_by="carol"),
            names("requested-by", "alice", "carol", LEAVE),
            id="changed to another's",
        ),
        pytest.param(
            "bob",
            annotate("modelversion", "fraud-1", requested_by=None),
            names("requested-by", "alice", "", LEAVE),
            id="taken away",
        ),
        pytest.param(
            "bob",
            apply(version("fraud-1", "staging", annotations=by("bob"))),
            ALLOWED,
            id="the same manifest from another, who may ask as well",
        ),
        pytest.param("argocd", moved("production", requested_by=None), ALLOWED, id="a shared account names nobody"),
        pytest.param("argocd", moved("production", requested_by=ARGO), ALLOWED, id="or itself"),
        pytest.param(
            "argocd", moved("production"), names("requested-by", ARGO, "alice", SET), id="but not who asked before"
        ),
        pytest.param(
            "argocd",
            moved("production", requested_by="bob"),
            names("requested-by", ARGO, "bob", SET),
            id="nor whom the manifest names",
        ),
        pytest.param("argocd", replace("modelversion", "fraud-1"), ALLOWED, id="an unchanged manifest"),
        pytest.param("carol", create(approval("a", annotations=by("carol"))), ALLOWED, id="an Approval"),
        pytest.param(
            "carol", create(approval("a")), names("requested-by", "carol", "", SET), id="an Approval by nobody"
        ),
        pytest.param(
            "dave",
            create(rollback("b", annotations=by("bob"))),
            names("requested-by", "dave", "bob", SET),
            id="a Rollback",
        ),
    ],
)
def test_stamps_are_demanded(old: Cast, who: str, act: Act, want: str) -> None:
    assert outcome(old, who, act) == want
