"""A versitygw for the whole run, an empty bucket for each test, and the helper programs run as pods run them."""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelyard.storage.s3 import S3Store
from tests.store.gateway import Gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    server = Gateway(tmp_path_factory.mktemp("versitygw"))
    server.start()
    yield server
    server.stop()


@dataclass
class Bucket:
    """An empty bucket, and the few things that tests do to it."""

    client: Any
    name: str

    def put(self, files: dict[str, bytes], prefix: str = "") -> None:
        for path, content in files.items():
            self.client.put_object(Bucket=self.name, Key=prefix + path, Body=content)

    def version(self) -> None:
        state = {"Status": "Enabled"}
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration=state)

    def uri(self, key: str = "") -> str:
        return f"s3://{self.name}/{key}"


@pytest.fixture
def bucket(gateway: Gateway) -> Bucket:
    client = gateway.client()
    name = f"test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return Bucket(client, name)


@pytest.fixture
def store(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)
    return S3Store(gateway.settings)


@dataclass
class Outcome:
    """What a helper program left behind."""

    code: int
    result: dict[str, Any]
    size: int
    log: str

    @property
    def reason(self) -> str:
        return str(self.result["error"]["reason"])

    @property
    def message(self) -> str:
        return str(self.result["error"]["message"])

    @property
    def transient(self) -> bool:
        return bool(self.result["error"]["transient"])


class Helper:
    """Runs `python -m modelyard.pods.<name>` with the environment of a pod."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def __call__(self, program: str, task: dict[str, Any], *arguments: str, **env: str) -> Outcome:
        task_file, result_file = self.folder / "task.json", self.folder / "result.json"
        task_file.write_text(json.dumps({"kind": program, **task}))
        result_file.unlink(missing_ok=True)
        files = {"MODELYARD_TASK_FILE": str(task_file), "MODELYARD_RESULT_FILE": str(result_file)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MODELYARD_"))}
        command = [sys.executable, "-m", f"modelyard.pods.{program}", *arguments]
        environment = {**clean, **self.env, **files, **env}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        text = result_file.read_bytes()
        return Outcome(done.returncode, json.loads(text), len(text), done.stdout + done.stderr)


@pytest.fixture
def helper(gateway: Gateway, tmp_path: Path) -> Helper:
    return Helper(tmp_path, gateway.env)


def digest_of(files: dict[str, bytes]) -> str:
    """The digest by its definition, without the code under test."""
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files, key=str.encode)]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
