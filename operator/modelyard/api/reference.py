"""Writes the reference page: every field, rule, column, label and reason, from the same types as the CRDs.

`crd` calls it. It reads the docstrings in the source, so it runs in a checkout only.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from modelyard.api import names, reasons
from modelyard.api.base import VALIDATIONS
from modelyard.api.kinds import KINDS, Kind
from modelyard.api.schema import INT_OR_STRING, PRESERVE, Schema, structural

_INTRODUCTION = f"""\
# Reference

Generated from `operator/modelyard/api` by `make crds`. All kinds are namespaced and of `{names.API_VERSION}`.
`kubectl explain` says the same in the terminal: `kubectl explain model.spec.serving`.

Fields in **bold** are required. Nothing is filled in by the API server: where a description names a default, the
operator applies it when it reads the object, and the object stays what Git says.
"""

_LABELS = {
    names.LABEL_MANAGED_BY: f"`{names.MANAGED_BY}` on everything the operator makes.",
    names.LABEL_MODEL: "The Model an object was made for.",
    names.LABEL_VERSION: "The version an object was made for.",
    names.LABEL_STAGE: "The stage an object was made for.",
    names.LABEL_REVISION: "The revision a Deployment and its pods belong to; the stage's Service selects on it.",
    names.LABEL_JOB: "What a Job is for: `verify`, `check` or `gate`.",
    names.LABEL_GATE: "The gate that a Job evaluates.",
    names.LABEL_REQUIRE_REASON: "`true` on Models with `requireReason`, by which the admission policy finds them.",
}
_ANNOTATIONS = {
    names.ANNOTATION_REQUEST: "On a ModelVersion: any new value asks anew for `spec.stage`.",
    names.ANNOTATION_REASON: "On a ModelVersion: why the stage is asked for; copied into the record.",
    names.ANNOTATION_REQUESTED_BY: "On a ModelVersion: who asked; stamped by the API server where it can.",
    names.ANNOTATION_RETRY: "On a ModelVersion: any new value asks for another attempt: of gates that said no or gave "
    "no answer, or of a verification that failed. A request that Failed is made anew by it, with a new place.",
    names.ANNOTATION_RETRIED_BY: "On a ModelVersion: who asked for that; stamped by the API server where it can.",
    names.ANNOTATION_ALLOW_DELETION: "On a Model: `true` allows to delete it while it serves, `unrecorded` also "
    "while records of it wait for the ledger, which are then lost.",
}


def reference() -> str:
    """The text of the page."""
    parts = [_INTRODUCTION]
    known: dict[str, str] = {}
    parts += [part for kind in KINDS for part in _kind(kind, known)]
    parts += ["## Labels\n", _table(("Label", "Meaning"), [(f"`{key}`", text) for key, text in _LABELS.items()])]
    rows = [(f"`{key}`", text) for key, text in _ANNOTATIONS.items()]
    parts += ["## Annotations\n", _table(("Annotation", "Meaning"), rows)]
    parts += ["## Reasons\n", "They are part of the API: people alert and script on them.\n"]
    parts += [part for enum in reason_enums() for part in _reasons(enum)]
    return "\n".join(parts)


def reason_enums() -> list[type[StrEnum]]:
    """The enums of reasons, in the order of their source."""
    found = [item for item in vars(reasons).values() if inspect.isclass(item) and issubclass(item, StrEnum)]
    return [enum for enum in found if enum is not StrEnum]


def member_docs(enum: type[StrEnum]) -> dict[str, str]:
    """What the docstring below each member of an enum says; members without one are left out."""
    body = ast.parse(textwrap.dedent(inspect.getsource(enum))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        match statement, following:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                docs[enum[name].value] = " ".join(text.split())
    return docs


def _kind(kind: type[Kind], known: dict[str, str]) -> Iterator[str]:
    """A kind's part of the page; `known` remembers which object was described where."""
    schema = structural(kind)
    name, plural, short = kind.__name__, kind.names.plural, kind.names.short
    yield f"## {name}\n"
    yield schema["description"] + "\n"
    yield f"`kubectl get {plural}`, in short `kubectl get {short}`.\n"
    if kind.selectable:
        fields = ", ".join(f"`{path[1:]}`" for path in kind.selectable)
        yield f"Can be selected by {fields}: `kubectl get {short} --field-selector {kind.selectable[0][1:]}=VALUE`.\n"
    columns = [(c.name.upper() + (" (wide)" if c.wide else ""), f"`{c.path}`", c.description) for c in kind.columns]
    yield _table(("Column", "Field", "Meaning"), columns)
    yield from _refusals(schema)
    for part in ("spec", "status"):
        yield f"### {name}.{part}\n"
        yield from _object(schema["properties"][part], f"{name}.{part}", known)


def _object(schema: Schema, path: str, known: dict[str, str]) -> Iterator[str]:
    """A table of an object's fields, then one for each object below that was not described before."""
    yield from _refusals(schema)
    required = set(schema.get("required", ()))
    fields = schema["properties"].items()
    yield _table(
        ("Field", "Type", "Meaning"),
        [(_name(name, name in required), _type(field), _meaning(field)) for name, field in fields],
    )
    for name, field in fields:
        inner, suffix = (field["items"], "[]") if field.get("type") == "array" else (field, "")
        if "properties" not in inner:
            continue
        below = f"{path}.{name}{suffix}"
        yield f"#### {below}\n"
        described = known.setdefault(json.dumps(inner["properties"]), below)
        if described != below:
            yield f"The same fields as `{described}`.\n"
        else:
            yield from _object(inner, below, known)


def _refusals(schema: Schema) -> Iterator[str]:
    """The rules over several fields; that a field cannot change is said once, in the description of the whole."""
    messages = [rule["message"] for rule in schema.get(VALIDATIONS, ()) if "oldSelf" not in rule["rule"]]
    if messages:
        yield "What breaks a rule over several fields is refused with:\n"
        yield "".join(f"- {_escape(message)}\n" for message in messages)


def _name(name: str, required: bool) -> str:
    return f"**`{name}`**" if required else f"`{name}`"


def _type(field: Schema) -> str:
    if field.get(INT_OR_STRING):
        return "quantity"
    match field["type"]:
        case "array":
            return f"{_type(field['items'])} list"
        case "string" if field.get("format") == "date-time":
            return "time"
        case "string" if "enum" in field:
            return " \\| ".join(f"`{value}`" for value in field["enum"])
        case "object" if "additionalProperties" in field:
            return f"map of {_type(field['additionalProperties'])}"
        case "object" if field.get(PRESERVE) and "properties" not in field:
            return "object, free"
        case plain:
            return str(plain)


def _meaning(field: Schema) -> str:
    """What a field is for, its limits, and the rules on it; those over an object's fields stand above its table."""
    rules = [] if field.get("type") == "object" else [*field.get(VALIDATIONS, ())]
    if field.get("type") == "array" and field["items"].get("type") != "object":
        rules += field["items"].get(VALIDATIONS, ())
    said = (f"{rule['message'][0].upper()}{rule['message'][1:]}." for rule in rules)
    return " ".join([field["description"], *_bounds(field), *said])


def _bounds(field: dict[str, Any]) -> list[str]:
    """The limits of a field that its rules do not speak of."""
    words = {
        "minimum": "At least {}.",
        "maximum": "At most {}.",
        "maxLength": "At most {} characters.",
        "minItems": "At least {}.",
        "maxItems": "At most {}.",
        "maxProperties": "At most {} entries.",
    }
    unsaid = {"minimum"} if field.get("minimum") == 0 else set()
    if any("self.matches" in rule["rule"] for rule in field.get(VALIDATIONS, ())):
        unsaid.add("maxLength")
    return [text.format(field[key]) for key, text in words.items() if key in field and key not in unsaid]


def _reasons(enum: type[StrEnum]) -> Iterator[str]:
    yield f"### {enum.__name__}\n"
    yield (inspect.getdoc(enum) or "") + "\n"
    yield _table(("Reason", "Meaning"), [(f"`{reason}`", text) for reason, text in member_docs(enum).items()])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(_escape(cell) for cell in line)} |\n" for line in lines)


def _escape(text: str) -> str:
    """Text in which `<model>` is not taken for a tag of HTML."""
    return text.replace("\n", " ").replace("<", "&lt;")
