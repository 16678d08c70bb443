"""What the documentation and the examples say of gates is understood."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.api.model import ModelSpec
from modelyard.decide.gates.checks import judge
from modelyard.decide.spec import parse_stages

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "gates.md").read_text()
CANDIDATE = {
    "auc": 0.91,
    "top-1": 0.8,
    "errors": 3,
    "total": 1000,
    "slices": [{"name": "eu", "auc": 0.9}],
    "country": {"de": 0.91, "fr": 0.88},
}
INCUMBENT = {"auc": 0.912, "country": {"de": 0.92, "fr": 0.87}}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found


@pytest.mark.parametrize("check", [line for block in blocks("cel") for line in block.splitlines()])
def test_every_check_that_is_shown_has_an_answer(check: str) -> None:
    (said,) = judge([check], CANDIDATE, INCUMBENT, {"framework": {"name": "scikit-learn"}})
    assert said.result == "Passed", said.message


@pytest.mark.parametrize(
    "spec",
    [
        *[pytest.param(yaml.safe_load(block), id="docs/gates.md") for block in blocks("yaml")],
        *[
            pytest.param(yaml.safe_load(path.read_text())["spec"], id=path.name)
            for path in sorted((ROOT / "examples" / "gates").glob("*.yaml"))
        ],
    ],
)
def test_every_manifest_that_is_shown_is_understood(spec: dict[str, Any]) -> None:
    ModelSpec.model_validate(spec)
    gates = [gate for stage in parse_stages({"metadata": {"name": "digits"}, "spec": spec}) for gate in stage.gates]
    assert gates
    assert [gate.error for gate in gates if gate.error] == []
