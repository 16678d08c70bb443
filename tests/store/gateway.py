"""A real S3 server on loopback, started and stopped by whoever needs one. It needs no cluster.

Used by the tests in this folder and by the verification benchmark.
"""

import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from dev.cluster import programs

from modelyard.storage.settings import StorageSettings

START_WITHIN = 20.0
ACCESS_KEY = "modelyard-test"
SECRET_KEY = "modelyard-test-secret"


@dataclass
class Gateway:
    """One versitygw process over one folder."""

    folder: Path
    port: int = field(default_factory=lambda: free_port())
    tls: bool = False
    """Serve HTTPS with a certificate of its own making, `certificate`."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def settings(self) -> StorageSettings:
        return StorageSettings(endpoint=self.endpoint, region="us-east-1", force_path_style=True)

    @property
    def env(self) -> dict[str, str]:
        """The variables that a helper pod would get."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MODELYARD_S3_FORCE_PATH_STYLE": "true",
        }

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        for name in ("iam", "versions", "data"):
            (self.folder / name).mkdir(exist_ok=True)
        binary = programs.ensure(("versitygw",))["versitygw"]
        command = [
            str(binary), "--port", f"127.0.0.1:{self.port}", "--keep-alive", "--quiet", "--iam-dir",
            str(self.folder / "iam"), *self._tls_options(), "posix", "--versioning-dir", str(self.folder / "versions"),
            str(self.folder / "data"),
        ]  # fmt: skip
        secrets = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **secrets}, stdout=log, stderr=log)
        deadline = time.monotonic() + START_WITHIN
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"start versitygw: not listening: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it; the data stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def client(self) -> Any:
        """A plain boto3 client, as an uploader would use it."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}),
        )

    def add_user(self, access: str, secret: str) -> None:
        """A user with credentials of his own, who may read nothing yet."""
        binary = programs.ensure(("versitygw",))["versitygw"]
        login = ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--endpoint-url", self.endpoint]
        user = ["create-user", "--access", access, "--secret", secret, "--role", "user"]
        subprocess.run([str(binary), "admin", *login, *user], check=True, capture_output=True)

    def _tls_options(self) -> list[str]:
        if not self.tls:
            return []
        key = str(self.folder / "key.pem")
        subject = ["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject, "-keyout", key]
        subprocess.run([*make, "-out", str(self.certificate)], check=True, capture_output=True)
        return ["--cert", str(self.certificate), "--key", key]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
