"""What kubectl shows without any plugin: columns, explanations, short names and selection by field."""

import re

import pytest

from modelyard.api.kinds import KINDS
from modelyard.api.names import VERSION
from tests.api.conftest import Registry
from tests.api.manifests import Obj, full, with_
from tests.kube import Kube

pytestmark = pytest.mark.api

TIME = "2026-01-01T00:00:00Z"


def condition(type: str, reason: str) -> Obj:
    return {"type": type, "status": "True", "reason": reason, "message": "done", "lastTransitionTime": TIME}


SHOWN = {
    "Model": (
        {
            "summary": {
                "live": "7", "since": TIME, "stages": "staging=8,production=7", "pending": "8 to production",
                "reason": "Fetching", "rollback": "6 (warm)",
            }
        },
        {
            "NAME": "fraud", "LIVE": "7", "SINCE": r"\d+[dhy]\S*", "STAGES": "staging=8,production=7",
            "PENDING": "8 to production", "REASON": "Fetching", "ROLLBACK": r"6 \(warm\)",
        },
    ),
    "ModelVersion": (
        {
            "stage": "staging", "request": {"step": "AwaitingApproval", "requestedBy": "alice"},
            "conditions": [condition("Verified", "Verified"), condition("Waiting", "ApprovalsMissing")],
        },
        {
            "NAME": "fraud-7", "MODEL": "fraud", "VERSION": "7", "WANTED": "production", "STAGE": "staging",
            "STEP": "AwaitingApproval", "REASON": "ApprovalsMissing", "BY": "alice", "AGE": r"\d+\w+",
        },
    ),
    "Approval": (
        {"by": "alice", "conditions": [condition("Counted", "Counted")]},
        {
            "NAME": "fraud-7-alice", "MODEL": "fraud", "VERSION": "7", "STAGE": "production", "DECISION": "Approve",
            "BY": "alice", "COUNTED": "True", "REASON": "Counted", "AGE": r"\d+\w+",
        },
    ),
    "Rollback": (
        {
            "outcome": "Applied", "fromVersion": "7", "toVersion": "6", "by": "alice",
            "conditions": [condition("Applied", "Applied")],
        },
        {
            "NAME": "inc-4711", "MODEL": "fraud", "STAGE": "production", "FROM": "7", "TO": "6", "OUTCOME": "Applied",
            "REASON": "Applied", "BY": "alice", "AGE": r"\d+\w+",
        },
    ),
}  # fmt: skip
"""For each kind: a status, and the columns and cells that `kubectl get` makes of it."""


@pytest.mark.parametrize("kind", SHOWN)
def test_the_columns_answer_the_daily_questions(registry: Registry, kind: str) -> None:
    status, expected = SHOWN[kind]
    registry.create(full(kind))
    registry.patch(full(kind), {"status": status}, subresource="status")
    header, row = registry.kube.run("get", registry.resource(kind)).splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    cells = {header[a:b].strip(): row[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)}
    assert list(cells) == list(expected)
    for column, pattern in expected.items():
        assert re.fullmatch(pattern, cells[column]), f"{column}: {cells[column]!r}"


@pytest.mark.parametrize("kind", SHOWN)
def test_what_nobody_has_looked_at_yet_says_so(registry: Registry, kind: str) -> None:
    """Without this, Flux and `helm --wait` would take an object that was just made for done."""
    created = registry.create(full(kind))
    shown = registry.get(kind, created["metadata"]["name"])
    assert shown["status"] == {"observedGeneration": -1}
    registry.apply(full(kind), manager="argocd-controller", force=True)
    assert registry.get(kind, created["metadata"]["name"])["status"] == {"observedGeneration": -1}


def test_wide_columns_show_the_digest(registry: Registry) -> None:
    registry.create(full("ModelVersion"))
    registry.patch(full("ModelVersion"), {"status": {"digest": "sha256:7e"}}, subresource="status")
    assert "sha256:7e" in registry.kube.run("get", registry.resource("ModelVersion"), "--output=wide")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        pytest.param("models", "who owns it, how it is served, and the stages", id="a kind"),
        pytest.param(
            "models.spec.serving", "How the model is served; a model without it has no server", id="an object"
        ),
        pytest.param("models.spec.serving.progressDeadline", "Default: 10m.", id="a default"),
        pytest.param("models.spec.stages.gates.when", "AfterTraffic the revision", id="a field in a list of lists"),
        pytest.param("modelversions.spec.stage", "The one field that may change.", id="the field that may change"),
        pytest.param("modelversions.status.request.step", "Queued, Verifying, Held", id="a status"),
        pytest.param("rollbacks.spec.toVersion", "the good one placed last before the present one", id="a rollback"),
    ],
)
def test_explain_says_what_a_field_means(cluster: Kube, group: str, field: str, said: str) -> None:
    text = cluster.run("explain", field, f"--api-version={group}/{VERSION}")
    assert said in " ".join(text.split())


def test_explain_lists_the_fields_of_serving(cluster: Kube, group: str) -> None:
    text = cluster.run("explain", "models.spec.serving", f"--api-version={group}/{VERSION}")
    fields = dict(re.findall(r"^  (\w+)\t<([^>]+)>", text, flags=re.MULTILINE))
    assert fields["port"] == "integer"
    assert fields["template"] == "Object"
    assert {"keepWarm", "progressDeadline", "revisionHistoryLimit", "rollout"} <= set(fields)


def test_short_names_and_the_category_are_known(cluster: Kube, group: str) -> None:
    lines = cluster.run("api-resources", f"--api-group={group}", "--categories=modelyard", "--no-headers").splitlines()
    short = {line.split()[-1]: line.split()[1] for line in lines}
    assert short == {"Model": "mdl", "ModelVersion": "mv", "Approval": "apr", "Rollback": "rb"}


@pytest.mark.parametrize(("kind", "path"), [(kind.__name__, path) for kind in KINDS for path in kind.selectable])
def test_objects_are_selected_by_field(registry: Registry, kind: str, path: str) -> None:
    keys = tuple(path.removeprefix(".").split("."))
    wanted = full(kind)
    other = {"model": "churn", "version": "8", "stage": "staging"}
    spec = {**wanted["spec"], **{name: value for name, value in other.items() if name in wanted["spec"]}}
    name = "churn-8" if kind == "ModelVersion" else "other"
    registry.create(wanted)
    registry.create(with_({**wanted, "spec": spec}, ("metadata", "name"), name))
    found = registry.kube.items(registry.resource(kind), fields=f"{'.'.join(keys)}={wanted['spec'][keys[-1]]}")
    assert [obj["metadata"]["name"] for obj in found] == [wanted["metadata"]["name"]]
