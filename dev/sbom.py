"""`python3 -m dev.sbom FOLDER < LOCK > SBOM`: which packages are in an image, in which versions, under which licences?

LOCK is what `uv export --format cyclonedx1.5` says of uv.lock, FOLDER where those packages were installed. The answer
is a CycloneDX document (1.5, JSON) of what is installed, with the licences that the packages themselves declare; a
package that the lock does not know, or knows in another version, is an error. The same content gives the same document.

Called by the Dockerfile and by `dev.cluster.images`. Needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACE = "usr/share/modelyard"
"""The folder of the document in our images."""
FILE = "sbom.cdx.json"
"""Its name there, by which scanners such as Trivy and Syft recognise it."""
LICENCE = "Apache-2.0"
NAME_LIMIT = 100
"""Characters of a licence's name; in the field for it, some packages carry the whole text."""
CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")
VAGUE = frozenset({"OSI Approved", "UNKNOWN", ""})

Document = dict[str, Any]


def describe(locked: Document, metadata: Iterable[str]) -> Document:
    """The document on the packages whose METADATA these are. `locked`: what uv says of its lock."""
    known = {component["name"]: component for component in locked["components"]}
    own = locked["metadata"]["component"]
    found = [_component(known, text) for text in metadata]
    components = sorted((one for one in found if one["name"] != own["name"]), key=lambda one: str(one["name"]))
    present = {own["bom-ref"], *(component["bom-ref"] for component in components)}
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": locked["specVersion"],
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": own["bom-ref"], "name": own["name"], "version": own["version"],
                "purl": f"pkg:pypi/{own['name']}@{own['version']}", "licenses": [{"expression": LICENCE}],
            },
        },
        "components": components,
        "dependencies": [
            {"ref": entry["ref"], "dependsOn": [ref for ref in entry.get("dependsOn", ()) if ref in present]}
            for entry in locked["dependencies"]
            if entry["ref"] in present
        ],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return {**body, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}"}


def metadata_in(folder: Path) -> list[str]:
    """The METADATA of every package installed in a folder."""
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.dist-info/METADATA"))]


def _component(known: dict[str, Document], text: str) -> Document:
    headers = HeaderParser().parsestr(text)
    name, version = re.sub(r"[-_.]+", "-", headers["Name"]).lower(), headers["Version"]
    entry = known.get(name)
    if name == "modelyard":
        entry = {"name": name, "version": version, "bom-ref": ""}
    if entry is None or entry["version"] != version:
        locked = f"in version {entry['version']}" if entry else "not at all"
        raise SystemExit(f"describe packages: {name} {version} is installed, and uv.lock has it {locked}")
    found: Document = {key: entry[key] for key in ("bom-ref", "name", "version", "purl") if key in entry}
    licences = _licences(headers.get("License-Expression"), headers.get("License"), headers.get_all("Classifier") or ())
    return {"type": "library", **found, **({"licenses": licences} if licences else {})}


def _licences(expression: str | None, text: str | None, classifiers: Iterable[str]) -> list[Document]:
    """What a package declares: an SPDX expression, else one line of its own, else the classifiers of the index."""
    if expression:
        return [{"expression": expression}]
    text = (text or "").strip()
    if text not in VAGUE and len(text) <= NAME_LIMIT and "\n" not in text:
        return [{"license": {"name": text}}]
    named = [match[1] for classifier in classifiers if (match := CLASSIFIER.fullmatch(classifier))]
    return [{"license": {"name": name}} for name in named if name not in VAGUE]


if __name__ == "__main__":
    json.dump(describe(json.load(sys.stdin), metadata_in(Path(sys.argv[1]))), sys.stdout, indent=1)
