"""Every command in docs/plugin.md that needs no operator does what the page says; the others run in tests/cluster."""

import json
from pathlib import Path

import pytest

from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, open_place, prepare
from modelyard.ledger.writing import append
from tests.api.conftest import Registry
from tests.api.plugin_world import Operator, furnish, model
from tests.plugin import PAGE, Plugin, typed
from tests.unit.cli.test_recording import promoted

pytestmark = pytest.mark.api

RUN_HERE = ("See", "Decide", "Trace")
RUN_ELSEWHERE = {"Register, promote, roll back": "tests/cluster", "From MLflow": "test_plugin_register"}


@pytest.fixture
def plugin(registry: Registry, tmp_path: Path) -> Plugin:
    """The plugin, and a ledger that has something to tell."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    place = open_place(LedgerSettings(f"file://{folder}"))
    prepare(place)
    assert registry.kube.namespace
    append(place, ChainName("prod", registry.kube.namespace, "fraud"), [promoted(10, "6"), promoted(16, "7")])
    return Plugin.install(registry.kube, tmp_path, registry.group, MODELYARD_LEDGER=f"file://{folder}")


@pytest.fixture
def two(registry: Registry, plugin: Plugin) -> Operator:
    """Version 6 in production, and a request of version 7 that waits for approvals."""
    world = furnish(registry)
    plugin("promote", "fraud-7", "production").ok()
    world.says("7", "Held", "AwaitingApproval", approvals={"required": 1, "stage": "production"})
    return world


@pytest.mark.parametrize("section", RUN_HERE)
def test_every_command_of_the_page_runs(plugin: Plugin, two: Operator, tmp_path: Path, section: str) -> None:
    lines = typed(section)
    assert lines
    for line in lines:
        done = plugin.type(line, tmp_path).ok()
        assert done.out or ">" in line or section == "Decide", line


def test_what_the_page_shows_of_the_past(plugin: Plugin, two: Operator, registry: Registry, tmp_path: Path) -> None:
    (asof,) = [line for line in typed("Trace") if " asof " in line]
    assert "version 6 served from 2025-11-10T12:00:00Z" in plugin.type(asof, tmp_path).ok().out
    (export,) = [line for line in typed("Trace") if " export " in line]
    plugin.type(export, tmp_path).ok()
    records = [json.loads(line) for line in (tmp_path / "fraud.jsonl").read_text().splitlines()]
    assert [record["number"] for record in records] == [1, 2]


def test_every_section_with_commands_is_run_somewhere() -> None:
    sections = [part.partition("\n")[0] for part in PAGE.read_text().split("\n## ")[1:] if "```sh" in part]
    assert set(sections) == {*RUN_HERE, *RUN_ELSEWHERE}


def test_the_ledger_is_compared_with_what_the_cluster_has_noted(
    plugin: Plugin, two: Operator, registry: Registry
) -> None:
    intact = plugin("ledger", "verify", "fraud").ok().out
    number, _, sha256 = intact.strip().rpartition(" ")[2].partition(":")
    two.write(model(), {"ledger": {"number": int(number), "sha256": sha256}})
    plugin("ledger", "verify", "fraud", "--against-cluster").ok()
    two.write(model(), {"ledger": {"number": int(number) + 1, "sha256": sha256}})
    cut = plugin("ledger", "verify", "fraud", "--against-cluster")
    assert cut.code == 1
    assert "Cut" in cut.err
