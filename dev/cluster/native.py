"""The native cluster: one real node made of processes on this machine, in a network namespace of its own.

Bringing it up is a list of steps that each make what is missing, so a cluster that was killed
half-way is repaired by the same command, and a running one takes a few seconds. Taking it down
throws all of its state away.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.cluster import (
    access,
    certificates,
    controlplane,
    dns,
    images,
    leftovers,
    network,
    node,
    packages,
    processes,
    programs,
    store,
)
from dev.cluster.places import (
    CLUSTER,
    KUBECONFIG,
    LOG,
    OWNER,
    ROOT,
    RUN,
    S3_ENV,
    SLOT,
    SLOT_FILE,
    SOCKETS,
    STATE,
    USERS,
    owner,
)
from dev.cluster.say import Trouble, note, step

# Who serves the others is stopped last; whatever else has a pid file comes first.
STOPPED_LAST = ("containerd", "kube-apiserver", "etcd")


def up() -> None:
    """Make the cluster whole, whatever state it is in."""
    if os.geteuid() != 0:
        raise Trouble("start the native cluster: needs root; run the command as root, or start Docker to use kind")
    packages.install_missing()
    built = programs.ensure()
    _claim()
    programs.link_clients(built)
    with step("network, certificates, kubeconfigs"):
        network.up()
        certificates.ensure()
        access.ensure_tokens()
        access.write_kubeconfigs(certificates.CA)
    with step("containerd and the pause image"):
        node.start_containerd()
        images.load_pause()
    with step("S3 store"):
        store.start(built)
    with step("etcd, API server, controllers, scheduler"):
        controlplane.start(built)
    with step("kubelet, kube-proxy: node Ready"):
        node.start(built)
    with step("CoreDNS"):
        dns.start(built)
        controlplane.wait_for_controllers(built["kubectl"])


def down() -> None:
    """Stop the processes, end the pods, unmount, remove the namespace; keep logs and the cache."""
    if OWNER.exists() and OWNER.read_text() != str(ROOT):
        return  # another checkout's
    with step("stop the cluster's processes"):
        names = processes.names()
        with ThreadPoolExecutor() as threads:
            list(threads.map(processes.stop, [name for name in names if name not in STOPPED_LAST]))
        for name in STOPPED_LAST:
            processes.stop(name)
    with step("end the pods, unmount, remove the network"):
        leftovers.clear_away(STATE)
        for folder in (RUN, STATE, SOCKETS, USERS, CLUSTER / "images"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (KUBECONFIG, S3_ENV, SLOT_FILE):
            file.unlink(missing_ok=True)


def exists() -> bool:
    """Whether this checkout has a native cluster, or a part of one."""
    return OWNER.exists() and OWNER.read_text() == str(ROOT)


def _claim() -> None:
    """Note that this cluster is ours; clear away one whose checkout was deleted while it ran."""
    before = OWNER.read_text() if OWNER.exists() else ""
    if owner(SLOT) not in ("", str(ROOT)):
        raise Trouble(f"start the native cluster: number {SLOT} belongs to {before}; run `make down` there first")
    if before not in ("", str(ROOT)):
        with step(f"clear away the cluster of {before}, which was deleted"):
            leftovers.clear_away(Path(before, ".cluster", "state"))
            shutil.rmtree(SOCKETS, ignore_errors=True)
    if SLOT:
        note(f"  number {SLOT}, beside the cluster of {owner(0) or 'another checkout'}")
    SOCKETS.mkdir(parents=True, exist_ok=True)
    RUN.mkdir(parents=True, exist_ok=True)
    OWNER.write_text(str(ROOT))
    SLOT_FILE.write_text(str(SLOT))


def status() -> bool:
    """Print each program with whether it runs; True when all do."""
    states = {name: processes.running(name) for name in processes.names()}
    for name, alive in states.items():
        note(f"  {name:<26} {'running' if alive else 'dead, see ' + str(LOG / name) + '.log'}")
    if not states:
        note("  no cluster runs; `make cluster` starts one")
    return bool(states) and all(states.values())


def load_images() -> None:
    """Build and load what changed."""
    images.refresh()
