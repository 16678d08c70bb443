"""What never changes once created, whatever the operator does: field by field, changed, removed and set."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Registry
from tests.api.manifests import FULL, Obj, full, with_, without

pytestmark = pytest.mark.api

ADVICE = {
    "ModelVersion": "register a new version instead",
    "Approval": "create a new Approval instead",
    "Rollback": "create a new Rollback instead",
}
CHANGEABLE = {"ModelVersion": {"stage"}, "Approval": set[str](), "Rollback": set[str]()}
REQUIRED = {
    "ModelVersion": {"model", "version", "artifact"},
    "Approval": {"model", "version", "stage", "digest", "decision"},
    "Rollback": {"model", "stage"},
}
OTHER: dict[str, Any] = {
    "model": "churn",
    "version": "8",
    "stage": "staging",
    "toVersion": "5",
    "decision": "Reject",
    "digest": "sha256:" + "00" * 32,
    "artifact": {"uri": "s3://models/fraud/8/"},
    "framework": {"name": "xgboost"},
    "datasets": [],
    "baseModels": [],
}
"""Another value of a field, where text or an empty object would not do."""


def fixed() -> list[Any]:
    """Every field that is fixed."""
    return [
        pytest.param(kind, name, id=f"{kind}.spec.{name}")
        for kind, changeable in CHANGEABLE.items()
        for name in FULL[kind]["spec"]
        if name not in changeable
    ]


def optional() -> list[Any]:
    """Every fixed field that may be absent."""
    return [case for case in fixed() if case.values[1] not in REQUIRED[case.values[0]]]


@pytest.fixture(scope="session")
def stored(group: str, cluster: Any) -> Iterator[Registry]:
    """The full objects, and ones with no optional field, for dry runs of changing them."""
    cluster.run("create", "namespace", f"immutable-{group.split('.')[0]}")
    registry = Registry(cluster.within(f"immutable-{group.split('.')[0]}"), group)
    for kind in CHANGEABLE:
        registry.create(full(kind))
        registry.create(bare(kind))
    yield registry
    cluster.run("delete", "namespace", str(registry.kube.namespace), "--wait=false")


def bare(kind: str) -> Obj:
    """An object without optional fields, of another name."""
    spec = {name: FULL[kind]["spec"][name] for name in REQUIRED[kind]}
    obj = {**full(kind), "metadata": {"name": "bare"}, "spec": spec}
    return (
        with_(with_(obj, ("spec", "version"), "0"), ("metadata", "name"), "fraud-0") if kind == "ModelVersion" else obj
    )


def another(kind: str, name: str) -> Any:
    """Another valid value of a field."""
    present = FULL[kind]["spec"][name]
    return OTHER.get(name, f"{present}x" if isinstance(present, str) else {})


@pytest.mark.parametrize(("kind", "name"), fixed())
def test_a_field_cannot_be_changed(stored: Registry, kind: str, name: str) -> None:
    refusal = stored.refusal_of_replacing(with_(full(kind), ("spec", name), another(kind, name)))
    assert f"spec.{name} is immutable; {ADVICE[kind]}" in refusal


@pytest.mark.parametrize(("kind", "name"), optional())
def test_a_field_cannot_be_removed(stored: Registry, kind: str, name: str) -> None:
    refusal = stored.refusal_of_replacing(without(full(kind), ("spec", name)))
    assert f"spec.{name} is immutable; {ADVICE[kind]}" in refusal


@pytest.mark.parametrize(("kind", "name"), optional())
def test_a_field_cannot_be_set_later(stored: Registry, kind: str, name: str) -> None:
    refusal = stored.refusal_of_replacing(with_(bare(kind), ("spec", name), FULL[kind]["spec"][name]))
    assert f"spec.{name} is immutable; {ADVICE[kind]}" in refusal


def test_a_change_deep_inside_is_a_change_of_its_field(stored: Registry) -> None:
    changed = with_(full("ModelVersion"), ("spec", "metrics", "slices", "eu", "auc"), 0.99)
    assert "spec.metrics is immutable" in stored.refusal_of_replacing(changed)


def test_the_stage_of_a_version_may_change_and_counts_generations(registry: Registry) -> None:
    version = full("ModelVersion")
    registry.create(version)
    generations = [
        registry.patch(version, {"spec": {"stage": stage}})["metadata"]["generation"]
        for stage in ("staging", "archived", None, "production")
    ]
    assert generations == [2, 3, 4, 5]


def test_applying_the_same_manifest_again_changes_nothing(registry: Registry) -> None:
    made = registry.apply(full("ModelVersion"))
    again = registry.apply(full("ModelVersion"))  # the server may store the status that it shows by default, once
    assert again["metadata"]["generation"] == made["metadata"]["generation"] == 1
    assert again["spec"] == made["spec"]
    written = registry.patch(made, {"status": {"observedGeneration": 1}}, subresource="status")
    for _ in range(2):
        assert (
            registry.apply(full("ModelVersion"))["metadata"]["resourceVersion"]
            == written["metadata"]["resourceVersion"]
        )
