"""`compare A B`: what is different between two versions, in what was measured, and what they were made of.

`compare_versions` is pure; `approve` shows a part of it. Nothing is judged here: a gate does that.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.objects import name_of, status_of
from modelyard.cli.output import DataOutput, colours, heading, number, print_data, short, table
from modelyard.cli.refs import open_version

Obj = Mapping[str, Any]
Flat = dict[str, Any]
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(.*)")


class Change(StrEnum):
    """What became of a value; the mark that stands beside it."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


MARKS = {Change.SAME: "=", Change.CHANGED: "~", Change.ADDED: "+", Change.REMOVED: "-"}


@dataclass(frozen=True)
class Row:
    """One value on both sides; None where a side has none."""

    part: str
    name: str
    before: Any
    after: Any

    @property
    def change(self) -> Change:
        """What became of it."""
        if self.before == self.after:
            return Change.SAME
        if self.before is None:
            return Change.ADDED
        return Change.REMOVED if self.after is None else Change.CHANGED

    @property
    def mark(self) -> str:
        """`=`, `~`, `+` or `-`, and by how much where both sides are numbers."""
        if self.change == Change.CHANGED and _is_number(self.before) and _is_number(self.after):
            return f"{MARKS[self.change]} {self.after - self.before:+.6g}"
        return MARKS[self.change]


@on_cluster
def compare(
    access: Access,
    a: arguments.Before,
    b: arguments.After,
    everything: Annotated[bool, typer.Option("--all", help="Also what is the same.")] = False,
    output: DataOutput = None,
) -> None:
    """What changed between two versions.

    Metrics, gates, hyperparameters, data, code, dependencies; what changed is marked.
    """
    before, after = open_version(access, a)[1], open_version(access, b)[1]
    rows = compare_versions(before, after)
    if output:
        values = [{**asdict(row), "change": row.change.value} for row in rows]
        print_data({"before": name_of(before), "after": name_of(after), "values": values}, output)
        return
    for line in rendered(rows, name_of(before), name_of(after), everything=everything):
        typer.echo(line)


def rendered(rows: list[Row], before: str, after: str, *, everything: bool = False) -> list[str]:
    """A table a part. Metrics are always shown whole: that one did not change is worth knowing."""
    lines: list[str] = []
    for part in PARTS:
        mine = [row for row in rows if row.part == part]
        shown = [row for row in mine if everything or part == "metrics" or row.change != Change.SAME]
        if not mine:
            continue
        same = len(mine) - len(shown)
        note = f"  ({same} the same)" if same else ""
        lines.append(heading(part.upper()) + note)
        if shown:
            cells = [(f"  {r.name}", _text(r.before), _text(r.after), r.mark) for r in shown]
            lines += _coloured(table(("", before, after, ""), cells), shown)
    return lines


def _coloured(lines: list[str], rows: list[Row]) -> list[str]:
    if not colours():
        return lines
    hued = [
        typer.style(line, fg=typer.colors.YELLOW) if row.change != Change.SAME else line
        for line, row in zip(lines[1:], rows, strict=True)
    ]
    return [lines[0], *hued]


def compare_versions(before: Obj, after: Obj) -> list[Row]:
    """Every value of both, part by part, names in order."""
    rows = []
    for part, read in PARTS.items():
        old, new = read(before), read(after)
        rows += [Row(part, name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    return rows


def flatten(value: Any, prefix: str = "") -> Flat:
    """A tree of maps as one map, the keys joined by dots."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: Flat = {}
    for key, below in value.items():
        found |= flatten(below, f"{prefix}.{key}" if prefix else str(key))
    return found


def gate_rows(version: Obj, stage: str | None = None) -> list[tuple[str, str, str]]:
    """What gates said of a version: (stage/gate, result, why)."""
    gates = status_of(version).get("gates") or ()
    mine = [gate for gate in gates if stage in (None, gate.get("stage"))]
    return [(_gate_name(gate), gate.get("result", ""), gate.get("message", "")) for gate in mine]


def _artifact(version: Obj) -> Flat:
    status = status_of(version)
    found = status.get("artifact") or {}
    spec = version["spec"]
    return _present(
        {
            "digest": status.get("digest") or spec["artifact"].get("digest"),
            "format": found.get("format") or spec.get("format"),
            "size": found.get("sizeBytes"),
            "files": found.get("fileCount"),
            **flatten(spec.get("framework") or {}, "framework"),
            **flatten(spec["artifact"].get("external") or {}, "external"),
        }
    )


def _data(version: Obj) -> Flat:
    sets = version["spec"].get("datasets") or ()
    return {
        f"{data['name']}.{field}": value
        for data in sets
        for field, value in data.items()
        if field in ("version", "digest", "uri", "context")
    }


def _code(version: Obj) -> Flat:
    bases = {
        f"base {ref}": base.get("relation", "")
        for base in version["spec"].get("baseModels") or ()
        if (ref := base["ref"])
    }
    return {**(version["spec"].get("source") or {}), **bases}


def _dependencies(version: Obj) -> Flat:
    found = version["spec"].get("dependencies") or {}
    return dict(_requirements(found.get("requirements") or ())) | _present({"image": found.get("image")})


def _requirements(lines: Any) -> Iterator[tuple[str, str]]:
    for line in lines:
        match = _REQUIREMENT.fullmatch(line)
        yield (match[1].lower().replace("_", "-"), match[2] or "any") if match else (line, "any")


def _gates(version: Obj) -> Flat:
    found: Flat = {}
    for gate in status_of(version).get("gates") or ():
        found[_gate_name(gate)] = gate.get("result")
        found |= flatten(gate.get("candidate") or {}, _gate_name(gate))
    return found


def _gate_name(gate: Obj) -> str:
    return f"{gate.get('stage')}/{gate.get('name')}"


def _field(name: str) -> Callable[[Obj], Flat]:
    return lambda version: flatten(value, "") if (value := version["spec"].get(name)) else {}


PARTS: Mapping[str, Callable[[Obj], Flat]] = {
    "metrics": _field("metrics"),
    "gates": _gates,
    "hyperparameters": _field("hyperparameters"),
    "data": _data,
    "code": _code,
    "dependencies": _dependencies,
    "artifact": _artifact,
}
"""What is compared, in the order of what is asked first."""


def _present(values: Flat) -> Flat:
    return {name: value for name, value in values.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, str) and value.startswith("sha256:"):
        return short(value)
    return "" if value is None else number(value)
