"""What commands print: tables and sentences for people, JSON, YAML or names for programs.

Standard output carries the result and nothing else; what a command tells on its way goes to standard error. Colours
only on a terminal, and not with NO_COLOR.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

Obj = Mapping[str, Any]
Row = Sequence[object]
GAP = "   "
_GOOD = ("Serving", "Passed", "Applied", "True", "Approve", "yes", "warm")
_BAD = ("Failed", "Rejected", "RolledBack", "Refused", "Error", "False", "Reject", "Stalled")
_ON_ITS_WAY = (
    "Queued", "Verifying", "Held", "Checking", "AwaitingApproval", "Deploying", "Switching", "Running", "Pending",
    "Reconciling", "Waiting",
)  # fmt: skip
HUES = {
    **dict.fromkeys(_GOOD, typer.colors.GREEN),
    **dict.fromkeys(_BAD, typer.colors.RED),
    **dict.fromkeys(_ON_ITS_WAY, typer.colors.YELLOW),
}
"""Colours of the words that tell how something stands."""


class Format(StrEnum):
    """For programs."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class Data(StrEnum):
    """For programs, where what is printed is no object with a name."""

    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format | None, typer.Option("-o", "--output", help="Print for a program, not for a person.")]
DataOutput = Annotated[Data | None, typer.Option("-o", "--output", help="Print for a program, not for a person.")]


def print_objects(objects: Sequence[Obj], output: Format, *, as_list: bool = True) -> None:
    """Objects of the API: one by itself, or several as a List."""
    shown = [without_managers(obj) for obj in objects]
    if output == Format.NAME:
        for obj in shown:
            typer.echo(full_name(obj))
        return
    print_data({"apiVersion": "v1", "kind": "List", "items": shown} if as_list else shown[0], Data(output.value))


def print_data(value: Any, output: Data) -> None:
    """Anything else."""
    if output == Data.JSON:
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    else:
        typer.echo(as_yaml(value), nl=False)


def as_yaml(value: Any) -> str:
    """YAML in the order given."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(
        yaml.dump(json.loads(json.dumps(value, default=str)), Dumper=dumper, sort_keys=False, allow_unicode=True)
    )


def full_name(obj: Obj) -> str:
    """As `kubectl -o name` prints it, and takes it."""
    kind, group = str(obj["kind"]).lower(), str(obj["apiVersion"]).rpartition("/")[0]
    return f"{kind}{f'.{group}' if group else ''}/{obj['metadata']['name']}"


def without_managers(obj: Obj) -> Obj:
    """The object without the bookkeeping of field managers, which nobody reads."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def print_table(header: Sequence[str], rows: Sequence[Row], *, empty: str) -> None:
    """Columns as kubectl sets them; words that tell how something stands are coloured."""
    if not rows:
        say(empty)
        return
    typer.echo("\n".join(table(header, rows, hued=colours())))


def table(header: Sequence[str], rows: Iterable[Row], *, hued: bool = False) -> list[str]:
    """Lines of a table whose columns are as wide as what is in them."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    lines = []
    for number, row in enumerate(cells):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if hued and number:
            padded = [hue(text, cell) for text, cell in zip(padded, row, strict=True)]
        lines.append(GAP.join(padded).rstrip())
    return lines


def _cell(value: object) -> str:
    return " ".join(str(value).split()) if value not in (None, "") else "-"


def hue(text: str, word: str | None = None) -> str:
    """The text in the colour of the word (itself, when none is given); echo takes it out where no terminal shows it."""
    colour = None if os.environ.get("NO_COLOR") else HUES.get(word if word is not None else text)
    return typer.style(text, fg=colour) if colour else text


def heading(text: str) -> str:
    """A line that begins a part of what is shown."""
    return typer.style(text, bold=True) if colours() else text


def colours() -> bool:
    """Whether standard output is a terminal that shows them."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    typer.echo(text, err=True)


def age(moment: str | None, now: datetime | None = None) -> str:
    """How long ago, as kubectl writes it: 42s, 7m, 3h, 12d."""
    if not moment:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - parse_time(moment)).total_seconds()))
    for limit, unit, letter in ((120, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit}{letter}"
    return f"{seconds // 86_400}d"


def parse_time(moment: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


def short(digest: str | None) -> str:
    """Enough of a digest for a person to tell two apart."""
    return f"{digest[:19]}…" if digest and len(digest) > 20 else digest or ""


def number(value: object) -> str:
    """A metric as it is read: six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def fields(values: Mapping[str, Any]) -> list[str]:
    """Names and values, a line each; what is not there is left out."""
    shown = {name: number(value) for name, value in values.items() if value not in (None, "")}
    width = max(map(len, shown), default=0)
    return [f"  {name.ljust(width)}  {value}" for name, value in shown.items()]
