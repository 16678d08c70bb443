"""The programs as the pod's command line runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelyard.pods.progress import INTERVAL, ProgressLog
from modelyard.storage.store import StoredObject


@pytest.mark.parametrize("program", ["verify", "fetch", "check"])
def test_nothing_of_the_operator_is_imported(program: str) -> None:
    """A pod starts as fast as its imports."""
    code = f"import sys, modelyard.pods.{program}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"kopf", "kubernetes", "aiohttp", "pydantic", "boto3", "cryptography", "yaml", "modelaudit_picklescan"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("program", ["verify", "fetch", "check"])
def test_a_scheme_that_is_not_supported(program: str, tmp_path: Path) -> None:
    task = {"kind": program, "uri": "gs://bucket/m/", "digest": "sha256:0"}
    (tmp_path / "task").write_text(json.dumps(task))
    files = {"MODELYARD_TASK_FILE": str(tmp_path / "task"), "MODELYARD_RESULT_FILE": str(tmp_path / "result")}
    command = [sys.executable, "-m", f"modelyard.pods.{program}", str(tmp_path / "models")]
    done = subprocess.run(command, env={**os.environ, **files}, capture_output=True, check=False)
    assert done.returncode == 1
    error = json.loads((tmp_path / "result").read_text())["error"]
    assert (error["reason"], error["transient"]) == ("InvalidPath", False)
    assert "s3://" in error["message"]


def test_progress_is_a_few_lines() -> None:
    now = 0.0
    lines: list[dict[str, Any]] = []
    log = ProgressLog("reading", "s3://b/m/", lambda: now, lambda line: lines.append(json.loads(line)))
    for done in range(1, 1001):
        log(StoredObject("a", "a", 1000), done, 1000)
    assert [line.get("bytesRead") for line in lines] == [None, 250, 500, 750, 1000]
    now += INTERVAL
    log(StoredObject("a", "a", 1000), 1000, 1000)
    assert len(lines) == 6
    assert lines[-1] == {
        "message": "reading",
        "uri": "s3://b/m/",
        "bytesRead": 1000,
        "bytesTotal": 1000,
        "seconds": INTERVAL,
    }
