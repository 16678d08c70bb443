"""The cluster where Docker or Podman runs: kind, with the same store, users and images as the native one.

Continuous integration does not exercise this path: its machines have no container engine.
"""

from __future__ import annotations

import json
import os
import shutil

from dev.cluster import access, processes, programs, store
from dev.cluster.images import CONTEXTS, record
from dev.cluster.places import BIN, CACHE, CLUSTER, CONTEXT, KUBECONFIG, S3_ENV, STATE
from dev.cluster.say import run, step, succeeds

VERSION = "v0.33.0"
OWN_CONFIG = STATE / "kind.kubeconfig"


def engine() -> str:
    """Which container engine really runs; nothing when none does."""
    if succeeds(["docker", "version", "--format", "{{.Server.Version}}"]):
        return "docker"
    return "podman" if succeeds(["podman", "info"]) else ""


def possible() -> bool:
    """Whether a container engine runs."""
    return bool(engine())


def exists() -> bool:
    """Whether this checkout has such a cluster."""
    return OWN_CONFIG.exists()


def up() -> None:
    """Make the cluster, or use the one that is there."""
    built = programs.ensure(programs.CLIENTS)
    programs.link_clients(built)
    STATE.mkdir(parents=True, exist_ok=True)
    if CONTEXT not in _kind("get", "clusters").splitlines():
        with step("kind create cluster"):
            _kind("create", "cluster", f"--name={CONTEXT}", f"--kubeconfig={OWN_CONFIG}", "--wait=120s")
    else:
        _kind("export", "kubeconfig", f"--name={CONTEXT}", f"--kubeconfig={OWN_CONFIG}")
    access.adopt(built["kubectl"], OWN_CONFIG)
    with step("S3 store"):
        store.start(built, _gateway(), isolated=False)


def load_images() -> None:
    """Build the images as users do and load them."""
    for name, context in CONTEXTS.items():
        with step(f"image {name}"):
            full = f"docker.io/library/{name}"  # Podman would call it localhost/…
            run([engine(), "build", "--quiet", "--tag", full, str(context)], why=f"build {name}")
            _kind("load", "docker-image", full, f"--name={CONTEXT}")
            record(name, run([engine(), "image", "inspect", "--format={{.Id}}", full], why="find the image's id"))


def down() -> None:
    """Delete the cluster and stop the store."""
    with step("kind delete cluster"):
        for name in processes.names():
            processes.stop(name)
        _kind("delete", "cluster", f"--name={CONTEXT}")
        for leftover in (STATE, CLUSTER / "images", KUBECONFIG, S3_ENV):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def status() -> bool:
    """Whether the cluster answers."""
    return succeeds([str(BIN / "kubectl"), f"--kubeconfig={KUBECONFIG}", "get", "--raw=/readyz"])


def _kind(*arguments: str) -> str:
    env = {**os.environ, "KIND_EXPERIMENTAL_PROVIDER": engine()}
    return run([_program(), *arguments], why=f"kind {arguments[0]} {arguments[1]}", env=env)


def _program() -> str:
    """The machine's kind, else one built from its Go module."""
    found = shutil.which("kind")
    if found:
        return found
    built = CACHE / "programs" / f"kind-{VERSION}" / "kind"
    if not built.exists():
        with step(f"build kind {VERSION}"):
            env = {**os.environ, "GOBIN": str(built.parent)}
            run([programs.go(), "install", f"sigs.k8s.io/kind@{VERSION}"], why="build kind", env=env)
    return str(built)


def _gateway() -> str:
    """This machine's address on kind's network, which its pods reach as well."""
    networks = json.loads(run([engine(), "network", "inspect", "kind"], why="find kind's network"))
    text = json.dumps(networks)  # Docker and Podman nest it differently
    found = [
        part for part in text.replace('"', " ").split() if part.count(".") == 3 and part.replace(".", "").isdigit()
    ]
    return found[0]
