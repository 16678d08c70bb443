"""Every line of the threat model names the tests that try it, and they exist."""

import ast
import re
from functools import cache

import pytest

from tests.checkout import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
MODEL = PAGE.partition("\n## Threat model\n")[2].partition("\n## ")[0]
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = [line for line in MODEL.splitlines() if line.startswith("| ") and not line.endswith("| Test |")]


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of a file's tests."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_there_is_one() -> None:
    assert len(ROWS) > 40
    assert MODEL.count("\n### ") >= 7


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:60] for row in ROWS])
def test_every_line_is_proved(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 3
    assert all(cells)
    proofs = PROOF.findall(cells[2])
    assert ", ".join(f"`{path}::{test}`" for path, test in proofs) == cells[2]
    for path, test in proofs:
        assert (ROOT / path).is_file(), path
        assert test in names_in(path), f"{path} has no {test}"
