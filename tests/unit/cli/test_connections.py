"""How the API server is reached: the caller's certificate, the cluster's authority, a proxy where one is set."""

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import urllib3

from modelyard.cli.cluster import Cluster
from modelyard.cli.connections import connections
from modelyard.cli.errors import LoginError
from modelyard.cli.kubeconfig import Identity, Login
from modelyard.kube.errors import UnreachableError
from modelyard.kube.kinds import MODEL


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=cluster", "-addext", "subjectAltName=DNS:cluster.example.com"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run([*make, *subject, *files], check=True, capture_output=True)
    return folder / "cert", folder / "key"


def test_both_sides_show_their_certificates(pair: tuple[Path, Path]) -> None:
    cert, key = pair

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"metadata": {"name": "fraud"}}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"https://127.0.0.1:{server.server_port}"
    mine = Identity(certificate=cert.read_bytes(), key=key.read_bytes())
    try:
        login = Login(address, "risk", mine, cert.read_bytes(), server_name="cluster.example.com")
        assert Cluster(lambda: login).get(MODEL, "fraud")["metadata"]["name"] == "fraud"
        unknown = Login(address, "risk", mine, server_name="cluster.example.com")
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            Cluster(lambda: unknown).get(MODEL, "fraud")
        trusting = Login(address, "risk", mine, verify=False)
        assert Cluster(lambda: trusting).get(MODEL, "fraud")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_no_certificate() -> None:
    with pytest.raises(LoginError, match="certificates of the kubeconfig"):
        connections(Login("https://x", "risk", Identity(), authority=b"nonsense"))


@pytest.mark.parametrize(
    ("set_", "own", "proxied"),
    [
        ({}, None, False),
        ({"HTTPS_PROXY": "http://proxy:3128"}, None, True),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example.com"}, None, False),
        ({}, "http://proxy:3128", True),
    ],
)
def test_proxies(monkeypatch: pytest.MonkeyPatch, set_: dict[str, str], own: str | None, proxied: bool) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    pool = connections(Login("https://api.example.com:6443", "risk", Identity(), proxy=own))
    assert isinstance(pool, urllib3.ProxyManager) is proxied
