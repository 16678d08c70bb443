"""The reference page says everything that is promised to users."""

import subprocess
import sys
from enum import StrEnum

import pytest

from modelyard.api import names
from modelyard.api.kinds import KINDS
from modelyard.api.reference import member_docs, reason_enums, reference
from modelyard.api.schema import structural
from tests.unit.api.schemas import walk

PAGE = reference()


@pytest.mark.parametrize("enum", [pytest.param(enum, id=enum.__name__) for enum in reason_enums()])
def test_every_reason_is_documented(enum: type[StrEnum]) -> None:
    assert set(member_docs(enum)) == {reason.value for reason in enum}, "add a docstring below the member"
    assert enum.__doc__


@pytest.mark.parametrize("enum", [pytest.param(enum, id=enum.__name__) for enum in reason_enums()])
def test_reasons_are_words_as_kubernetes_wants_them(enum: type[StrEnum]) -> None:
    assert [reason for reason in enum if not (reason.isalnum() and reason[0].isupper())] == []


def test_every_field_and_reason_is_on_the_page() -> None:
    described = {
        path.split(".")[-1].removesuffix("[]")
        for kind in KINDS
        for part in ("spec", "status")
        for path, _ in walk(structural(kind)["properties"][part], part)
        if "." in path and not path.endswith((".*", "[]"))
    }
    reasons = {reason.value for enum in reason_enums() for reason in enum}
    unsaid = {word for word in described | reasons if f"`{word}`" not in PAGE}
    assert unsaid == set()


def test_every_label_and_annotation_of_users_is_on_the_page() -> None:
    keys = {value for name, value in vars(names).items() if name.startswith("LABEL_")}
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()


def test_tables_have_as_many_cells_as_columns() -> None:
    width = 0
    for line in PAGE.splitlines():
        cells = line.replace("\\|", "").count("|") - 1 if line.startswith("|") else 0
        assert not (cells and width) or cells == width, line
        width = cells


def test_names_reasons_and_defaults_cost_the_operator_no_pydantic() -> None:
    modules = "modelyard.api.names, modelyard.api.reasons, modelyard.api.defaults"
    code = f"import sys, {modules}; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
