"""Container images without Docker: folders become layers, layers become an archive that containerd loads.

Every layer is a plain tar whose bytes depend on its content alone (names sorted, times and owners
fixed), so an unchanged layer keeps its digest and containerd unpacks it once.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name, its layers from the bottom up, and how it runs (the keys of an OCI image's config)."""

    name: str
    layers: tuple[Path, ...]
    config: dict[str, object] = field(default_factory=dict)


def write_layer(folder: Path, layer: Path, *, inside: str = "") -> None:
    """Pack a folder as one layer, placed below `inside` in the image; root owns everything."""
    half = layer.with_name(f".{layer.name}.{os.getpid()}")
    with tarfile.open(half, "w", format=tarfile.GNU_FORMAT) as tar:
        above = ""
        for part in filter(None, inside.split("/")):
            above = f"{above}{part}/"
            entry = tarfile.TarInfo(above)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path in sorted(folder.rglob("*")):
            tar.add(path, arcname=f"{above}{path.relative_to(folder)}", recursive=False, filter=_anonymous)
    half.rename(layer)


def write_archive(image: Image, archive: Path) -> None:
    """Write what `docker save` would write, which `ctr images import` reads."""
    digests = [_sha256(layer) for layer in image.layers]
    config = json.dumps(
        {
            "architecture": MACHINES[platform.machine()],
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        },
        sort_keys=True,
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [
        {
            "Config": config_name,
            "RepoTags": [image.name],
            "Layers": [f"{digest}/layer.tar" for digest in digests],
        }
    ]
    half = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tarfile.open(half, "w") as tar:
        for layer, digest in zip(image.layers, digests):
            tar.add(layer, arcname=f"{digest}/layer.tar")
        for name, content in ((config_name, config), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    half.rename(archive)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
