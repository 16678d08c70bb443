"""A real MLflow tracking server on loopback that keeps its files in the tests' object store."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.store.gateway import Gateway, free_port

START_WITHIN = 240.0
"""Its imports and its database take ten seconds on a machine that does nothing else."""


@dataclass
class TrackingServer:
    """One server process over a database in a folder."""

    folder: Path
    gateway: Gateway
    bucket: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--no-serve-artifacts",
            "--default-artifact-root", f"s3://{self.bucket}/mlflow",
        ]  # fmt: skip
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_WITHIN
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"start MLflow: not listening: {(self.folder / 'log').read_text()[-1000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it and the workers it started."""
        if self.process is not None:
            os.killpg(self.process.pid, 15)
            self.process.wait(20)
            self.process = None

    def log_model(self, name: str, alias: str) -> dict[str, Any]:
        """What a training script does: a run with all there is to record, and a registered model with an alias."""
        program = Path(__file__).parent / "train.py"
        environment = {
            **os.environ, **self.gateway.env, "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_S3_ENDPOINT_URL": self.gateway.endpoint, "GIT_PYTHON_REFRESH": "quiet",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(program), name, alias], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        last = done.stdout.strip().splitlines()[-1]
        return dict(pair.split("=", 1) for pair in last.split())

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
