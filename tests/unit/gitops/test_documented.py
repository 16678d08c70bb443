"""The manifests that the page on GitOps and its examples show are what the kinds take."""

import re
from typing import Any

import pytest
import yaml

from modelyard.api.base import ApiType
from modelyard.api.decisions import RollbackSpec
from modelyard.api.model import ModelSpec
from modelyard.api.modelversion import ModelVersionSpec
from tests.unit.gitops.judges import ROOT

PAGE = (ROOT / "docs" / "gitops.md").read_text()
SPECS: dict[str, type[ApiType]] = {"Model": ModelSpec, "ModelVersion": ModelVersionSpec, "Rollback": RollbackSpec}
EXAMPLES = sorted([*(ROOT / "examples" / "argocd").glob("*.yaml"), *(ROOT / "examples" / "flux").glob("*.yaml")])


def on_the_page() -> list[Any]:
    texts = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    texts += re.findall(r"<<'END'\n(.*?)^END$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text) for text in texts]


def ours() -> list[dict[str, Any]]:
    in_files = [obj for path in EXAMPLES for obj in yaml.safe_load_all(path.read_text())]
    return [obj for obj in [*on_the_page(), *in_files] if obj.get("apiVersion", "").startswith("modelyard.dev/")]


def test_manifests_are_shown() -> None:
    assert {obj["kind"] for obj in ours()} == set(SPECS)
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("obj", [pytest.param(obj, id=f"{obj['kind']}-{index}") for index, obj in enumerate(ours())])
def test_every_manifest_that_is_shown_is_understood(obj: dict[str, Any]) -> None:
    SPECS[obj["kind"]].model_validate(obj["spec"])
    assert obj["metadata"]["namespace"]


def test_the_waves_of_the_example_put_the_model_first() -> None:
    objects = list(yaml.safe_load_all((ROOT / "examples" / "argocd" / "models.yaml").read_text()))
    waves = {obj["kind"]: int(obj["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for obj in objects}
    assert waves == {"Model": 0, "ModelVersion": 1}


def test_the_application_heals_itself_and_deletes_no_model() -> None:
    application = yaml.safe_load((ROOT / "examples" / "argocd" / "application.yaml").read_text())
    assert application["spec"]["syncPolicy"]["automated"]["selfHeal"] is True
    assert "finalizers" not in application["metadata"]
    assert "ignoreDifferences" not in application["spec"]


def test_the_values_that_are_shown_are_those_of_the_chart() -> None:
    values = yaml.safe_load((ROOT / "charts" / "modelyard" / "values.yaml").read_text())
    (shown,) = [obj for obj in on_the_page() if "admission" in obj]
    assert set(shown["admission"]) <= set(values["admission"])


def test_files_that_the_page_names_exist() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert linked
    assert [name for name in linked if not (ROOT / "docs" / name).exists()] == []
