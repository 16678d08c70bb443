"""How the images' layers are made without Docker: Debian packages, locked wheels, our own wheel.

Called by `images`. Each layer is a tar in the cache, named after what went into it, so that it is made once; an edit
of our sources makes one small layer anew. The base is Debian 12's own Python 3.11.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dev.cluster.archive import write_layer
from dev.cluster.places import CACHE, ROOT
from dev.cluster.say import run
from dev.sbom import FILE, PLACE, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FOLDER = CACHE / "images"
KEPT_SECONDS = 14 * 24 * 3600
PYTHON = "3.11"
PACKAGES = "usr/local/lib/python3.11/dist-packages"  # on the path of Debian's python3
UV = os.environ.get("UV", "uv")

# Packages are only unpacked, not configured: no compiler, no package manager, no shell but busybox.
BASE_PACKAGES = ("base-files", "busybox-static", "ca-certificates", "libstdc++6", "media-types", "python3", "tzdata")
RECIPE = 1  # raised when the functions below make something else of the same ingredients
ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/sh",
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false",
    "modelyard:x:65532:65532:modelyard:/nonexistent:/bin/false",
)
BUSYBOX = "sh cat cp df du env find grep head id ls mkdir ps rm sed sha256sum sleep sort tail test touch wc"


def base() -> Path:
    """Debian 12 with Python and busybox."""

    def build(folder: Path) -> None:
        shutil.copytree(_rootfs(), folder, symlinks=True, dirs_exist_ok=True)

    return _cached("base", _base_ingredients(), build)


def operator_dependencies() -> Path:
    """What uv.lock says the operator needs, in exactly those versions."""
    export = [UV, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    locked = run(export, why="read uv.lock", cwd=ROOT)
    return packages(locked)


def packages(locked: str) -> Path:
    """The Python packages that a lock names, in exactly those versions."""
    return _cached("python", locked, lambda folder: _install(folder, locked), inside=PACKAGES)


def sbom(dependencies: Path) -> Path:
    """The list of what is in the layer of the operator's dependencies, and under which licences."""
    export = [UV, "export", "--quiet", "--frozen", "--no-dev", "--format", "cyclonedx1.5"]
    locked = json.loads(run([*export, "--preview-features", "sbom-export"], why="read uv.lock", cwd=ROOT))
    with tarfile.open(dependencies) as tar:
        members = [member for member in tar if member.name.endswith(".dist-info/METADATA")]
        metadata = [file.read().decode() for member in members if (file := tar.extractfile(member))]
    text = json.dumps(describe(locked, metadata), indent=1)

    def build(folder: Path) -> None:
        (folder / FILE).write_text(text)

    return _cached("sbom", text, build, inside=PLACE)


def operator() -> Path:
    """Modelyard itself, installed from the wheel that users get."""
    sources = [ROOT / "pyproject.toml", *sorted((ROOT / "operator" / "modelyard").rglob("*"))]
    read = [path for path in sources if path.is_file() and path.suffix != ".pyc"]
    ingredients = b"".join(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() for path in read)
    return _cached("modelyard", ingredients, _build_operator, inside=PACKAGES)


def files(sources: Sequence[Path], *, inside: str) -> Path:
    """These files, side by side in one folder of the image."""
    ingredients = b"".join(source.name.encode() + b"\0" + source.read_bytes() for source in sources)

    def build(folder: Path) -> None:
        for source in sources:
            shutil.copyfile(source, folder / source.name)

    return _cached("files", ingredients, build, inside=inside)


def forget_unused() -> None:
    """Drop what no image has used for long; every edit of the sources leaves a layer behind."""
    for entry in FOLDER.glob("[!.]*.tar"):
        if time.time() - entry.stat().st_mtime > KEPT_SECONDS:
            entry.unlink(missing_ok=True)


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder for half-made things, on the cache's own file system."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".work.", dir=FOLDER) as folder:
        yield Path(folder)


def _cached(kind: str, ingredients: str | bytes, build: Callable[[Path], None], *, inside: str = "") -> Path:
    """The layer made of these ingredients; `build` fills a folder with its files when it is not there yet."""
    data = ingredients.encode() if isinstance(ingredients, str) else ingredients
    recipe = f"{RECIPE} {PYTHON} {inside}\0".encode()
    layer = FOLDER / f"{kind}-{hashlib.sha256(recipe + data).hexdigest()[:12]}.tar"
    if not layer.exists():
        with workshop() as shop:
            folder = shop / "files"
            folder.mkdir()
            build(folder)
            write_layer(folder, layer, inside=inside)
    layer.touch()  # so that one can tell which are still used
    return layer


def _base_ingredients() -> str:
    return repr((RECIPE, BASE_PACKAGES, ACCOUNTS, BUSYBOX))


def _rootfs() -> Path:
    """The base as a folder, which also serves to compile Python files with the very Python that will run them."""
    place = FOLDER / f"base-{hashlib.sha256(_base_ingredients().encode()).hexdigest()[:12]}"
    if not place.exists():
        with workshop() as shop:
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


def _build_operator(folder: Path) -> None:
    with workshop() as shop:
        run([UV, "build", "--quiet", "--wheel", "--out-dir", str(shop), str(ROOT)], why="build modelyard's wheel")
        wheel = next(shop.glob("*.whl"))
        shutil.unpack_archive(wheel, folder, "zip")
    _compile(_rootfs(), folder)


def _compile(rootfs: Path, folder: Path) -> None:
    """Compile Python files with the image's own Python: an import of boto3 without it takes seconds.

    The folder is seen inside for the time of that command alone, in a mount namespace of its own.
    """
    script = 'mount --bind "$1" "$2/mnt" && exec chroot "$2" python3 -m compileall -q -s /mnt -p "" '
    script += "--invalidation-mode unchecked-hash /mnt"
    command = ["unshare", "--mount", "sh", "-c", script, "compile", str(folder), str(rootfs)]
    run(command, why="compile the image's Python files")
