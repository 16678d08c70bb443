"""Every field of the four kinds with what should not be there, made from the schemas of the CRDs.

Each input is a whole object that is right but for one thing: a field set to its bounds and just beyond, to null, to
every other type, to nothing, to far too much, to strange characters, or left out. Pod templates, whose fields the
schema leaves to Kubernetes, are spoiled at the fields that Modelyard itself reads or adds to. The same inputs in the
same order, always.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from modelyard.api import names
from modelyard.api.crd import CRD_FOLDERS, ROOT
from modelyard.api.schema import INT_OR_STRING, PRESERVE
from tests.api.manifests import EXTERNAL, FULL, Path, full, with_, without, written

Obj = dict[str, Any]
Schema = dict[str, Any]

DEPTH = 200
FAR = (2**31, 2**63 - 1, 2**63, -(2**63) - 1, 1e300)

OF_ANY_TYPE: dict[str, Any] = {
    "null": None,
    "text": "text",
    "7": 7,
    "-1": -1,
    "1.5": 1.5,
    "true": True,
    "false": False,
    "a list": ["text"],
    "an empty list": [],
    "a list of null": [None],
    "a list of an empty object": [{}],
    "an object": {"key": "text"},
    "an empty object": {},
    "an object of null": {"key": None},
    "empty": "",
}
STRANGE = {
    "a blank": " ",
    "a control character": "a\x00b",
    "an escape": "\x1b[31mred",
    "a line break": "a\nb",
    "a carriage return": "a\rb",
    "not ASCII": "modèle-模型-😀",
    "right to left": "\u202egnp.exe",
    "a lone surrogate": "\ud800",
    "not normalized": "e\u0301",
    "a path": "../../etc/passwd",
    "capitals": "FRAUD",
    "a digit of another script": "٣",
    "a template": "${jndi:ldap://x}{{ .Values }}$(HOME)",
}
POD = (
    "volumes", "initContainers", "imagePullSecrets", "securityContext", "tolerations", "serviceAccountName",
    "terminationGracePeriodSeconds", "automountServiceAccountToken", "enableServiceLinks", "restartPolicy",
)  # fmt: skip
CONTAINER = (
    "image", "env", "envFrom", "volumeMounts", "ports", "securityContext", "resources", "lifecycle", "readinessProbe",
    "command",
)  # fmt: skip
ITEMS: dict[str, Any] = {
    "a list of numbers": [7],
    "a named item": [{"name": "text"}],
    "an item whose name is a number": [{"name": 7}],
    "an item whose name is null": [{"name": None}],
    "an object of numbers": {"key": 7},
    "an object of objects": {"key": {"key": "text"}},
    "an object with an empty key": {"": "text"},
}
"""For the fields that the schema leaves open."""
ANNOTATIONS = (
    names.ANNOTATION_REQUEST, names.ANNOTATION_RETRY, names.ANNOTATION_REASON, names.ANNOTATION_REQUESTED_BY,
    names.ANNOTATION_CHANGE,
)  # fmt: skip


_OVERRIDES: Path = ("spec", "stages", 0, "serving")
_ABSENT = object()
_MIB_OF_TEXT = "x" * (1 << 20)


@dataclass(frozen=True)
class Input:
    """An object that is right but for one thing."""

    kind: str
    path: Path
    what: str
    value: Any

    @property
    def id(self) -> str:
        """What it is, for a person to read."""
        return f"{self.kind} {self.field}: {self.what}"

    @property
    def field(self) -> str:
        """Where, as the API server writes it."""
        return written(self.path)

    @property
    def obj(self) -> Obj:
        """The object, as the API server reads it: what is no character becomes the sign for that."""
        right = _right(self.kind, self.path)
        wrong = without(right, self.path) if self.value is _ABSENT else with_(right, self.path, self.value)
        made: Obj = json.loads(json.dumps(wrong).encode(), object_pairs_hook=_readable)
        return made


def inputs() -> Iterator[Input]:
    """All of them."""
    for kind in FULL:
        yield from _of_kind(kind)


def _of_kind(kind: str) -> Iterator[Input]:
    for path, schema in _fields(_schema(kind)["properties"]["spec"], ("spec",)):
        # What a stage overrides has the schema of what it overrides: of those fields the types are enough.
        values = OF_ANY_TYPE if path[:4] == _OVERRIDES and PRESERVE not in schema else dict(_values(schema))
        yield from (Input(kind, path, what, value) for what, value in values.items())
        if is_there(_right(kind, path), path):
            yield Input(kind, path, "absent", _ABSENT)
    for annotation in ANNOTATIONS:
        for what, value in {**STRANGE, "empty": "", "200 kB": "x" * 200_000}.items():
            yield Input(kind, ("metadata", "annotations", annotation), what, value)


def _right(kind: str, path: Path) -> Obj:
    """An object of the kind that is right and has that field: of two that exclude each other, the one in question."""
    right = full(kind)
    if path[:3] == ("spec", "artifact", "external"):
        right["spec"]["artifact"] = {"external": dict(EXTERNAL)}
    if path[:3] == ("spec", "card", "uri"):
        right["spec"]["card"] = {"uri": "https://example.com/card"}
    return right


def _readable(pairs: list[tuple[str, Any]]) -> Obj:
    return {_characters(name): _characters(value) for name, value in pairs}


def _characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return [_characters(item) for item in value] if isinstance(value, list) else value


@cache
def _schema(kind: str) -> Schema:
    for file in sorted((ROOT / CRD_FOLDERS[0]).glob("*.yaml")):
        definition = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["spec"]
        if definition["names"]["kind"] == kind:
            schema: Schema = definition["versions"][0]["schema"]["openAPIV3Schema"]
            return schema
    raise LookupError(kind)


def _fields(schema: Schema, path: Path) -> Iterator[tuple[Path, Schema]]:
    """Every field with its schema; of lists the first item. Of pod templates those that Modelyard reads or fills."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, (*path, name))
    if "items" in schema:
        yield from _fields(schema["items"], (*path, 0))
    if path[-1] == "template":
        pod: Path = (*path, "spec")
        yield from (((*pod, name), _OPEN) for name in POD)
        yield from (((*pod, "containers", 0, name), _OPEN) for name in CONTAINER)
        yield from (((*path, "metadata", name), _OPEN) for name in ("labels", "annotations"))


_OPEN: Schema = {PRESERVE: True}


def is_there(obj: Obj, path: Path) -> bool:
    """Whether an object has that field."""
    at: Any = obj
    for part in path:
        if (isinstance(part, int) and len(at) <= part) or (isinstance(part, str) and part not in at):
            return False
        at = at[part]
    return True


def _values(schema: Schema) -> Iterator[tuple[str, Any]]:
    yield from OF_ANY_TYPE.items()
    yield f"{DEPTH} lists in each other", _deep(lambda inner: [inner])
    yield f"{DEPTH} objects in each other", _deep(lambda inner: {"key": inner})
    yield from ((f"{number}", number) for number in FAR)
    yield "1 MiB", _MIB_OF_TEXT
    if PRESERVE in schema:
        yield from ITEMS.items()
    if schema.get("type") == "string" or INT_OR_STRING in schema:
        yield from STRANGE.items()
        yield from _lengths(schema)
        yield from ((f"{word!r}, which is right", word) for word in schema.get("enum", ()))
    if schema.get("type") == "integer":
        yield from _numbers(schema)
    if schema.get("type") == "array":
        yield "two that are the same", [{"name": "same", "path": "same"}] * 2
        most = schema.get("maxItems", 0)
        yield f"{most + 1} items", [{"name": f"n{n}", "path": f"p{n}"} for n in range(most + 1)]
    if schema.get("type") == "object":
        yield "a field nobody knows", {"nobodyKnows": 1}
        yield "1 MiB in a field nobody knows", {"nobodyKnows": _MIB_OF_TEXT}


def _lengths(schema: Schema) -> Iterator[tuple[str, str]]:
    for bound in sorted({schema.get("minLength", 1), schema.get("maxLength", 63)}):
        for length in (bound - 1, bound, bound + 1):
            yield f"{length} letters", "a" * max(length, 0)


def _numbers(schema: Schema) -> Iterator[tuple[str, int]]:
    for bound in (schema.get("minimum", 0), schema.get("maximum", 100)):
        yield from ((f"{number}", number) for number in (bound - 1, bound, bound + 1))


def _deep(wrap: Any) -> Any:
    value: Any = "text"
    for _ in range(DEPTH):
        value = wrap(value)
    return value
