"""Which images the native cluster runs, and how they are built without Docker.

    modelyard:dev                 base <- locked dependencies <- modelyard's own wheel
    modelyard-example-server:dev  base <- its locked dependencies <- its own files
    pause                         busybox, which sleeps

What stands in the Dockerfiles is what users build; here the base is Debian 12's own Python 3.11 (`mmdebstrap`),
and the image's settings (user, command, environment) are read from the Dockerfile, so that the two cannot
drift apart. Each layer is cached under the name of what went into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.cluster.archive import Image, write_archive, write_layer
from dev.cluster.node import PAUSE_IMAGE, ctr
from dev.cluster.places import CACHE, CLUSTER, ROOT
from dev.cluster.say import note, run, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPERATOR_IMAGE = "modelyard:dev"
SERVER_IMAGE = "modelyard-example-server:dev"
SERVER_CONTEXT = ROOT / "examples" / "server"
LAYERS = CACHE / "images"
KEPT_SECONDS = 14 * 24 * 3600
PYTHON = "3.11"
PACKAGES = "usr/local/lib/python3.11/dist-packages"  # on the path of Debian's python3
UV = os.environ.get("UV", "uv")

# Packages are only unpacked, not configured: no compiler, no package manager, no shell but busybox.
BASE_PACKAGES = ("base-files", "busybox-static", "ca-certificates", "libstdc++6", "media-types", "python3", "tzdata")
BASE_RECIPE = 1  # raised when what `_bootstrap` does changes
ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/sh",
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false",
    "modelyard:x:65532:65532:modelyard:/nonexistent:/bin/false",
)
BUSYBOX = "sh cat cp df du env find grep head id ls mkdir ps rm sed sha256sum sleep sort tail test touch wc"


def load_pause() -> None:
    """Load the image that holds a pod's namespaces. Containerd kills it at once when the pod ends."""
    with _workshop() as shop:
        rootfs = shop / "rootfs"
        (rootfs / "bin").mkdir(parents=True)
        shutil.copy2("/bin/busybox", rootfs / "bin" / "busybox")
        layer = shop / "pause.tar"
        write_layer(rootfs, layer)
        _load(Image(PAUSE_IMAGE, (layer,), {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]}))


def refresh() -> None:
    """Build what changed, load what the cluster lacks."""
    _forget_unused()
    with step(f"image {OPERATOR_IMAGE}"):
        _load(Image(OPERATOR_IMAGE, (_base(), _operator_dependencies(), _operator()), _settings(ROOT / "Dockerfile")))
    if not (SERVER_CONTEXT / "Dockerfile").exists():
        note(f"  image {SERVER_IMAGE}: no {SERVER_CONTEXT.relative_to(ROOT)}/Dockerfile yet, left out")
        return
    with step(f"image {SERVER_IMAGE}"):
        layers = (_base(), _requirements(SERVER_CONTEXT / "requirements.lock"), _server())
        _load(Image(SERVER_IMAGE, layers, _settings(SERVER_CONTEXT / "Dockerfile")))


def _load(image: Image) -> None:
    """Hand an image to containerd unless it has exactly this one."""
    want = hashlib.sha256(repr(([_identity(layer) for layer in image.layers], image.config)).encode()).hexdigest()
    name = image.name if "/" in image.name else f"docker.io/library/{image.name}"  # as the kubelet looks it up
    there = run(ctr("images", "list", "--quiet"), why="list the node's images").split()
    if _record(image.name).exists() and _record(image.name).read_text() == want and name in there:
        return
    known = run(ctr("content", "list", "--quiet"), why="list the node's layers").split()
    with _workshop() as shop:
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


def _cached(kind: str, ingredients: str | bytes, build: Callable[[Path], None], *, inside: str = "") -> Path:
    """The layer made of these ingredients; `build` fills a folder with its files when it is not there yet."""
    data = ingredients.encode() if isinstance(ingredients, str) else ingredients
    layer = LAYERS / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}.tar"
    if not layer.exists():
        with _workshop() as shop:
            folder = shop / "files"
            folder.mkdir()
            build(folder)
            write_layer(folder, layer, inside=inside)
    layer.touch()  # so that one can tell which are still used
    return layer


def _forget_unused() -> None:
    """Drop what no image has used for long; every edit of the sources leaves a layer behind."""
    for entry in LAYERS.glob("[!.]*.tar"):
        if time.time() - entry.stat().st_mtime > KEPT_SECONDS:
            entry.unlink(missing_ok=True)


def _base() -> Path:
    """Debian 12 with Python and busybox."""

    def build(folder: Path) -> None:
        shutil.copytree(_rootfs(), folder, symlinks=True, dirs_exist_ok=True)

    return _cached("base", _base_ingredients(), build)


def _base_ingredients() -> str:
    return repr((BASE_RECIPE, BASE_PACKAGES, ACCOUNTS, BUSYBOX))


def _rootfs() -> Path:
    """The base as a folder, which also serves to compile Python files with the very Python that will run them."""
    place = LAYERS / f"base-{hashlib.sha256(_base_ingredients().encode()).hexdigest()[:12]}"
    if not place.exists():
        with _workshop() as shop:
            folder = shop / "rootfs"
            _bootstrap(folder)
            _compile(folder, folder / "usr" / "lib" / f"python{PYTHON}")
            folder.rename(place)
    return place


def _bootstrap(folder: Path) -> None:
    """Unpack Debian packages, drop what a container does not need, write what their installation would have."""
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(BASE_PACKAGES)}"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--format=directory", "bookworm", str(folder)]
    run(command, why="unpack the images' base from Debian packages")
    for unneeded in ("dev", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache", "var/lib/apt"):
        shutil.rmtree(folder / unneeded, ignore_errors=True)
    accounts = [line.split(":") for line in ACCOUNTS]
    (folder / "etc" / "passwd").write_text("".join(":".join(account) + "\n" for account in accounts))
    (folder / "etc" / "group").write_text("".join(":".join(account[:3]) + ":\n" for account in accounts))
    for name in BUSYBOX.split():
        link = folder / "usr" / "bin" / name
        if not link.is_symlink():
            link.symlink_to("busybox")
    authorities = sorted((folder / "usr" / "share" / "ca-certificates" / "mozilla").glob("*.crt"))
    bundle = folder / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(file.read_text() for file in authorities))
    for name in ("mnt", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "tmp").chmod(0o1777)


def _operator_dependencies() -> Path:
    """What uv.lock says the operator needs, in exactly those versions."""
    export = [UV, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    locked = run(export, why="read uv.lock", cwd=ROOT)
    return _cached("python", locked, lambda folder: _install(folder, locked), inside=PACKAGES)


def _requirements(lock: Path) -> Path:
    locked = lock.read_text()
    return _cached("python", locked, lambda folder: _install(folder, locked), inside=PACKAGES)


def _install(folder: Path, locked: str) -> None:
    """Install locked wheels for the image's Python, whatever this machine's is."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(locked)
        requirements.flush()
        command = [UV, "pip", "install", "--quiet", "--target", str(folder), "--python-version", PYTHON]
        command += ["--python-platform", "linux", "--only-binary", ":all:", "--link-mode", "copy", "--no-deps"]
        run([*command, "--requirements", requirements.name], why="install the locked packages")
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for tests in [path for path in folder.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests)
    _compile(_rootfs(), folder)


def _operator() -> Path:
    """Modelyard itself, installed from the wheel that users get."""
    sources = [ROOT / "pyproject.toml", *sorted((ROOT / "operator" / "modelyard").rglob("*"))]
    files = [path for path in sources if path.is_file() and path.suffix != ".pyc"]
    ingredients = b"".join(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() for path in files)
    return _cached("modelyard", ingredients, _build_operator, inside=PACKAGES)


def _build_operator(folder: Path) -> None:
    with _workshop() as shop:
        run([UV, "build", "--quiet", "--wheel", "--out-dir", str(shop), str(ROOT)], why="build modelyard's wheel")
        wheel = next(shop.glob("*.whl"))
        shutil.unpack_archive(wheel, folder, "zip")
    _compile(_rootfs(), folder)


def _server() -> Path:
    """The example server's own files, where its Dockerfile puts them."""
    files = sorted(SERVER_CONTEXT.glob("*.py"))
    ingredients = b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)

    def build(folder: Path) -> None:
        for file in files:
            shutil.copyfile(file, folder / file.name)

    where = str(_settings(SERVER_CONTEXT / "Dockerfile").get("WorkingDir", "/app")).strip("/")
    return _cached("server", ingredients, build, inside=where)


def _compile(rootfs: Path, folder: Path) -> None:
    """Compile Python files with the image's own Python: an import of boto3 without it takes seconds.

    The folder is seen inside for the time of that command alone, in a mount namespace of its own.
    """
    script = 'mount --bind "$1" "$2/mnt" && exec chroot "$2" python3 -m compileall -q -s /mnt -p "" '
    script += "--invalidation-mode unchecked-hash /mnt"
    command = ["unshare", "--mount", "sh", "-c", script, "compile", str(folder), str(rootfs)]
    run(command, why="compile the image's Python files")


def _settings(dockerfile: Path) -> dict[str, Any]:
    """How the image runs, as the last stage of its Dockerfile says (exec forms only)."""
    config: dict[str, Any] = {}
    for line in dockerfile.read_text().replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "FROM":
            config = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}
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
    return layer.name if layer.parent == LAYERS else hashlib.sha256(layer.read_bytes()).hexdigest()


@contextmanager
def _workshop() -> Iterator[Path]:
    """A folder for half-made things, on the cache's own file system."""
    LAYERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".work.", dir=LAYERS) as folder:
        yield Path(folder)
