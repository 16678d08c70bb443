"""What is not of its kind's shape is set aside and told so; every shape is what the API server's schema says."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.api.kinds import KINDS
from modelyard.api.schema import structural
from modelyard.decide import decide, shapes, templates
from modelyard.decide.conditions import condition
from tests.unit.decide.simulation import START, Cluster

TYPES = {str: "string", int: "integer", bool: "boolean", dict: "object", list: "array"}


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.model()
    made.version("1")
    made.settle(10)
    return made


def conditions(cluster: Cluster, kind: str, name: str) -> dict[str, tuple[str, str, str]]:
    found = cluster.status(kind, name)["conditions"]
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in found}


def test_a_model_that_cannot_be_read_serves_on_and_says_which_field(cluster: Cluster) -> None:
    cluster.model(stages=[{"name": "production", "serving": {"keepWarm": "1h"}}])
    cluster.version("2")
    cluster.settle(10)
    text = "spec.stages[0].serving.keepWarm is a text and has to be an object; correct it"
    assert conditions(cluster, "Model", "fraud")["Accepted"] == ("False", "Malformed", text)
    assert cluster.live() == "1"
    cluster.model()
    cluster.settle(10)
    assert conditions(cluster, "Model", "fraud")["Accepted"][:2] == ("True", "Accepted")
    assert cluster.live() == "2"


@pytest.mark.parametrize("model_exists", [True, False])
def test_others_do_not_keep_the_model_waiting(cluster: Cluster, model_exists: bool) -> None:
    cluster.version("2", serving={"env": "WORKERS=2"})
    cluster.apply("Approval", "bad", {"model": "fraud", "version": ["1"], "stage": "production"})
    cluster.apply("Rollback", "bad", {"model": "fraud", "stage": None})
    if model_exists:
        cluster.version("3")
    else:
        cluster.delete("Model", "fraud")
    cluster.settle(10)
    assert cluster.live() == ("3" if model_exists else None)
    said = conditions(cluster, "ModelVersion", "fraud-2")
    assert said["Ready"] == ("False", "Malformed", "spec.serving.env is a text and has to be a list; correct it")
    said = conditions(cluster, "Approval", "bad")
    assert said["Counted"] == ("False", "Malformed", "spec.version is a list and has to be a text; correct it")
    said = conditions(cluster, "Rollback", "bad")
    assert said["Applied"] == ("False", "Malformed", "spec.stage is missing and has to be a text; correct it")
    assert decide(cluster.snapshot(), cluster.now).is_empty


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ({"metadata": {"labels": {"team": 7}}}, "template.metadata.labels.team is 7 and has to be a text"),
        ({"spec": {"volumes": 7}}, "template.spec.volumes is 7 and has to be a list"),
        ({"spec": {"volumes": [{}]}}, "template.spec.volumes[0].name is missing and has to be a text"),
        ({"spec": {"terminationGracePeriodSeconds": "30s"}}, "template.spec.terminationGracePeriodSeconds is a text"),
        ({"spec": {"containers": [{"env": {"A": "b"}}]}}, "template.spec.containers[0].env is an object"),
    ],
)
def test_a_pod_template_that_kubernetes_would_refuse_is_told_with_its_field(
    template: dict[str, Any], wrong: str
) -> None:
    assert wrong in templates.error(template, "template")


@pytest.mark.parametrize("field", ["volumes", "initContainers", "imagePullSecrets", "terminationGracePeriodSeconds"])
def test_null_in_a_pod_template_is_nothing(cluster: Cluster, field: str) -> None:
    cluster.model(serving={"template": {"spec": {"containers": [{"name": "server", "image": "a"}], field: None}}})
    cluster.settle(10)
    assert conditions(cluster, "Model", "fraud")["Accepted"][:2] == ("True", "Accepted")
    assert cluster.status("Model", "fraud")["transitions"][-1]["type"] == "Reconfigured"


def test_a_message_that_is_too_long_for_the_api_server_is_cut() -> None:
    made = condition((), "Ready", False, "Failed", "x" * 100_000, generation=1, now=START)
    assert len(made["message"]) == 32_768


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_shape_is_that_of_the_schema(kind: type) -> None:
    schema = structural(kind)
    for path, shape, required in _leaves(shapes.KINDS[kind.__name__], ()):
        at = schema
        for part in path[:-1]:
            at = at["items"] if part == "[]" else at["properties"][part]
        described = at["items"] if path[-1] == "[]" else at["properties"][path[-1]]
        assert described["type"] == TYPES[shape if isinstance(shape, type) else type(shape)], path
        assert not required or path[-1] in at["required"], path


def _leaves(shape: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    if isinstance(shape, list):
        yield (*path, "[]"), shape[0], False
        yield from _leaves(shape[0], (*path, "[]"))
    if isinstance(shape, dict):
        for field, inner in shape.items():
            name = field.removesuffix("!")
            yield (*path, name), inner, name != field
            yield from _leaves(inner, (*path, name))
