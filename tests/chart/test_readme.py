"""The README's table of values says what the schema and the defaults say. Run as a script, this file writes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "modelyard"
START, END = "<!-- values -->\n", "<!-- /values -->\n"


def rows(schema: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """One line for each value that can be set, in the schema's order."""
    for name, field in schema["properties"].items():
        if name in defaults and "properties" in field:
            yield from rows(field, defaults[name], f"{prefix}{name}.")
        elif name in defaults:
            yield f"| `{prefix}{name}` | `{json.dumps(defaults[name])}` | {field['description']} |"


def table() -> str:
    """The table as Markdown."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    return "\n".join(["| Value | Default | Meaning |", "|---|---|---|", *rows(schema, defaults)]) + "\n"


def test_the_table_of_values_is_current() -> None:
    text = (CHART / "README.md").read_text()
    written = text.partition(START)[2].partition(END)[0]
    assert written == table(), "out of date: run `python tests/chart/test_readme.py`"


def test_every_default_is_described() -> None:
    """helm refuses a value without a schema entry, and the table leaves out one without a default."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for_parent_charts = {"global", "enabled"}
    assert set(schema["properties"]) - for_parent_charts == set(defaults)


def _write() -> None:
    readme = CHART / "README.md"
    before, _, rest = readme.read_text().partition(START)
    readme.write_text(before + START + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    _write()
