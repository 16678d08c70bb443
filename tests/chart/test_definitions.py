"""The custom resource definitions in the chart are the generated ones, and Helm upgrades and keeps them."""

import base64
import gzip
from pathlib import Path

import yaml

from .helm import CHART, ROOT, Helm, Manifest

KINDS = ("models", "modelversions", "approvals", "rollbacks")


def test_the_definitions_are_sent_as_generated(helm: Helm) -> None:
    """Nothing is lost on the way through the template, and Helm is told to keep them."""
    sources = {each["metadata"]["name"]: each for each in map(_load, (ROOT / "crds").glob("*.yaml"))}
    sent = {each["metadata"]["name"]: each for each in _definitions(helm.render())}
    assert set(sent) == set(sources) == {f"{kind}.modelyard.dev" for kind in KINDS}
    for name, source in sources.items():
        annotations = {**source["metadata"].get("annotations", {}), "helm.sh/resource-policy": "keep"}
        assert sent[name]["spec"] == source["spec"], name
        assert sent[name]["metadata"]["annotations"] == annotations, name


def test_the_definitions_are_left_out_on_request(helm: Helm) -> None:
    assert _definitions(helm.render("--set=crds.install=false")) == []


def test_the_copies_are_current() -> None:
    """A chart can only contain files of its own folder; the generator writes both."""
    copies = {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert copies == {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}, "run `make crds`"


def test_the_release_record_stays_small(helm: Helm) -> None:
    """Helm keeps chart and manifests, compressed, in one Secret of at most 1 MiB."""
    files = b"".join(path.read_bytes() for path in CHART.rglob("*") if path.is_file())
    record = gzip.compress(base64.b64encode(files) + helm.run("template", "modelyard", str(CHART)).encode())
    assert len(base64.b64encode(record)) < 512 * 1024


def _definitions(objects: list[Manifest]) -> list[Manifest]:
    return [each for each in objects if each["kind"] == "CustomResourceDefinition"]


def _load(path: Path) -> Manifest:
    loaded: Manifest = yaml.safe_load(path.read_text())
    return loaded
