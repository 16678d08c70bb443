"""The generated files are up to date, and the definitions keep the promises made for every field."""

from collections.abc import Iterator

import pytest

from modelyard.api import defaults
from modelyard.api.base import LIST_MAP_KEYS, LIST_TYPE, PATTERN_MESSAGE, VALIDATIONS, alias
from modelyard.api.crd import CRD_FOLDERS, ROOT, crd, generated, main, stale
from modelyard.api.kinds import KINDS, Kind
from modelyard.api.schema import INT_OR_STRING, PRESERVE, structural
from tests.api.broken import BAD_VALUES, OBJECT_CASES, is_immutability, leaf_cases, rules
from tests.api.manifests import FULL
from tests.unit.api.schemas import Schema, misfits, walk

SCHEMAS = {kind.__name__: structural(kind) for kind in KINDS}


def fields(kind: str, part: str) -> Iterator[tuple[str, Schema]]:
    """Every field of a kind's spec or status."""
    yield from walk(SCHEMAS[kind]["properties"][part], part)


EVERY_PART = [pytest.param(kind, part, id=f"{kind}.{part}") for kind in SCHEMAS for part in ("spec", "status")]


def test_the_generated_files_are_up_to_date() -> None:
    assert stale() == [], "run `make crds`"


def test_there_is_no_definition_that_nothing_generates() -> None:
    found = {str(path.relative_to(ROOT)) for folder in CRD_FOLDERS for path in (ROOT / folder).glob("*")}
    assert found == {path for path in generated() if path.endswith(".yaml")}


def test_check_says_which_file_to_generate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("modelyard.api.crd.stale", lambda: ["crds/models.modelyard.dev.yaml"])
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "not up to date, run make crds: crds/models.modelyard.dev.yaml\n"


@pytest.mark.parametrize(("kind", "part"), EVERY_PART)
def test_every_field_has_a_description(kind: str, part: str) -> None:
    bare = [
        path for path, field in fields(kind, part) if not path.endswith(("[]", ".*")) and not field.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize(("kind", "part"), EVERY_PART)
def test_descriptions_are_sentences_without_the_line_breaks_of_the_source(kind: str, part: str) -> None:
    texts = {path: field["description"] for path, field in fields(kind, part) if "description" in field}
    assert [path for path, text in texts.items() if "\n" in text or "  " in text or not text.endswith(".")] == []


@pytest.mark.parametrize(("kind", "part"), EVERY_PART)
def test_the_schema_is_structural(kind: str, part: str) -> None:
    for path, field in fields(kind, part):
        assert field.get(INT_OR_STRING) or "type" in field, path
        assert not field.keys() & {"$ref", "anyOf", "oneOf", "allOf", "default", "nullable", PATTERN_MESSAGE}, path
        assert field.get(PRESERVE, True) is True, path
        if field.get("type") == "array":
            assert field[LIST_TYPE] in ("atomic", "map"), path
            assert set(field.get(LIST_MAP_KEYS, ())) <= set(field["items"].get("required", ())), path


@pytest.mark.parametrize("kind", SCHEMAS)
def test_everything_a_user_writes_is_bounded(kind: str) -> None:
    """CEL rules have a budget that counts the largest possible object, and etcd has a limit."""
    unbounded = []
    for path, field in fields(kind, "spec"):
        match field.get("type"):
            case "string":
                bounded = "maxLength" in field or "enum" in field
            case "array":
                bounded = "maxItems" in field
            case "object" if "additionalProperties" in field:
                bounded = "maxProperties" in field
            case _:
                bounded = True
        unbounded += [] if bounded or path.endswith(".*") else [path]
    assert unbounded == []


@pytest.mark.parametrize("kind", SCHEMAS)
def test_list_maps_are_where_several_managers_may_own_items(kind: str) -> None:
    keys = {path: field[LIST_MAP_KEYS] for path, field in fields(kind, "spec") if LIST_MAP_KEYS in field}
    expected = {
        "Model": {
            "spec.artifactPolicy.signature.certificates": ["name"],
            "spec.artifactPolicy.signature.keys": ["name"],
            "spec.consumers": ["name"],
            "spec.stages": ["name"],
            "spec.stages[].gates": ["name"],
            **{
                f"spec.{place}.template.spec.containers": ["name"]
                for place in ("serving", "stages[].serving", "stages[].gates[].job")
            },
        },
        "ModelVersion": {"spec.artifact.files": ["path"], "spec.serving.env": ["name"]},
    }
    assert keys == expected.get(kind, {})


@pytest.mark.parametrize("kind", SCHEMAS)
def test_conditions_are_a_list_map_by_type(kind: str) -> None:
    assert SCHEMAS[kind]["properties"]["status"]["properties"]["conditions"][LIST_MAP_KEYS] == ["type"]


def test_every_rule_has_an_object_that_breaks_it() -> None:
    messages = {
        rule["message"] for schema in SCHEMAS.values() for _, _, rule in rules(schema) if not is_immutability(rule)
    }
    assert messages == {case.message for case in [*leaf_cases(), *OBJECT_CASES]}


def test_no_bad_value_is_left_over() -> None:
    messages = {case.message for case in leaf_cases()}
    assert [start for start in BAD_VALUES if not any(message.startswith(start) for message in messages)] == []


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_full_objects_use_every_field(kind: str) -> None:
    spec = SCHEMAS[kind]["properties"]["spec"]
    assert list(misfits(FULL[kind]["spec"], spec, "spec")) == []
    unused = set(_unused(spec, [FULL[kind]["spec"]], "spec"))
    assert unused - {f"spec.{name}" for name in ("card.uri", "artifact.external")} == set()


def _unused(schema: Schema, samples: list[object], path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        found = [sample[name] for sample in samples if isinstance(sample, dict) and name in sample]
        if not found:
            yield f"{path}.{name}"
        elif field.get("type") == "array":
            yield from _unused(field["items"], [item for sample in found for item in sample], f"{path}.{name}[]")
        else:
            yield from _unused(field, found, f"{path}.{name}")


@pytest.mark.parametrize("kind", ["ModelVersion", "Approval", "Rollback"])
def test_every_field_is_fixed_but_the_stage_of_a_version(kind: str) -> None:
    spec = SCHEMAS[kind]["properties"]["spec"]
    fixed = [rule["fieldPath"].removeprefix(".") for rule in spec[VALIDATIONS] if is_immutability(rule)]
    assert set(spec["properties"]) - set(fixed) == ({"stage"} if kind == "ModelVersion" else set())


@pytest.mark.parametrize(
    ("path", "default"),
    [
        pytest.param(path, str(default), id=path)
        for path, default in {
            "spec.serving.port": defaults.PORT,
            "spec.serving.progressDeadline": defaults.PROGRESS_DEADLINE,
            "spec.serving.scheduleDeadline": defaults.SCHEDULE_DEADLINE,
            "spec.serving.imagePullDeadline": defaults.IMAGE_PULL_DEADLINE,
            "spec.serving.fetchDeadline": defaults.FETCH_DEADLINE,
            "spec.serving.keepWarm.for": defaults.KEEP_WARM_FOR,
            "spec.serving.drainPeriod": defaults.DRAIN_PERIOD,
            "spec.serving.revisionHistoryLimit": defaults.REVISION_HISTORY_LIMIT,
            "spec.serving.rollout.strategy": defaults.ROLLOUT_STRATEGY,
            "spec.artifactPolicy.pickle": defaults.PICKLE,
            "spec.stages": ", ".join(defaults.STAGES),
            "spec.stages[].gates[].when": defaults.GATE_WHEN,
            "spec.stages[].gates[].inputs": defaults.GATE_INPUTS,
            "spec.stages[].gates[].job.timeout": defaults.GATE_TIMEOUT,
            "spec.stages[].gates[].job.retries": defaults.GATE_RETRIES,
        }.items()
    ],
)
def test_descriptions_name_the_defaults(path: str, default: str) -> None:
    assert f"Default: {default}." in dict(fields("Model", "spec"))[path]["description"]


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in KINDS])
def test_a_definition_is_labelled_and_outlives_the_chart(kind: type[Kind]) -> None:
    metadata = crd(kind)["metadata"]
    assert metadata["labels"]["app.kubernetes.io/name"] == "modelyard"
    assert metadata["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("to_version", "toVersion"), ("run_id", "runID"), ("id", "id"), ("for_", "for"), ("ca_bundle", "caBundle")],
)
def test_aliases_are_written_as_kubernetes_writes_them(name: str, expected: str) -> None:
    assert alias(name) == expected
