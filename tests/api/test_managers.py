"""Who owns what: several field managers in one Model, and spec and status apart."""

import pytest

from tests.api.conftest import Registry
from tests.api.manifests import Obj, full
from tests.kube import KubectlError

pytestmark = pytest.mark.api

UNSEEN = {"observedGeneration": -1}
"""The status of an object that no operator has seen, by default of its definition."""


def model(*stages: Obj, **spec: object) -> Obj:
    return {**full("Model"), "spec": {**spec, "stages": list(stages)}}


def stages(obj: Obj) -> dict[str, Obj]:
    return {stage["name"]: stage for stage in obj["spec"]["stages"]}


def test_two_teams_own_a_stage_each(registry: Registry) -> None:
    registry.apply(model({"name": "staging", "paused": True}), manager="science")
    both = registry.apply(model({"name": "production", "version": "7"}), manager="platform")
    assert stages(both) == {
        "staging": {"name": "staging", "paused": True},
        "production": {"name": "production", "version": "7"},
    }

    without_pause = registry.apply(model({"name": "staging"}), manager="science")
    assert stages(without_pause)["staging"] == {"name": "staging"}
    assert stages(without_pause)["production"]["version"] == "7"


def test_what_another_manager_owns_is_a_conflict_that_names_it(registry: Registry) -> None:
    registry.apply(model({"name": "production", "version": "7"}), manager="platform")
    with pytest.raises(KubectlError) as conflict:
        registry.apply(model({"name": "production", "version": "8"}), manager="science")
    assert 'conflict with "platform"' in conflict.value.message
    assert '.spec.stages[name="production"].version' in conflict.value.message


def test_gates_and_consumers_are_owned_one_by_one(registry: Registry) -> None:
    quality = {"name": "quality", "checks": ["candidate.auc >= 0.8"]}
    fairness = {"name": "fairness", "checks": ["candidate.slices.all(s, s.auc > 0.7)"]}
    registry.apply(model({"name": "staging", "gates": [quality]}, consumers=[{"name": "checkout"}]), manager="science")
    both = registry.apply(
        model({"name": "staging", "gates": [fairness]}, consumers=[{"name": "reporting"}]), manager="compliance"
    )
    assert stages(both)["staging"]["gates"] == [quality, fairness]
    assert both["spec"]["consumers"] == [{"name": "checkout"}, {"name": "reporting"}]


def test_one_container_of_a_template_is_owned_by_another_manager(registry: Registry) -> None:
    def serving(**container: object) -> Obj:
        return {**full("Model"), "spec": {"serving": {"template": {"spec": {"containers": [container]}}}}}

    registry.apply(serving(name="server", image="server:1"), manager="science")
    both = registry.apply(serving(name="sidecar", image="proxy:1"), manager="platform")
    assert [c["name"] for c in both["spec"]["serving"]["template"]["spec"]["containers"]] == ["server", "sidecar"]


def test_a_status_in_a_manifest_is_not_heard(registry: Registry) -> None:
    created = registry.create({**full("Model"), "status": {"summary": {"live": "forged"}}})
    assert created["status"] == UNSEEN


def test_a_status_write_leaves_the_spec_and_its_generation_alone(registry: Registry) -> None:
    created = registry.create(full("Model"))
    body = {"spec": {"description": "changed"}, "status": {"summary": {"live": "7"}}}
    written = registry.patch(full("Model"), body, subresource="status")
    assert written["status"] == UNSEEN | {"summary": {"live": "7"}}
    assert written["spec"] == created["spec"]
    assert written["metadata"]["generation"] == created["metadata"]["generation"]


def test_a_status_has_one_owner(registry: Registry) -> None:
    registry.create(full("Model"))
    body = {"status": {"stages": [{"name": "production"}], "transitions": [{"stage": "production"}]}}
    written = registry.patch(full("Model"), body, subresource="status")
    owned = [each["fieldsV1"] for each in written["metadata"]["managedFields"] if each.get("subresource") == "status"]
    assert owned == [{"f:status": {}}]


def test_the_operators_memory_is_kept_where_it_belongs_and_nowhere_else(registry: Registry) -> None:
    registry.create(full("Model"))
    stage = {"name": "production", "bytesCheck": {"ok": True}, "requests": [{"id": "a/1", "newInTheNextRelease": 1}]}
    written = registry.patch(full("Model"), {"status": {"stages": [stage], "unheardOf": 1}}, subresource="status")
    assert written["status"] == UNSEEN | {"stages": [stage]}
