"""Where the API server is and who we are there, as kubectl understands the same files."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.cli.errors import LoginError
from modelyard.cli.kubeconfig import Choice, log_in

PLUGIN = """#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" > "$OUT"
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-plugin"}}'
"""


def write(path: Path, user: dict[str, Any], context: str = "one", namespace: str = "risk", **cluster: Any) -> Path:
    config = {
        "current-context": context,
        "clusters": [{"name": "c", "cluster": {"server": "https://example.com:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_token_and_the_contexts_namespace(tmp_path: Path) -> None:
    login = log_in(Choice(write(tmp_path / "c", {"token": "t"})))
    assert (login.server, login.namespace) == ("https://example.com:6443", "risk")
    assert login.identity.headers == {"Authorization": "Bearer t"}


def test_what_the_command_line_says_goes_first(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"token": "t", "as": "file"})
    login = log_in(Choice(path, namespace="other", user="alice", groups=("a", "b")))
    assert login.namespace == "other"
    assert login.identity.headers["Impersonate-User"] == "alice"
    assert login.identity.groups == ("a", "b")


def test_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "cert").write_bytes(b"CERT")
    (tmp_path / "token").write_text("from-file\n")
    user = {"client-certificate": "cert", "client-key-data": base64.b64encode(b"KEY").decode(), "tokenFile": "token"}
    login = log_in(Choice(write(tmp_path / "c", user, **{"certificate-authority": "cert"})))
    assert (login.identity.certificate, login.identity.key, login.authority) == (b"CERT", b"KEY", b"CERT")
    assert login.identity.token == "from-file"


def test_several_files_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path / "1", {"token": "1"}), write(tmp_path / "2", {"token": "2"}, context="two")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'absent'}:{second}")
    assert log_in(Choice()).identity.token == "1"
    assert log_in(Choice(context="two")).namespace == "risk"


def test_a_credential_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o755)
    out = tmp_path / "out"
    spec = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "provideClusterInfo": True,
        "env": [{"name": "OUT", "value": str(out)}],
    }  # fmt: skip
    assert log_in(Choice(write(tmp_path / "c", {"exec": spec}))).identity.token == "from-plugin"
    assert yaml.safe_load(out.read_text())["spec"]["cluster"]["server"] == "https://example.com:6443/"


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"exec": {"command": "no-such-plugin", "installHint": "install it"}}, "install it"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider 'gcp' was removed"),
        ({"tokenFile": "absent"}, "tokenFile"),
        ({"client-certificate": "absent"}, "client-certificate"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, user: dict[str, Any], says: str) -> None:
    with pytest.raises(LoginError, match=says):
        log_in(Choice(write(tmp_path / "c", user)))


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "c", {"token": "t"})
    with pytest.raises(LoginError, match="no context 'two' in the kubeconfig, which has: one"):
        log_in(Choice(path, context="two"))
    with pytest.raises(LoginError, match="there is no such file"):
        log_in(Choice(tmp_path / "absent"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(LoginError, match="KUBECONFIG="):
        log_in(Choice())
    (tmp_path / "bad").write_text("{]")
    with pytest.raises(LoginError, match="read kubeconfig"):
        log_in(Choice(tmp_path / "bad"))
