"""The example server speaks MLflow's scoring protocol and fails no request when it is told to stop."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.checkout import ROOT, UV

SERVER = ROOT / "examples" / "server"
# The server's own locked dependencies, not those of this checkout: that the lock is enough is part of the test.
PYTHON = [
    *[UV, "run", "--isolated", "--no-project", "--python", "3.11"],
    *["--with-requirements", str(SERVER / "requirements.lock"), "python"],
]
SAVE = """
import sys
import mlflow.sklearn
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 4.0])  # 1 + 2a + 3b
mlflow.sklearn.save_model(model, sys.argv[1], pip_requirements=["scikit-learn"])
"""
STARTS_WITHIN = 60.0


class Server:
    """A running example server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    @contextmanager
    def connect(self) -> Iterator[HTTPConnection]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            yield connection
        finally:
            connection.close()

    def ping(self) -> int:
        """The status that a client with a new connection gets."""
        with self.connect() as connection:
            return get(connection, "/ping").status

    def await_ready(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the server ended at its start"
            try:
                assert self.ping() == 200
                return
            except ConnectionRefusedError:
                time.sleep(0.1)
        raise AssertionError(f"not ready within {STARTS_WITHIN:g} s")


def get(connection: HTTPConnection, path: str) -> HTTPResponse:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response


def predict(connection: HTTPConnection, body: object, content_type: str | None = "application/json") -> object:
    headers = {"Content-Type": content_type} if content_type else {}
    connection.request("POST", "/invocations", json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    assert response.status == 200, text
    return json.loads(text)["predictions"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "folder"
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([*PYTHON, "-c", SAVE, str(folder)], env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def server(model: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "MODEL_DIR": str(model),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DRAIN_SECONDS": "1",
        "MODELYARD_MODEL": "line",
        "MODELYARD_VERSION": "7",
        "MODELYARD_DIGEST": "sha256:0123",
    }
    process = subprocess.Popen([*PYTHON, str(SERVER / "server.py")], env=environment, start_new_session=True)
    try:
        started = Server(process, port)
        started.await_ready()
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # uv, and the server that it started
        process.wait()


def test_it_answers_by_the_protocol_and_says_who_answered(server: Server) -> None:
    rows = [[1.0, 1.0], [2.0, 0.0]]
    expected = pytest.approx([6.0, 5.0])
    with server.connect() as connection:
        assert predict(connection, {"inputs": rows}) == expected
        assert predict(connection, {"instances": rows}) == expected
        assert predict(connection, {"dataframe_split": {"columns": ["a", "b"], "data": rows}}) == expected
        assert predict(connection, {"inputs": rows}, content_type=None) == expected, "what kubectl create --raw sends"
        version = get(connection, "/version")
    assert version.status == 200
    named = {name: version.headers[f"X-Modelyard-{name}"] for name in ("Model", "Version", "Digest")}
    assert named == {"Model": "line", "Version": "7", "Digest": "sha256:0123"}


def test_it_answers_while_it_drains_and_sends_clients_elsewhere(server: Server) -> None:
    with server.connect() as lasting:
        assert get(lasting, "/ping").headers["Connection"] != "close"
        server.process.send_signal(signal.SIGTERM)
        told, answered = time.monotonic(), 0
        while (response := get(lasting, "/ping")).headers["Connection"] != "close":
            assert time.monotonic() - told < 1, "a draining server has to say so"
        assert response.status == 200
    while True:  # new connections are answered for as long as the port is open
        try:
            answered += server.ping() == 200
        except ConnectionError:
            break
    assert answered
    assert time.monotonic() - told >= 0.9
    assert server.process.wait(timeout=10) == 0
