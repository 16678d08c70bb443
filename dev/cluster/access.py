"""Who may talk to the cluster, and the kubeconfig of each: administrator, test users, the cluster's own parts.

Test users are people with different groups, so that RBAC and admission policies are tried for real.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

from dev.cluster.places import API_PORT, CLUSTER, CONTEXT, KUBECONFIG, NODE_ADDRESS, NODE_NAME, STATE, USERS
from dev.cluster.say import run

if TYPE_CHECKING:
    from pathlib import Path

Fields = dict[str, Any]

TOKENS = STATE / "tokens.csv"
PEOPLE = {
    "alice": ["risk-ml"],
    "bob": ["risk-ml"],
    "carol": ["reviewers"],
    "dave": ["oncall"],
    "eve": [],
}
ADMIN = "admin"
PARTS = {
    ADMIN: ["system:masters"],
    "system:kube-controller-manager": [],
    "system:kube-scheduler": [],
    "system:kube-proxy": [],
    "system:coredns": [],
    f"system:node:{NODE_NAME}": ["system:nodes"],
}
SERVER = f"https://{NODE_ADDRESS}:{API_PORT}"


def ensure_tokens() -> None:
    """Write the API server's list of tokens, users and groups, once for each cluster."""
    if TOKENS.exists():
        return
    rows = ((secrets.token_hex(16), user, user, groups) for user, groups in {**PARTS, **PEOPLE}.items())
    lines = (",".join(row) + (f',"{",".join(groups)}"' if groups else "") for *row, groups in rows)
    _write(TOKENS, "".join(f"{line}\n" for line in lines))


def write_kubeconfigs(authority: Path) -> None:
    """Write a kubeconfig for the administrator, one for each part of the cluster, and one for each test user."""
    server = {
        "server": SERVER,
        "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode(),
    }
    for line in TOKENS.read_text().splitlines():
        token, user = line.split(",")[:2]
        _write_kubeconfig(_place(user), server, user, {"token": token})


def adopt(kubectl: Path, kubeconfig: Path) -> None:
    """Write the same kubeconfigs for a cluster that has no users of ours: its administrator acts as them."""
    view = ["config", "view", "--raw", "--minify", "--flatten", "--output=json"]
    config = json.loads(run([str(kubectl), f"--kubeconfig={kubeconfig}", *view], why=f"read {kubeconfig}"))
    server, credentials = config["clusters"][0]["cluster"], config["users"][0]["user"]
    _write_kubeconfig(KUBECONFIG, server, ADMIN, credentials)
    for user, groups in PEOPLE.items():
        _write_kubeconfig(_place(user), server, user, {**credentials, "as": user, "as-groups": groups})


def part(user: str) -> Path:
    """The kubeconfig of one of the cluster's own programs."""
    return _place(user)


def _write_kubeconfig(path: Path, server: Fields, user: str, credentials: Fields) -> None:
    """Write a kubeconfig with one context; JSON, which is YAML too."""
    context = {"cluster": CONTEXT, "user": user}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": server}],
        "contexts": [{"name": CONTEXT, "context": context}],
        "users": [{"name": user, "user": credentials}],
    }
    _write(path, json.dumps(config, indent=1) + "\n")


def _place(user: str) -> Path:
    if user == ADMIN:
        return KUBECONFIG
    if user in PEOPLE:
        return USERS / f"{user}.kubeconfig"
    return STATE / "access" / f"{user.removeprefix('system:').replace(':', '-')}.kubeconfig"


def _write(path: Path, text: str) -> None:
    """Write a secret as a whole or not at all, readable by its owner alone."""
    CLUSTER.mkdir(exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.touch(mode=0o600)
    half.write_text(text)
    half.rename(path)
