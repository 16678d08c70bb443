"""What all types of the API are made of: the base class, CEL rules, list-maps and checked strings.

The other type modules of `api` use it; `schema` turns it into the structural schemas of the CRDs. The operator's
hot path must not import it: it works on plain dicts and needs only `names`, `reasons` and `defaults`.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from modelyard.api import names

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
MAP_TYPE = "x-kubernetes-map-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
PATTERN_MESSAGE = "x-modelyard-pattern-message"
"""Becomes, with `pattern`, a CEL rule: the API server's own message for a pattern shows only the pattern."""


@dataclass(frozen=True)
class Rule:
    """A CEL rule that the API server checks, and what it tells the user who breaks it."""

    rule: str
    message: str
    field_path: str = ""

    def as_schema(self) -> dict[str, str]:
        """As it stands in a CRD."""
        path = {"fieldPath": self.field_path} if self.field_path else {}
        return {"rule": self.rule, "message": self.message, **path}


@dataclass(frozen=True)
class Immutable:
    """Every field of a spec is fixed at creation, but those in `but`."""

    advice: str
    but: frozenset[str] = frozenset()

    def rules(self, fields: list[str]) -> list[Rule]:
        """One rule a field, so that the message can name it; setting and removing it are refused as well."""
        return [
            Rule(
                rule=f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
                message=f"spec.{name} is immutable; {self.advice}",
                field_path=f".{name}",
            )
            for name in fields
            if name not in self.but
        ]


def alias(name: str) -> str:
    """The camelCase name of a field: `run_id` is `runID`, `for_` is `for`."""
    camel = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name.rstrip("_"))
    return re.sub(r"(?<=[a-z])Id$", "ID", camel)


class ApiType(BaseModel):
    """An object of the API. Its fields' docstrings become their descriptions."""

    model_config = ConfigDict(
        alias_generator=alias, populate_by_name=True, use_attribute_docstrings=True, frozen=True, extra="ignore"
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    immutable: ClassVar[Immutable | None] = None

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core_schema)
        rules = [*cls.rules]
        if cls.immutable:
            rules += cls.immutable.rules([alias(name) for name in cls.model_fields])
        if rules:
            handler.resolve_ref_schema(schema)[VALIDATIONS] = [rule.as_schema() for rule in rules]
        return schema


class OpenType(ApiType):
    """An object of the API that keeps fields this release does not know."""

    model_config = ConfigDict(extra="allow")


def list_map(*keys: str) -> dict[str, Any]:
    """Marks a list whose items are told apart by `keys`, so that several field managers can own items of it."""
    return {LIST_TYPE: "map", LIST_MAP_KEYS: list(keys)}


def validated(*rules: Rule) -> dict[str, Any]:
    """Marks a field with CEL rules of its own."""
    return {VALIDATIONS: [rule.as_schema() for rule in rules]}


def _text(pattern: str, max_length: int, message: str, *rules: Rule) -> Any:
    extra: dict[str, Any] = {PATTERN_MESSAGE: message, **(validated(*rules) if rules else {})}
    return Field(pattern=pattern, max_length=max_length, json_schema_extra=extra)


def _not_one_of(*reserved: str) -> Rule:
    listed = ", ".join(f"'{name}'" for name in reserved)
    return Rule(f"!(self in [{listed}])", f"a stage cannot be called {', '.join(reserved)}; these words are reserved")


_STAGE = r"^[a-z][a-z0-9]{0,19}$"
_STAGE_MESSAGE = "a stage is 1-20 lower-case letters and digits and begins with a letter"
MODEL_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
MODEL_NAME_MESSAGE = (
    "a Model's name is 1-40 lower-case letters, digits and '-', begins with a letter and ends with a letter or digit"
)
MODEL_NAME_LIMIT = 40

ModelName = Annotated[str, _text(MODEL_NAME, MODEL_NAME_LIMIT, MODEL_NAME_MESSAGE)]
StageName = Annotated[str, _text(_STAGE, 20, _STAGE_MESSAGE, _not_one_of(*names.RESERVED_STAGES))]
WantedStage = Annotated[
    str,
    _text(
        _STAGE,
        20,
        _STAGE_MESSAGE + "; leave it out to ask for none",
        _not_one_of(*(name for name in names.RESERVED_STAGES if name != names.STAGE_ARCHIVED)),
    ),
]
VersionName = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        63,
        "a version is 1-63 lower-case letters, digits, '-' and '.', each part between dots begins and ends with a "
        "letter or digit (it ends the object's name)",
    ),
]
Duration = Annotated[
    str, _text(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", 28, "a duration is written like 30s, 10m, 1h30m or 500ms")
]
Digest = Annotated[
    str, _text(r"^sha256:[0-9a-f]{64}$", 71, "a digest is 'sha256:' and 64 hexadecimal digits in lower case")
]
Sha256 = Annotated[
    str, _text(r"^[0-9a-f]{64}$", 64, "a sha256 is 64 hexadecimal digits in lower case, as sha256sum prints")
]
ServiceName = Annotated[
    str,
    _text(
        MODEL_NAME,
        63,
        "a Service's name is 1-63 lower-case letters, digits and '-', begins with a letter and ends with a letter or "
        "digit",
    ),
]
ObjectName = Annotated[
    str,
    _text(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        253,
        "an object's name is lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit",
    ),
]
Word = Annotated[str, Field(min_length=1, max_length=63)]
Line = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=4096)]
NO_PASSWORD = Rule(
    r"!self.matches('^[A-Za-z][A-Za-z0-9+.-]*://[^/@]*:[^/@]*@')",
    "a URL with a password would be read by everybody who may read this object, and kept in the ledger; take it out",
)
Uri = Annotated[str, Field(min_length=1, max_length=2048, json_schema_extra=validated(NO_PASSWORD))]
