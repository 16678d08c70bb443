"""Where is the API server, and who are we there? Read as kubectl reads it.

`--kubeconfig`, else the files that KUBECONFIG lists, else ~/.kube/config, else the pod's own ServiceAccount. Called
once by a command that talks to a cluster. The client library's own reader takes most of a second to import, more than
everything that a command does; what is not understood here is refused with its name, never guessed.
"""

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.cli.errors import LoginError

Obj = Mapping[str, Any]
DEFAULT_PATH = Path("~/.kube/config")
POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_TIMEOUT = 60


@dataclass(frozen=True)
class Identity:
    """How requests are signed."""

    token: str | None = None
    basic: tuple[str, str] | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    user: str | None = None
    """Whom to act as (--as)."""
    groups: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request. Groups have a header each and are left to the client."""
        found = {}
        if self.token:
            found["Authorization"] = f"Bearer {self.token}"
        elif self.basic:
            text = ":".join(self.basic).encode()
            found["Authorization"] = f"Basic {base64.b64encode(text).decode()}"
        if self.user:
            found["Impersonate-User"] = self.user
        return found


@dataclass(frozen=True)
class Login:
    """One API server, one identity, one namespace."""

    server: str
    namespace: str
    identity: Identity
    authority: bytes | None = None
    """Certificates that the server's is checked against; the system's when absent."""
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class Choice:
    """What the command line says about the cluster."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()


def log_in(choice: Choice) -> Login:
    """Read the configuration and, where it names one, run the credential plugin."""
    paths = _paths(choice)
    if not paths and (POD / "token").is_file() and not choice.context:
        return _as_pod(choice)
    merged = _merged(paths)
    context_name = choice.context or merged["current-context"]
    if not context_name:
        where = ", ".join(map(str, paths)) or f"no file at {DEFAULT_PATH}"
        raise LoginError(f"log in to the cluster: {where}: no current context; set KUBECONFIG or give --context")
    context = _named(merged, "contexts", context_name, "context")
    cluster = _named(merged, "clusters", context.get("cluster", ""), "cluster")
    user = _named(merged, "users", context["user"], "user") if context.get("user") else {}
    if not cluster.get("server"):
        raise LoginError(f"log in to the cluster: context {context_name!r} names no server; correct the kubeconfig")
    authority = _bytes(cluster, "certificate-authority")
    return Login(
        server=str(cluster["server"]).rstrip("/"),
        namespace=choice.namespace or context.get("namespace") or "default",
        identity=_identity(user, cluster, choice),
        authority=authority,
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
    )


def _paths(choice: Choice) -> list[Path]:
    if choice.kubeconfig is not None:
        if not choice.kubeconfig.is_file():
            raise LoginError(f"log in to the cluster: --kubeconfig {choice.kubeconfig}: there is no such file")
        return [choice.kubeconfig]
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    found = [path for path in (listed or [DEFAULT_PATH.expanduser()]) if path.is_file()]
    if listed and not found:
        raise LoginError(f"log in to the cluster: KUBECONFIG={os.environ['KUBECONFIG']}: there is no such file")
    return found


def _merged(paths: Iterable[Path]) -> dict[str, Any]:
    """Several files as one: the first that says something wins. Relative paths are relative to their file."""
    merged: dict[str, Any] = {"current-context": "", "contexts": {}, "clusters": {}, "users": {}}
    for path in paths:
        found = _parsed(path)
        merged["current-context"] = merged["current-context"] or found.get("current-context") or ""
        for plural in ("contexts", "clusters", "users"):
            for entry in found.get(plural) or ():
                body = {**(entry.get(plural.removesuffix("s")) or {}), "__folder__": path.parent}
                merged[plural].setdefault(entry["name"], body)
    return merged


def _parsed(path: Path) -> Obj:
    try:
        text = path.read_text()
        found = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except (OSError, ValueError) as error:
        raise LoginError(f"read kubeconfig {path}: {error}") from error
    if not isinstance(found, Mapping):
        raise LoginError(f"read kubeconfig {path}: it is not a kubeconfig")
    return found


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from error


def _named(merged: Obj, plural: str, name: str, what: str) -> Obj:
    found: Obj | None = merged[plural].get(name)
    if found is None:
        known = ", ".join(sorted(merged[plural])) or "none"
        raise LoginError(f"log in to the cluster: there is no {what} {name!r} in the kubeconfig, which has: {known}")
    return found


def _bytes(entry: Obj, field: str) -> bytes | None:
    """A certificate or key: inline as `<field>-data`, or in the file that `<field>` names."""
    if entry.get(f"{field}-data"):
        return base64.b64decode(entry[f"{field}-data"])
    if not entry.get(field):
        return None
    path = entry["__folder__"] / str(entry[field])
    try:
        return bytes(path.read_bytes())
    except OSError as error:
        raise LoginError(f"log in to the cluster: {field}: {error}") from error


def _identity(user: Obj, cluster: Obj, choice: Choice) -> Identity:
    if user.get("auth-provider"):
        name = user["auth-provider"].get("name")
        message = (
            f"auth-provider {name!r} was removed from Kubernetes in 1.26; use its credential plugin (users[].exec)"
        )
        raise LoginError(f"log in to the cluster: {message}")
    token, certificate, key = user.get("token"), _bytes(user, "client-certificate"), _bytes(user, "client-key")
    if not token and user.get("tokenFile"):
        try:
            token = (user["__folder__"] / user["tokenFile"]).read_text().strip()
        except OSError as error:
            raise LoginError(f"log in to the cluster: tokenFile: {error}") from error
    if user.get("exec") and not token and not certificate:
        given = _from_plugin(user["exec"], cluster)
        token = given.get("token")
        certificate = (given.get("clientCertificateData") or "").encode() or None
        key = (given.get("clientKeyData") or "").encode() or None
    basic = (user["username"], user.get("password", "")) if user.get("username") else None
    as_user = choice.user or user.get("as")
    groups = choice.groups or tuple(user.get("as-groups") or ())
    return Identity(token, basic, certificate, key, as_user, groups)


def _from_plugin(spec: Obj, cluster: Obj) -> Obj:
    """The credentials that an exec plugin prints (client.authentication.k8s.io)."""
    version = spec.get("apiVersion", "client.authentication.k8s.io/v1")
    info: dict[str, Any] = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if spec.get("provideClusterInfo"):
        known = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
        info["spec"]["cluster"] = {name: cluster[name] for name in known if name in cluster}
    extra = {entry["name"]: entry["value"] for entry in spec.get("env") or ()}
    environment = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    command = str(spec["command"])
    if os.sep in command:  # relative to the kubeconfig, unlike a name that is looked up on the PATH
        command = str(cluster["__folder__"] / command)
    try:
        done = subprocess.run(
            [command, *(spec.get("args") or ())],
            env=environment, stdout=subprocess.PIPE, check=True, timeout=EXEC_TIMEOUT,
        )  # fmt: skip
        given: Obj = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        hint = spec.get("installHint") or "run it by hand to see what it says"
        raise LoginError(f"log in to the cluster: credential plugin {command!r}: {error}; {hint}") from error
    return given


def _as_pod(choice: Choice) -> Login:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise LoginError("log in to the cluster: KUBERNETES_SERVICE_HOST is not set in this pod; set KUBECONFIG")
    return Login(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=choice.namespace or (POD / "namespace").read_text().strip(),
        identity=Identity((POD / "token").read_text().strip(), user=choice.user, groups=choice.groups),
        authority=(POD / "ca.crt").read_bytes(),
    )
