"""Who did it: the annotations that the API server writes, and that nobody else can write, change or take away."""

import json
import re
from typing import Any

import pytest

from modelyard.api.names import (
    ANNOTATION_REQUESTED_BY,
    ANNOTATION_RETRIED_BY,
    ANNOTATION_RETRY,
    GROUP,
    LABEL_REQUIRE_REASON,
)
from tests.kube import KubectlError

from .acts import annotate, apply, create, label, patch, replace, stage
from .cast import Act, Cast, approval, model, rollback, version

pytestmark = pytest.mark.api

STAGING, PRODUCTION = {"name": "staging"}, {"name": "production"}
FORGED = {ANNOTATION_REQUESTED_BY: "mallory", ANNOTATION_RETRIED_BY: "mallory"}
NO_STAMPS = dict.fromkeys(FORGED)


def stamps(cast: Cast, who: str, act: Act) -> tuple[str | None, str | None]:
    """The names on the object after an act: who asked, who asked for another attempt."""
    annotations = json.loads(cast.installed.spoken(act(cast, who)))["metadata"].get("annotations", {})
    found = [annotations.get(key) for key in (ANNOTATION_REQUESTED_BY, ANNOTATION_RETRIED_BY)]
    return found[0] and found[0].replace(cast.namespace, "risk"), found[1]


def metadata(kind: str, name: str, **fields: Any) -> Act:
    """Change an object's metadata alone."""
    return patch(kind, name, {"metadata": fields})


def with_stamps(kind: str, name: str, body: Any, stamps: Any = FORGED) -> Act:
    """A patch that brings stamps of its own along."""
    return patch(kind, name, {**body, "metadata": {"annotations": {**stamps, **body.get("metadata", {})}}})


CI = "system:serviceaccount:risk:ci"
ROOT = "admin"
"""Who made everything that stands in the namespace."""


@pytest.mark.parametrize(
    ("who", "act", "want"),
    [
        pytest.param("alice", create(version("fraud-9")), ("alice", None), id="registered"),
        pytest.param(
            "ci", create(version("fraud-9", "staging")), (CI, None), id="asked for at creation, by a pipeline"
        ),
        pytest.param("eve as alice", create(version("fraud-9")), ("alice", None), id="by one who may act as another"),
        pytest.param("alice", create(version("fraud-9", annotations=FORGED)), ("alice", None), id="forged at creation"),
        pytest.param(
            "alice", create(version("fraud-9", annotations={ANNOTATION_RETRY: "1"})), ("alice", "alice"), id="retry"
        ),
        pytest.param("bob", stage("fraud-2", "production"), ("bob", None), id="another stage"),
        pytest.param("bob", replace("modelversion", "fraud-2", stage="production"), ("bob", None), id="by replace"),
        pytest.param("argocd", apply(version("fraud-2", "production")), ("argocd", None), id="by another manager"),
        pytest.param("bob", annotate("modelversion", "fraud-1", request="again"), ("bob", None), id="asked anew"),
        pytest.param("bob", annotate("modelversion", "fraud-1", retry="1"), (ROOT, "bob"), id="asked to try again"),
        pytest.param("alice", label("modelversion", "fraud-1", {"team": "x"}), (ROOT, None), id="a tag stamps nothing"),
        pytest.param("bob", apply(version("fraud-1", "production")), (ROOT, None), id="nor the same manifest again"),
        pytest.param(
            "bob",
            with_stamps("modelversion", "fraud-2", {"spec": {"stage": None}}),
            ("bob", None),
            id="forged in passing",
        ),
        pytest.param("bob", with_stamps("modelversion", "fraud-2", {}), (ROOT, None), id="forged alone"),
        pytest.param("bob", with_stamps("modelversion", "fraud-2", {}, NO_STAMPS), (ROOT, None), id="taken away"),
        pytest.param("bob", metadata("modelversion", "fraud-2", annotations=None), (ROOT, None), id="all taken away"),
        pytest.param(
            "root",
            apply(version("fraud-2", "staging", annotations=FORGED), "mallory"),
            (ROOT, None),
            id="forged by server-side apply, with force, by an administrator",
        ),
        pytest.param(
            "bob",
            patch(
                "modelversion",
                "fraud-2",
                [{"op": "replace", "path": f"/metadata/annotations/{GROUP}~1requested-by", "value": "mallory"}],
                type="json",
            ),
            (ROOT, None),
            id="forged by a JSON patch",
        ),
        pytest.param("velero", create(version("fraud-9", annotations=FORGED)), ("mallory", "mallory"), id="restored"),
        pytest.param("carol", create(approval("a")), ("carol", None), id="approved"),
        pytest.param("carol", create(approval("a", annotations=FORGED)), ("carol", None), id="forged on an Approval"),
        pytest.param("root", with_stamps("approval", "yes", {}), (ROOT, None), id="an Approval's changed"),
        pytest.param("dave", create(rollback("b")), ("dave", None), id="rolled back"),
        pytest.param(
            "root", with_stamps("rollback", "back", {}, NO_STAMPS), (ROOT, None), id="a Rollback's taken away"
        ),
        pytest.param("erin", create(model("new")), ("erin", None), id="a Model made"),
        pytest.param(
            "bob",
            patch("model", "fraud", {"spec": {"stages": [STAGING, {**PRODUCTION, "version": "2"}]}}),
            ("bob", None),
            id="a stage's version",
        ),
        pytest.param(
            "erin", patch("model", "fraud", {"spec": {"storage": {"region": "eu"}}}), ("erin", None), id="how it serves"
        ),
        pytest.param(
            "erin",
            patch("model", "fraud", {"spec": {"description": "x"}}),
            (ROOT, None),
            id="a description stamps nothing",
        ),
    ],
)
def test_stamps(cast: Cast, who: str, act: Act, want: tuple[str | None, str | None]) -> None:
    found = stamps(cast, who, act)
    assert found == tuple(name and (cast.known_as(name) if name == "argocd" else name) for name in want)


@pytest.mark.parametrize(
    ("act", "label"),
    [
        pytest.param(create(model("new", requireReason=True)), "true", id="a Model that asks for reasons"),
        pytest.param(create(model("new")), None, id="one that does not"),
        pytest.param(patch("model", "fraud", {"spec": {"requireReason": True}}), "true", id="from now on"),
        pytest.param(patch("model", "quiet", {"spec": {"requireReason": False}}), None, id="no longer"),
        pytest.param(label("model", "quiet", {LABEL_REQUIRE_REASON: None}), "true", id="the label taken away"),
        pytest.param(label("model", "fraud", {LABEL_REQUIRE_REASON: "true"}), None, id="the label forged"),
    ],
)
def test_models_that_ask_for_reasons_are_marked(cast: Cast, act: Act, label: str | None) -> None:
    """By a label, so that a change of a version is not tried on every Model of its namespace."""
    labels = json.loads(cast.installed.spoken(act(cast, "root")))["metadata"].get("labels", {})
    assert labels.get(LABEL_REQUIRE_REASON) == label


@pytest.mark.parametrize("name", ["fraud-9", "fraud-2"], ids=["create", "change"])
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        pytest.param({"spec": 5}, 'spec: Invalid value: "integer": spec in body must be of type object', id="a number"),
        pytest.param({"spec": None}, "spec: Required value", id="nothing"),
        pytest.param({"spec": {"stage": {}}}, "spec.stage: Invalid value", id="a stage that is none"),
    ],
)
def test_bad_input_gets_the_schemas_message(cast: Cast, name: str, broken: Any, message: str) -> None:
    """What a policy on bad input would say helps nobody."""
    with pytest.raises(KubectlError, match=re.escape(message)):
        send(cast, version(name, "staging") | broken)


def test_annotations_that_are_null_are_stamped(cast: Cast) -> None:
    sent = version("fraud-9", "staging")
    sent["metadata"]["annotations"] = None
    assert json.loads(cast.installed.spoken(send(cast, sent)))["metadata"]["annotations"] == {
        ANNOTATION_REQUESTED_BY: "admin"
    }


def send(cast: Cast, manifest: Any) -> str:
    """One request, not looked at by kubectl before."""
    name = manifest["metadata"]["name"]
    verb, path = ("replace", f"/{name}") if cast.as_("root").find(cast.kind("modelversion"), name) else ("create", "")
    path = f"/apis/{cast.installed.group}/v1alpha1/namespaces/{cast.namespace}/modelversions{path}?dryRun=All"
    if verb == "replace":
        present = cast.as_("root").get(cast.kind("modelversion"), name)
        manifest["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"]
    return cast.as_("root").run(verb, f"--raw={path}", "-f-", stdin=cast.own(manifest))
