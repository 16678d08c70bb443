"""What is known of an artifact without asking anybody: its files, its MLmodel, and the Git checkout one stands in.

Called by `register`; each function gives fields of a ModelVersion's spec. A fact that is not there is left out, and
nothing that was found is ever run or loaded.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelyard.storage.location import Location
    from modelyard.storage.store import ObjectStore, StoredObject

Fields = dict[str, Any]
Obj = Mapping[str, Any]

LARGEST = 1 << 20
"""Bytes of a description (MLmodel, requirements.txt, config.json) that are read."""
SCHEMA_LIMIT = 64 << 10
"""A signature of a very wide table stays in its MLmodel: the object has to fit the cluster's store."""
REQUIREMENTS_LIMIT = 1000
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")

FLAVORS: Mapping[str, tuple[str, str]] = {
    "sklearn": ("scikit-learn", "sklearn_version"),
    "xgboost": ("xgboost", "xgb_version"),
    "lightgbm": ("lightgbm", "lgb_version"),
    "catboost": ("catboost", "catboost_version"),
    "transformers": ("transformers", "transformers_version"),
    "sentence_transformers": ("sentence-transformers", "sentence_transformers_version"),
    "pytorch": ("pytorch", "pytorch_version"),
    "tensorflow": ("tensorflow", "version"),
    "keras": ("keras", "keras_version"),
    "onnx": ("onnx", "onnx_version"),
    "spacy": ("spacy", "spacy_version"),
    "statsmodels": ("statsmodels", "statsmodels_version"),
    "prophet": ("prophet", "prophet_version"),
}
"""Flavors of an MLmodel, with the library's own name and the key of its version; the first that is there counts."""


def from_files(store: "ObjectStore", location: "Location", items: Sequence["StoredObject"]) -> Fields:
    """Framework, run, schema and requirements, as far as the files say."""
    found: Fields = {}
    text = _read(store, location, items, "config.json")
    if text is not None:
        found |= from_config(text)
    text = _read(store, location, items, "MLmodel")
    if text is not None:
        found |= from_mlmodel(text)
    text = _read(store, location, items, "requirements.txt")
    if text is not None and (lines := requirements(text)):
        found["dependencies"] = {"requirements": lines}
    return found


def _read(store: "ObjectStore", location: "Location", items: Sequence["StoredObject"], path: str) -> str | None:
    item = next((item for item in items if item.path == path), None)
    if item is None or not 0 < item.size <= LARGEST:
        return None
    body = store.read(location.bucket, item, 0, item.size)
    try:
        return b"".join(body.chunks(LARGEST)).decode(errors="replace")
    finally:
        body.close()


def from_mlmodel(text: str) -> Fields:
    """What an MLmodel file says. One that is not understood says nothing: verification names what is wrong with it."""
    import yaml

    try:
        model = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return {}
    if not isinstance(model, Mapping):
        return {}
    flavors = model.get("flavors") if isinstance(model.get("flavors"), Mapping) else {}
    found: Fields = {}
    if framework := _framework(flavors or {}):
        found["framework"] = framework
    if model.get("run_id"):
        found["run"] = {"id": str(model["run_id"])}
    signature = model.get("signature") if isinstance(model.get("signature"), Mapping) else {}
    for side, field in (("inputs", "inputSchema"), ("outputs", "outputSchema")):
        if schema := _schema((signature or {}).get(side)):
            found[field] = schema
    return found


def _framework(flavors: Obj) -> Fields:
    for flavor, (name, key) in FLAVORS.items():
        if flavor in flavors:
            version = (flavors[flavor] or {}).get(key)
            return {"name": name, **({"version": str(version)} if version else {})}
    others = sorted(set(flavors) - {"python_function"})
    return {"name": others[0]} if others else {}


def _schema(text: object) -> Fields:
    if not isinstance(text, str) or len(text) > SCHEMA_LIMIT:
        return {}
    try:
        columns = json.loads(text)
    except ValueError:
        return {}
    return {"columns": columns} if isinstance(columns, list) else {}


def from_config(text: str) -> Fields:
    """What the config.json of a Hugging Face folder says."""
    try:
        config = json.loads(text)
    except ValueError:
        return {}
    version = config.get("transformers_version") if isinstance(config, Mapping) else None
    return {"framework": {"name": "transformers", "version": str(version)}} if version else {}


def requirements(text: str) -> list[str]:
    """The packages of a requirements.txt; options of pip and comments are left out."""
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-")) and len(line) <= 512][
        :REQUIREMENTS_LIMIT
    ]


def from_git() -> Fields:
    """The commit that is checked out here, with `-dirty` when tracked files differ from it."""
    revision = _git("rev-parse", "HEAD")
    if not revision:
        return {}
    dirty = "-dirty" if _git("status", "--porcelain", "--untracked-files=no") else ""
    source = {"revision": revision + dirty}
    if repository := _git("remote", "get-url", "origin"):
        source["repository"] = _CREDENTIALS.sub("", repository)  # never into a manifest
    if path := _git("rev-parse", "--show-prefix"):
        source["path"] = path
    found: Fields = {"source": source}
    if author := _git("config", "user.email"):
        found["author"] = author
    return found


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # no Git, no checkout, no such remote
        return ""
    return done.stdout.strip()
