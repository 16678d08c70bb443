"""Container images without Docker: folders become layers, layers become an archive that containerd loads.

Every layer is a plain tar whose bytes depend on its content alone (names sorted, times and owners
fixed), so an unchanged layer keeps its digest. The archive is an OCI image layout; it leaves out
the layers that containerd has already, so that after an edit only a small one is read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

OCI = "application/vnd.oci.image"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name, its layers from the bottom up, and how it runs (the keys of an OCI image's config)."""

    name: str
    layers: tuple[Path, ...]
    config: dict[str, Any] = field(default_factory=dict)


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


def write_archive(image: Image, archive: Path, *, known: Collection[str] = ()) -> str:
    """Write the image without the layers whose digests are `known`; return the image's digest."""
    with tarfile.open(archive, "w") as tar:
        layers = [_blob_of(tar, layer, known) for layer in image.layers]
        config = {
            "architecture": MACHINES[platform.machine()],
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": _blob(tar, config, f"{OCI}.config.v1+json"),
            "layers": layers,
        }
        described = _blob(tar, manifest, f"{OCI}.manifest.v1+json")
        named = {**described, "annotations": {"io.containerd.image.name": image.name}}
        _file(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [named]}).encode())
        _file(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    return str(described["digest"])


def _blob_of(tar: tarfile.TarFile, layer: Path, known: Collection[str]) -> dict[str, Any]:
    """Add a layer unless it is known; describe it."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{digest}" not in known:
        tar.add(layer, arcname=f"blobs/sha256/{digest}")
    return {"mediaType": f"{OCI}.layer.v1.tar", "digest": f"sha256:{digest}", "size": layer.stat().st_size}


def _blob(tar: tarfile.TarFile, content: dict[str, Any], media_type: str) -> dict[str, Any]:
    """Add a JSON document under its own digest; describe it."""
    data = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    _file(tar, f"blobs/sha256/{digest}", data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _file(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
