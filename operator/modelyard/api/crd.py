"""Writes what is generated from the API types: the CRDs, the chart's copies of them, and the reference page.

Run as `python -m modelyard.api.crd` (`make crds`) from anywhere in a checkout; with `--check` it writes nothing and
fails when a file is not what it would write. Nothing of it runs in the operator.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from modelyard.api import names
from modelyard.api.kinds import KINDS, Column, Kind
from modelyard.api.reference import reference
from modelyard.api.schema import Schema, structural
from modelyard.api.status import UNSEEN

ROOT = Path(__file__).resolve().parents[3]
CRD_FOLDERS = ("crds", "charts/modelyard/files/crds")
REFERENCE = "docs/reference.md"

_HEADER = "# Generated from operator/modelyard/api; edit that and run `make crds`.\n"


def crd(kind: type[Kind]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    plural = kind.names.plural
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{names.GROUP}",
            "labels": {
                "app.kubernetes.io/name": "modelyard",
                "app.kubernetes.io/part-of": "modelyard",
                "app.kubernetes.io/component": "crds",
            },
            # Deleting a definition deletes every object of its kind, so uninstalling the chart leaves it.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.__name__,
                "listKind": f"{kind.__name__}List",
                "plural": plural,
                "singular": kind.names.singular,
                "shortNames": [kind.names.short],
                "categories": ["modelyard"],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: type[Kind]) -> dict[str, Any]:
    selectable = {"selectableFields": [{"jsonPath": path} for path in kind.selectable]} if kind.selectable else {}
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        **selectable,
        "schema": {"openAPIV3Schema": _object_schema(kind)},
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "description": column.description,
        "jsonPath": column.path,
        **({"priority": 1} if column.wide else {}),
    }


def _object_schema(kind: type[Kind]) -> Schema:
    """The schema of a whole object: of metadata, which the API server checks itself, a CRD may say nothing more."""
    schema = structural(kind)
    schema["required"] = ["spec"]
    schema["properties"]["metadata"] = {"type": "object"}
    schema["properties"]["status"]["default"] = {"observedGeneration": UNSEEN}
    return schema


def generated() -> dict[str, str]:
    """Every generated file: its path in the checkout and its text."""
    files = {REFERENCE: reference()}
    for kind in KINDS:
        definition = crd(kind)
        text = _HEADER + yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)
        files |= {f"{folder}/{definition['metadata']['name']}.yaml": text for folder in CRD_FOLDERS}
    return files


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: the same rule may stand in several places, each in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def stale(root: Path = ROOT) -> list[str]:
    """The generated files that are missing or not what would be written now."""
    return [path for path, text in generated().items() if not _is(root / path, text)]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def main(arguments: list[str]) -> int:
    """Write what has changed, or with --check say what has."""
    check = arguments == ["--check"]
    changed = stale()
    for path in changed:
        print(f"{'not up to date, run make crds' if check else 'wrote'}: {path}")
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(generated()[path])
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
