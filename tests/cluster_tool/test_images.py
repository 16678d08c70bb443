"""Images without Docker: layers whose digest depends on content alone, settings that come from the Dockerfiles."""

import json
import os
import tarfile
from pathlib import Path

import pytest
from dev.cluster import images
from dev.cluster.archive import Image, write_archive, write_layer


def files(folder: Path) -> Path:
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "b.py").write_text("b")
    (folder / "pkg" / "a.py").write_text("a")
    return folder


def test_the_same_files_make_the_same_layer(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = files(tmp_path / str(number))
        os.utime(folder / "pkg" / "a.py", (number, number))
        write_layer(folder, tmp_path / f"{number}.tar", inside="usr/lib")

    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert tar.getnames() == ["usr", "usr/lib", "usr/lib/pkg", "usr/lib/pkg/a.py", "usr/lib/pkg/b.py"]
        assert {(entry.uid, entry.gid, entry.mtime) for entry in tar} == {(0, 0, 0)}


def test_an_archive_leaves_out_the_layers_that_are_known(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    write_layer(files(tmp_path / "files"), layer)
    image = Image("example:dev", (layer,), {"User": "65532"})

    whole = write_archive(image, tmp_path / "whole.tar")
    with tarfile.open(tmp_path / "whole.tar") as tar:
        names = set(tar.getnames())
        index = json.load(tar.extractfile("index.json") or pytest.fail("no index"))
    (entry,) = index["manifests"]
    assert entry["digest"] == whole
    assert entry["annotations"] == {"io.containerd.image.name": "example:dev"}

    (digest,) = [f"sha256:{name.rpartition('/')[2]}" for name in names if tar_size(tmp_path / "whole.tar", name) > 5000]
    assert write_archive(image, tmp_path / "part.tar", known=[digest]) == whole
    with tarfile.open(tmp_path / "part.tar") as tar:
        assert names - set(tar.getnames()) == {f"blobs/sha256/{digest.removeprefix('sha256:')}"}


def tar_size(archive: Path, name: str) -> int:
    with tarfile.open(archive) as tar:
        return tar.getmember(name).size


def test_the_operator_image_runs_as_its_dockerfile_says() -> None:
    settings = images._settings(images.OPERATOR_IMAGE)

    assert settings["Entrypoint"] == ["python3", "-m", "modelyard.runtime"]
    assert settings["User"] == "65532:65532"
    assert "PYTHONUNBUFFERED=1" in settings["Env"]


def test_an_image_built_on_another_keeps_its_settings() -> None:
    server, gates = (images._settings(name) for name in (images.SERVER_IMAGE, images.GATES_IMAGE))

    assert gates == {**server, "WorkingDir": "/app", "Cmd": ["python3", "slices.py"]}
    assert gates["User"] == "65532:65532"
