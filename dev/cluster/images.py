"""Which images the native cluster runs, and loading those that changed.

    modelyard:dev                 base <- locked dependencies <- their SBOM <- modelyard's own wheel
    modelyard-example-server:dev  base <- its locked dependencies <- its own files
    modelyard-example-gates:dev   modelyard-example-server:dev <- its own files
    pause                         busybox, which sleeps

What stands in the Dockerfiles is what users build; here `layers` makes the same content without Docker. The
images' settings (user, command, environment) are read from the Dockerfiles, so that the two cannot drift apart.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dev.cluster import layers
from dev.cluster.archive import Image, write_archive, write_layer
from dev.cluster.node import PAUSE_IMAGE, ctr
from dev.cluster.places import CLUSTER, ROOT
from dev.cluster.say import run, step

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR_IMAGE = "modelyard:dev"
SERVER_IMAGE = "modelyard-example-server:dev"
GATES_IMAGE = "modelyard-example-gates:dev"
CONTEXTS = {OPERATOR_IMAGE: ROOT, SERVER_IMAGE: ROOT / "examples" / "server", GATES_IMAGE: ROOT / "examples" / "gates"}
"""Where the Dockerfile of each image is; an image comes after the one it is built on."""


def load_pause() -> None:
    """Load the image that holds a pod's namespaces. Containerd kills it at once when the pod ends."""
    with layers.workshop() as shop:
        rootfs = shop / "rootfs"
        (rootfs / "bin").mkdir(parents=True)
        shutil.copy2("/bin/busybox", rootfs / "bin" / "busybox")
        layer = shop / "pause.tar"
        write_layer(rootfs, layer)
        _load(Image(PAUSE_IMAGE, (layer,), {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]}))


def refresh() -> None:
    """Build what changed, load what the cluster lacks."""
    layers.forget_unused()
    with step(f"image {OPERATOR_IMAGE}"):
        dependencies = layers.operator_dependencies()
        parts = (layers.base(), dependencies, layers.sbom(dependencies), layers.operator())
        _load(Image(OPERATOR_IMAGE, parts, _settings(OPERATOR_IMAGE)))
    with step(f"image {SERVER_IMAGE}"):
        locked = (CONTEXTS[SERVER_IMAGE] / "requirements.lock").read_text()
        server = (layers.base(), layers.packages(locked), _own_files(SERVER_IMAGE))
        _load(Image(SERVER_IMAGE, server, _settings(SERVER_IMAGE)))
    with step(f"image {GATES_IMAGE}"):
        _load(Image(GATES_IMAGE, (*server, _own_files(GATES_IMAGE)), _settings(GATES_IMAGE)))


def _own_files(name: str) -> Path:
    """The layer with the Python files beside an example's Dockerfile."""
    return layers.files(sorted(CONTEXTS[name].glob("*.py")), inside="/app")


def _load(image: Image) -> None:
    """Hand an image to containerd unless it has exactly this one."""
    want = hashlib.sha256(repr(([_identity(layer) for layer in image.layers], image.config)).encode()).hexdigest()
    name = image.name if "/" in image.name else f"docker.io/library/{image.name}"  # as the kubelet looks it up
    there = run(ctr("images", "list", "--quiet"), why="list the node's images").split()
    if _record(image.name).exists() and _record(image.name).read_text() == want and name in there:
        return
    known = run(ctr("content", "list", "--quiet"), why="list the node's layers").split()
    with layers.workshop() as shop:
        archive = shop / "image.tar"
        write_archive(replace(image, name=name), archive, known=known)
        run(ctr("images", "import", str(archive)), why=f"load {image.name} into containerd")
    record(image.name, want)


def record(name: str, content: str) -> None:
    """Note which content is loaded under a name; `make install-dev` restarts the operator when it changes."""
    _record(name).parent.mkdir(parents=True, exist_ok=True)
    _record(name).write_text(content)


def _record(name: str) -> Path:
    return CLUSTER / "images" / name.replace("/", "_").replace(":", "_")


def _settings(name: str) -> dict[str, Any]:
    """How the image runs, as the last stage of its Dockerfile says (exec forms only)."""
    config: dict[str, Any] = {}
    for line in (CONTEXTS[name] / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "FROM":
            config = _settings(rest) if rest in CONTEXTS else {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}
        elif word in ("ENTRYPOINT", "CMD"):
            config[word.capitalize()] = json.loads(rest)
        elif word in ("USER", "WORKDIR"):
            config["User" if word == "USER" else "WorkingDir"] = rest
        elif word == "ENV":
            config["Env"] = [*config["Env"], *shlex.split(rest)]
        elif word == "EXPOSE":
            config["ExposedPorts"] = {f"{port}/tcp": {} for port in rest.split()}
    return config


def _identity(layer: Path) -> str:
    """Cached layers are named by content; the pause image's is made anew each time."""
    return layer.name if layer.parent == layers.FOLDER else hashlib.sha256(layer.read_bytes()).hexdigest()
