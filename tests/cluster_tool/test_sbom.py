"""The image's list of packages is what is locked and installed, with licences; both ways of building it make one."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from dev.cluster.layers import UV
from dev.sbom import FILE, PLACE, describe, metadata_in
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def export(*arguments: str) -> str:
    command = [UV, "export", "--quiet", "--frozen", "--no-dev", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def locked() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(export("--format", "cyclonedx1.5", "--preview-features", "sbom-export"))
    return found


@pytest.fixture(scope="module")
def runtime() -> dict[str, str]:
    """Name and version of every locked runtime package for this platform, as pip's own format tells it."""
    lines = export("--no-hashes", "--no-header", "--no-annotate", "--no-emit-project").splitlines()
    wanted = [Requirement(line) for line in lines if line]
    return {one.name: str(one.specifier)[2:] for one in wanted if one.marker is None or one.marker.evaluate()}


@pytest.fixture(scope="module")
def installed(runtime: dict[str, str]) -> list[str]:
    texts = metadata_in(Path(sysconfig.get_path("purelib")))
    return [text for text in texts if _name(text) in runtime]


def _name(text: str) -> str:
    (name,) = re.findall(r"(?m)^Name: (\S+)$", text)[:1]
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_locked_package_is_named_with_version_and_licence(
    locked: dict[str, Any], runtime: dict[str, str], installed: list[str]
) -> None:
    document = describe(locked, installed)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert {one["name"]: one["version"] for one in document["components"]} == runtime
    assert [one["name"] for one in document["components"] if not one.get("licenses")] == []
    assert all(one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}" for one in document["components"])
    references = {one["bom-ref"] for one in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    assert {entry["ref"] for entry in document["dependencies"]} == references
    assert {ref for entry in document["dependencies"] for ref in entry["dependsOn"]} < references


def test_the_same_content_gives_the_same_document(locked: dict[str, Any], installed: list[str]) -> None:
    again = json.loads(export("--format", "cyclonedx1.5", "--preview-features", "sbom-export"))
    assert describe(locked, installed) == describe(again, list(reversed(installed)))
    assert describe(locked, installed) != describe(locked, installed[1:])


@pytest.mark.parametrize(
    ("name", "version", "why"), [("left-pad", "1.0", "not at all"), ("urllib3", "1.26.0", "in version 2")]
)
def test_a_package_that_is_not_locked_is_an_error(locked: dict[str, Any], name: str, version: str, why: str) -> None:
    with pytest.raises(SystemExit, match=why):
        describe(locked, [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"])


@pytest.mark.parametrize(
    ("headers", "licences"),
    [
        pytest.param("License-Expression: MIT AND ISC", [{"expression": "MIT AND ISC"}], id="an SPDX expression"),
        pytest.param("License: BSD 3-Clause", [{"license": {"name": "BSD 3-Clause"}}], id="a word of its own"),
        pytest.param(
            "License: " + "x" * 200 + "\nClassifier: License :: OSI Approved :: MIT License",
            [{"license": {"name": "MIT License"}}],
            id="a whole text, and a classifier",
        ),
        pytest.param("License: UNKNOWN", None, id="nothing"),
    ],
)
def test_where_licences_are_found(locked: dict[str, Any], headers: str, licences: Any) -> None:
    version = next(one["version"] for one in locked["components"] if one["name"] == "attrs")
    (found,) = describe(locked, [f"Name: attrs\nVersion: {version}\n{headers}\n"])["components"]
    assert found.get("licenses") == licences


def test_the_dockerfile_makes_it_too() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert f"> /sbom/{FILE}" in lines
    assert f"COPY --from=build /sbom /{PLACE}" in lines
    assert "!dev/sbom.py" in (ROOT / ".dockerignore").read_text().splitlines()
