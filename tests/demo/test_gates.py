"""The example gates leave the numbers that their checks ask for, and the manifests ask for nothing else."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from modelyard.decide.gates import checks
from modelyard.decide.gates.output import Output, parse
from tests.checkout import ROOT
from tests.demo.test_server import PYTHON, SERVER, Server

GATES = ROOT / "examples" / "gates"
DIGEST = "sha256:0123"
SAVE = """
import sys
import mlflow.sklearn
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
digits = load_digits()
for name, images in (("good", 1297), ("poor", 100)):
    model = LogisticRegression(max_iter=500).fit(digits.data[:images], digits.target[:images])
    mlflow.sklearn.save_model(model, f"{sys.argv[1]}/{name}", pip_requirements=["scikit-learn"])
"""
SLICES = """
import pathlib, sys
import slices
for folder in map(pathlib.Path, sys.argv[1:]):
    slices.MODELS, slices.RESULT = folder, folder / "result"
    slices.main()
"""


def program(name: str) -> ModuleType:
    """One of the programs, loaded but not run."""
    spec = importlib.util.spec_from_file_location(f"gate_{name}", GATES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gate(name: str) -> dict[str, Any]:
    """A gate as it is written in the manifests."""
    for path in GATES.glob("*.yaml"):
        for stage in yaml.safe_load(path.read_text())["spec"]["stages"]:
            for found in stage.get("gates", []):
                if found["name"] == name:
                    return dict(found)
    raise AssertionError(f"no gate {name}")


def verdicts(name: str, output: Path, *, compared: bool) -> list[str]:
    """What the gate's checks say of what the program left."""
    found = parse(output.read_text())
    assert isinstance(found, Output), found
    said = checks.judge(gate(name)["checks"], found.candidate, found.incumbent if compared else None, {})
    assert not [each for each in said if each.result == "Error"], said
    return [each.result for each in said]


def python(program: str, *arguments: object) -> None:
    """Run a program with the demo's packages, in a process of its own: their warnings are not ours."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=GATES, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions as the demo trains them: `good` on all images, `poor` on a hundred."""
    folder = tmp_path_factory.mktemp("models")
    python(SAVE, folder)
    return folder


@pytest.fixture(scope="module")
def endpoint(models: Path) -> Iterator[str]:
    """The better version, served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"MODEL_DIR": str(models / "good"), "HOST": "127.0.0.1", "PORT": str(port), "MODELYARD_DIGEST": DIGEST}
    environment = {**os.environ, **settings}
    process = subprocess.Popen([*PYTHON, str(SERVER / "server.py")], env=environment, start_new_session=True)
    try:
        Server(process, port).await_ready()
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # uv, and the server that it started
        process.wait()


def test_slices(models: Path, tmp_path: Path) -> None:
    cases = {
        ("good", "poor"): ["Passed", "Passed", "Passed"],
        ("poor", "good"): ["Failed", "Failed", "Failed"],
        ("good", None): ["Skipped", "Passed", "Skipped"],
    }
    for candidate, incumbent in cases:
        folder = tmp_path / f"{candidate}-{incumbent}"
        shutil.copytree(models / candidate, folder / "candidate")
        if incumbent:
            shutil.copytree(models / incumbent, folder / "incumbent")
    python(SLICES, *tmp_path.iterdir())
    for (candidate, incumbent), expected in cases.items():
        result = tmp_path / f"{candidate}-{incumbent}" / "result"
        assert verdicts("slices", result, compared=incumbent is not None) == expected


def test_latency(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latency: Any = program("latency")
    latency.RESULT = tmp_path / "result"
    both = {"candidate": endpoint, "incumbent": endpoint}
    monkeypatch.setattr(latency, "sides", lambda: both)
    latency.main()
    assert set(verdicts("latency", latency.RESULT, compared=True)) <= {"Passed", "Failed"}
    assert json.loads(latency.RESULT.read_text())["candidate"]["p99_ms"] > 0


@pytest.mark.parametrize(
    ("incumbent", "expected"),
    [
        ("6", {"candidate": "digits-production-c.mailroom.svc:8080", "incumbent": "digits-production:8080"}),
        ("", {"candidate": "digits-production-c.mailroom.svc:8080"}),
    ],
)
def test_latency_finds_both_sides(incumbent: str, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"ENDPOINT": "digits-production-c.mailroom.svc:8080", "INCUMBENT_VERSION": incumbent}
    for name, value in {**told, "MODEL": "digits", "STAGE": "production"}.items():
        monkeypatch.setenv(f"MODELYARD_{name}", value)
    latency: Any = program("latency")
    assert latency.sides() == expected


def test_integration(endpoint: str) -> None:
    command = ["python3", str(GATES / "integration.py")]
    told = {**os.environ, "MODELYARD_ENDPOINT": endpoint, "MODELYARD_DIGEST": DIGEST}
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    other = {**told, "MODELYARD_DIGEST": "sha256:4567"}
    done = subprocess.run(command, env=other, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "test_it_is_this_version_that_answers" in done.stderr
    assert "checks" not in gate("integration")


def test_the_manifests_run_the_programs_that_are_in_the_image() -> None:
    copied = set(re.findall(r"\w+\.py", (GATES / "Dockerfile").read_text()))
    for name in ("slices", "latency", "integration"):
        (container,) = gate(name)["job"]["template"]["spec"]["containers"]
        assert container["command"] == ["python3", f"{name}.py"]
        assert container["image"] == "modelyard-example-gates:dev"
        assert f"{name}.py" in copied
