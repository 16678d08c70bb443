"""Whatever a helper finds, it leaves one JSON object of at most 4096 bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.reasons import ArtifactReason
from modelyard.pods.harness import MAX_RESULT, fit, run
from modelyard.storage.errors import ArtifactError

TEXT = st.builds(str.__mul__, st.text('aä\U0001f600\udc80"\\\n', min_size=1, max_size=5), st.integers(0, 1500))
OBJECTS = st.lists(st.tuples(TEXT, st.just("version")), max_size=20)
NOTES = st.lists(st.fixed_dictionaries({"reason": st.just("PickleFound"), "message": TEXT}), max_size=8)


def loaded(result: dict[str, Any]) -> dict[str, Any]:
    text = fit(result)
    assert len(text) <= MAX_RESULT
    found: dict[str, Any] = json.loads(text)
    return found


@given(NOTES, OBJECTS)
def test_a_verified_artifact_is_reported_whatever_its_size(notes: list[Any], objects: list[Any]) -> None:
    facts = {"digest": "sha256:" + "0" * 64, "sizeBytes": 1 << 62, "fileCount": 10**6, "format": "mlflow"}
    found = loaded({**facts, "warnings": notes, "objects": objects})
    assert {key: found.get(key) for key in facts} == facts


@given(TEXT)
def test_an_error_keeps_its_reason(message: str) -> None:
    error = {"reason": "PickleDangerous", "message": message, "transient": False}
    found = loaded({"error": error})["error"]
    assert (found["reason"], found["transient"]) == ("PickleDangerous", False)
    assert message.startswith(found["message"].removesuffix("...")) or found["message"] == message


def test_what_fits_is_left_alone() -> None:
    whole = {"digest": "sha256:0", "warnings": [{"reason": "R", "message": "m" * 900}], "objects": [["a", "1"]]}
    assert loaded(whole) == whole


def test_pinned_objects_go_before_warnings_do() -> None:
    warnings = [{"reason": "R", "message": "m" * 300}] * 8
    assert loaded({"warnings": warnings, "objects": [["p" * 100, "v"]] * 30}) == {"warnings": warnings}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELYARD_TASK_FILE", str(tmp_path / "task"))
    monkeypatch.setenv("MODELYARD_RESULT_FILE", str(tmp_path / "result"))
    (tmp_path / "task").write_text('{"kind": "verify", "uri": "s3://b/m/"}')
    return tmp_path


def test_success(files: Path) -> None:
    assert run(lambda task: {"uri": task["uri"]}) == 0
    assert json.loads((files / "result").read_text()) == {"uri": "s3://b/m/"}


def test_a_refusal(files: Path) -> None:
    def work(task: Any) -> Any:
        raise ArtifactError(ArtifactReason.PREFIX_EMPTY, "nothing there")

    assert run(work) == 1
    error = {"reason": "PrefixEmpty", "message": "nothing there", "transient": False}
    assert json.loads((files / "result").read_text()) == {"error": error}


@pytest.mark.parametrize("task", ["", "[]", "{", None])
def test_a_task_that_cannot_be_read(files: Path, task: str | None) -> None:
    (files / "task").unlink() if task is None else (files / "task").write_text(task)
    assert run(lambda task: {}) == 1
    error = json.loads((files / "result").read_text())["error"]
    assert (error["reason"], error["transient"]) == ("InternalError", True)


def test_a_result_that_cannot_be_written(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_RESULT_FILE", str(files / "no" / "such" / "folder"))
    assert run(lambda task: {}) == 1


def test_the_list_of_files_goes_before_all_else() -> None:
    objects = [["p" * 20, "v"]] * 20
    files = [["p" * 60, "a" * 64, 1]] * 32
    assert loaded({"digest": "sha256:0", "files": files[:5], "objects": objects})["files"] == files[:5]
    assert loaded({"digest": "sha256:0", "files": files, "objects": objects}) == {
        "digest": "sha256:0",
        "objects": objects,
    }
