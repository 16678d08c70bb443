"""What is different between two versions, what they come from, who may judge them; and what is asked of a stage."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelyard.cli.comparison import Change, compare_versions, rendered
from modelyard.cli.errors import CommandError
from modelyard.cli.lineage import ancestors, descendants, recipe, same_data
from modelyard.cli.lines import check_keeper, line_request
from modelyard.cli.lines import patch_for as line_patch
from modelyard.cli.people import Right, allows, rights
from modelyard.cli.promote import patch_for

Obj = dict[str, Any]
REASON, CHANGE, REQUEST = "modelyard.dev/reason", "modelyard.dev/change", "modelyard.dev/request"


def version(number: str, *, status: Obj | None = None, **spec: Any) -> Obj:
    metadata = {"name": f"fraud-{number}", "namespace": "risk", "uid": number, "generation": 1}
    fields = {"model": "fraud", "version": number, "artifact": {"uri": "s3://m/"}, **spec}
    return {"metadata": metadata, "spec": fields, "status": status or {}}


def changes(before: Obj, after: Obj) -> dict[str, tuple[str, str]]:
    return {row.name: (row.change.value, row.mark) for row in compare_versions(before, after)}


def test_every_part_is_compared() -> None:
    gate = {"stage": "production", "name": "smoke"}
    before = version(
        "6", metrics={"auc": 0.9, "old": 1}, hyperparameters={"depth": 6, "trees": {"n": 10}},
        datasets=[{"name": "payments", "digest": "d1"}], source={"revision": "a"},
        dependencies={"requirements": ["NumPy==1.0", "same"]}, baseModels=[{"ref": "hf://x@1", "relation": "finetune"}],
        status={"digest": "sha256:1", "gates": [{**gate, "result": "Passed", "candidate": {"p99": 10}}]},
    )  # fmt: skip
    after = version(
        "7", metrics={"auc": 0.91}, hyperparameters={"depth": 8, "trees": {"n": 10}},
        datasets=[{"name": "payments", "digest": "d2"}], source={"revision": "b"},
        dependencies={"requirements": ["numpy==2.0", "same", "new>1"]},
        status={"digest": "sha256:2", "gates": [{**gate, "result": "Failed", "candidate": {"p99": 90}}]},
    )  # fmt: skip
    assert changes(before, after) == {
        "auc": ("changed", "~ +0.01"), "old": ("removed", "-"),
        "production/smoke": ("changed", "~"), "production/smoke.p99": ("changed", "~ +80"),
        "depth": ("changed", "~ +2"), "trees.n": ("same", "="),
        "payments.digest": ("changed", "~"), "revision": ("changed", "~"), "base hf://x@1": ("removed", "-"),
        "numpy": ("changed", "~"), "same": ("same", "="), "new": ("added", "+"), "digest": ("changed", "~"),
    }  # fmt: skip


def test_metrics_are_shown_even_when_they_are_the_same() -> None:
    rows = compare_versions(version("6", metrics={"auc": 1}, license="a"), version("7", metrics={"auc": 1}))
    assert rendered(rows, "fraud-6", "fraud-7")[2].split() == ["auc", "1", "1", "="]
    assert all(row.change == Change.SAME for row in rows)


def test_ancestors_are_followed_and_a_circle_ends() -> None:
    six = version("6", baseModels=[{"ref": "modelyard://fraud@7"}])
    seven = version("7", baseModels=[{"ref": "modelyard://risk/fraud@6"}, {"ref": "hf://org/x@1"}])
    node = ancestors(seven, [six, seven])
    refs = [below.ref for below in node.below]
    assert refs == ["modelyard://risk/fraud@6", "hf://org/x@1"]
    assert [below.known for below in node.below] == [True, False]
    assert node.below[0].below[0].ref == "modelyard://risk/fraud@7"
    assert node.below[0].below[0].below == []
    assert [below.ref for below in descendants(six, [six, seven])] == ["modelyard://risk/fraud@7"]


def test_data_is_the_same_by_its_digest() -> None:
    mine = version("7", datasets=[{"name": "payments", "digest": "d1"}])
    others = [
        version("5", datasets=[{"name": "payments", "digest": "d1"}]),
        version("6", datasets=[{"name": "payments", "digest": "d2"}]),
    ]
    assert same_data(mine, [mine, *others]) == {"payments d1": ["modelyard://risk/fraud@5"]}


def test_a_recipe_runs_nothing_that_a_field_smuggles_in(tmp_path: Path) -> None:
    evil = "x\ntouch /tmp/owned; `id` $(id) 'quoted'"
    obj = version(
        "7", source={"repository": evil, "revision": evil, "path": evil},
        dependencies={"requirements": [evil, "END\ntouch x"], "image": evil},
        datasets=[{"name": evil, "uri": evil}], baseModels=[{"ref": evil}], hyperparameters={"END": "\nEND\n"},
        run={"id": evil}, pipeline={"engine": evil},
    )  # fmt: skip
    script = "\n".join(recipe(obj))
    stubs = "git() { :; }; cd() { :; }; python3() { :; }; cat() { :; }; touch() { echo TOUCHED; }; id() { echo RAN; }\n"
    run = script.replace(".venv/bin/pip", ":")
    done = subprocess.run(["sh"], input=stubs + run, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == ""


RULE = {"apiGroups": ["modelyard.dev"], "resources": ["models/production"], "verbs": ["approve"]}


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (RULE, True),
        ({**RULE, "resourceNames": ["fraud"]}, True),
        ({**RULE, "resourceNames": ["other"]}, False),
        ({**RULE, "resources": ["models/staging"]}, False),
        ({**RULE, "resources": ["models"]}, False),
        ({**RULE, "resources": ["*"]}, True),
        ({**RULE, "resources": ["*/production"]}, True),
        ({**RULE, "verbs": ["*"], "apiGroups": ["*"]}, True),
        ({**RULE, "verbs": ["promote"]}, False),
        ({**RULE, "apiGroups": [""]}, False),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, False),
    ],
)
def test_a_rule_of_rbac(rule: Obj, allowed: bool) -> None:
    assert allows(rule, "approve", "production", "fraud") is allowed


def test_rights_name_whom_and_through_what() -> None:
    ref = {"kind": "ClusterRole", "name": "approver"}
    subjects = [{"kind": "User", "name": "bob"}, {"kind": "ServiceAccount", "name": "ci", "namespace": "build"}]
    binding: Obj = {"kind": "RoleBinding", "metadata": {"name": "b"}, "roleRef": ref, "subjects": subjects}
    dangling: Obj = {**binding, "roleRef": {"kind": "Role", "name": "gone"}}
    found = list(rights([binding, dangling], {("ClusterRole", "approver"): [RULE]}, "fraud", ["staging", "production"]))
    via = "RoleBinding b (ClusterRole approver)"
    assert found == [
        Right("production", "approve", "bob", via),
        Right("production", "approve", "system:serviceaccount:build:ci", via),
    ]


def asks(step: str) -> Obj:
    return version("7", stage="production", status={"request": {"id": "7/1", "step": step}})


@pytest.mark.parametrize("step", ["Queued", "Held", "Deploying", "Serving"])
def test_what_is_asked_already_is_not_asked_again(step: str) -> None:
    assert patch_for(asks(step), "production", {}, "now") is None


@pytest.mark.parametrize("step", ["Failed", "Rejected", "RolledBack", "Superseded", "StandingBy"])
def test_what_ended_is_asked_anew_with_a_value_of_its_own(step: str) -> None:
    body = patch_for(asks(step), "production", {REASON: "why", CHANGE: None}, "now")
    assert body == {"metadata": {"annotations": {REASON: "why", CHANGE: None, REQUEST: "now"}}}


def test_another_stage_is_one_field() -> None:
    body = patch_for(asks("Serving"), "staging", {REASON: None, CHANGE: "c"}, "now")
    assert body == {"spec": {"stage": "staging"}, "metadata": {"annotations": {REASON: None, CHANGE: "c"}}}


def names_6(*managers: str, request: Obj | None = None) -> tuple[Obj, Obj]:
    """A Model whose line names version 6, kept by those managers, and that version."""
    owned: Obj = {"f:spec": {"f:stages": {'k:{"name":"production"}': {"f:version": {}}}}}
    metadata: Obj = {"name": "fraud", "uid": "m", "generation": 4, "resourceVersion": "9"}
    metadata["managedFields"] = [{"manager": manager, "fieldsV1": owned} for manager in managers]
    stages = [{"name": "staging"}, {"name": "production", "version": "6"}]
    return {"metadata": metadata, "spec": {"stages": stages}}, version("6", status={"request": request or {}})


def test_the_models_line_is_changed_and_nothing_beside_it() -> None:
    model, _ = names_6()
    body = line_patch(model, "production", version("7"), {REASON: "why"}, "now")
    stages = [{"name": "staging"}, {"name": "production", "version": "7"}]
    assert body == {"spec": {"stages": stages}, "metadata": {"resourceVersion": "9", "annotations": {REASON: "why"}}}


def test_the_models_line_asks_anew_only_for_what_has_ended() -> None:
    served = names_6(request={"id": "m/3", "stage": "production", "step": "Serving"})
    assert line_patch(served[0], "production", served[1], {}, "now") is None
    back = names_6(request={"id": "m/3", "stage": "production", "step": "RolledBack"})
    body = line_patch(back[0], "production", back[1], {}, "now")
    assert body == {"metadata": {"resourceVersion": "9", "annotations": {REQUEST: "now"}}}


@pytest.mark.parametrize(
    ("identity", "since", "counts"),
    [("m/3", 0, True), ("m/3", 4, False), ("m/4", 4, True), ("m/5/nonce", 4, True), ("6/9", 0, False)],
)
def test_what_is_said_of_an_earlier_line_does_not_count(identity: str, since: int, counts: bool) -> None:
    model, found = names_6(request={"id": identity, "stage": "production", "step": "Failed"})
    assert bool(line_request(model, "production", found, since)) is counts


@pytest.mark.parametrize("manager", ["argocd-controller", "argocd-application-controller", "kustomize-controller"])
def test_a_line_that_comes_from_git_is_left_alone(manager: str) -> None:
    model, _ = names_6("kubectl", manager)
    with pytest.raises(CommandError, match=f"{manager} keeps the version of stage 'production'"):
        check_keeper(model, "production", version("7"))
    check_keeper(names_6("kubectl", "before-first-apply")[0], "production", version("7"))
