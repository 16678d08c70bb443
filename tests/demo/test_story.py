"""The demo is told to its end, and says so when something is not as told."""

import json
import os
import shlex
import subprocess
import sys

import pytest
from dev.demo.console import Unexpected
from dev.demo.load import Answer, Tally

from tests.checkout import ROOT, UV
from tests.demo.conftest import Shell
from tests.kube import Kube


@pytest.mark.cluster
def test_the_demo_ends_well_and_leaves_version_1_serving(shell: Shell, mailroom: Kube) -> None:
    told = shell.run(f"{shlex.quote(UV)} run --group demo python -m dev.demo")
    assert "the cluster stays up" in told
    (production,) = [s for s in mailroom.get("model", "digits")["status"]["stages"] if s["name"] == "production"]
    assert production["current"]["version"] == "1"


def test_without_a_cluster_it_says_what_to_do(tmp_path: object) -> None:
    environment = {**os.environ, "MODELYARD_KUBECONFIG": f"{tmp_path}/none"}
    command = [sys.executable, "-m", "dev.demo"]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "run `make cluster`" in done.stderr


def test_a_failed_request_is_never_overlooked() -> None:
    answers = [Answer(at=1.0, version="1", answer=9), Answer(at=2.0, error="ConnectionRefusedError: refused")]
    tally = Tally(answers)
    assert str(tally) == "2 requests, 1 failed; 1 by version 1"
    with pytest.raises(Unexpected, match="1 times ConnectionRefusedError: refused"):
        tally.check()


def test_the_request_is_one_image() -> None:
    (image,) = json.loads((ROOT / "examples" / "two.json").read_text())["inputs"]
    assert len(image) == 64
    assert set(image) <= set(range(17))
