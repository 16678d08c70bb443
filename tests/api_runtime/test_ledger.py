"""The operator with a ledger in a real store: it is told everything once, whoever dies and whatever is down.

The Model's versions are hosted by an outside provider and have no server, so a stage moves without pods.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, Place, open_place
from modelyard.ledger.queries import asof, history
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.records import Head
from modelyard.ledger.verifying import verify
from tests.api_runtime.conftest import Process
from tests.kube import Kube, Obj
from tests.store.gateway import Gateway

pytestmark = pytest.mark.api

CLUSTER, BUCKET = "test", "ledger"
APPENDED_WITHIN = 60.0
"""An attempt to reach a store that is down, its pause, and the next attempt."""


class Team:
    """One Model and its versions, as their users see them."""

    def __init__(self, here: Kube, group: str) -> None:
        self.here = here
        self._group = group
        self._create("Model", "fraud", {"stages": [{"name": "production"}]})

    def add(self, version: str, stage: str | None = "production") -> None:
        external = {"provider": "openai", "model": "gpt", "revision": version}
        spec = {"model": "fraud", "version": version, "artifact": {"external": external}, "author": f"author-{version}"}
        self._create("ModelVersion", f"fraud-{version}", spec | ({"stage": stage} if stage else {}))

    def roll_back(self, name: str) -> None:
        self._create("Rollback", name, {"model": "fraud", "stage": "production", "reason": "INC-1", "ticket": "INC-1"})

    def serves(self, version: str) -> None:
        def holds(model: Obj) -> bool:
            stages = model.get("status", {}).get("stages", [])
            return any(stage.get("current", {}).get("version") == version for stage in stages)

        self.here.wait(f"models.{self._group}", "fraud", holds, what=f"production serves version {version}")

    def ledger_is(self, reason: str) -> None:
        def holds(model: Obj) -> bool:
            conditions = model.get("status", {}).get("conditions", [])
            return any((c["type"], c["reason"]) == ("LedgerSynced", reason) for c in conditions)

        self.here.wait(f"models.{self._group}", "fraud", holds, what=f"LedgerSynced says {reason}")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.here.get(f"models.{self._group}", "fraud")["status"]
        return found

    def delete(self) -> None:
        self.here.delete(f"models.{self._group}", "fraud")

    def delete_version(self, version: str) -> None:
        self.here.delete(f"modelversions.{self._group}", f"fraud-{version}")

    def _create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": self.here.namespace}
        self.here.create({"apiVersion": f"{self._group}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A store of the test's own, which it may stop."""
    (tmp_path / "store").mkdir()
    server = Gateway(tmp_path / "store")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    server.start()
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture
def place(gateway: Gateway) -> Place:
    return open_place(LedgerSettings(f"s3://{BUCKET}/yard", gateway.settings))


@pytest.fixture
def start(operator: Callable[..., Process], gateway: Gateway) -> Callable[..., Process]:
    """Starts operators that write to the ledger."""
    settings = {"url": f"s3://{BUCKET}/yard", "endpoint": gateway.endpoint, "forcePathStyle": True}

    def begin(identity: str) -> Process:
        return operator(identity, program="real_operator", clusterName=CLUSTER, ledger=settings)

    return begin


@pytest.fixture
def team(here: Kube, group: str) -> Team:
    return Team(here, group)


def kill(process: Process, here: Kube) -> None:
    """Kill it, and do not wait until its lease runs out."""
    process.stop(signal.SIGKILL)
    here.delete("lease", "modelyard")


def told(place: Place, team: Team) -> list[str]:
    """What happened to which version, in the order of the chain, which is checked on the way."""
    records = (sealed.record for sealed in checked(walk(place, chain_of(team))))
    return [f"{r.type} {(r.to or r.version).version}" if r.to or r.version else r.type for r in records]  # type: ignore[union-attr]


def chain_of(team: Team) -> ChainName:
    assert team.here.namespace
    return ChainName(CLUSTER, team.here.namespace, "fraud")


def way_of(version: str) -> list[str]:
    return [f"{kind} {version}" for kind in ("Registered", "Verified", "Promoted")]


def test_down_and_killed_and_back(start: Callable[..., Process], team: Team, gateway: Gateway, place: Place) -> None:
    """Promote; stop the store; promote and roll back; kill the operator between commit and append; start all again."""
    first = start("first")
    first.until_leading()
    team.add("1")
    team.serves("1")
    first.until(lambda: told(place, team) == way_of("1"), "the first version's records")

    gateway.stop()
    team.add("2")
    team.serves("2")
    team.roll_back("back")
    team.serves("1")
    team.ledger_is("LedgerUnavailable")
    first.until(lambda: first.metric("modelyard_ledger_waiting") == 4, "four records wait")
    kill(first, team.here)
    second = start("second")
    second.until_leading()
    team.add("3")
    team.serves("3")
    gateway.start()
    expected = [*way_of("1"), *way_of("2"), "RolledBack 1", *way_of("3")]
    second.until(lambda: told(place, team) == expected, "all records", within=APPENDED_WITHIN)
    team.ledger_is("Synced")
    kill(second, team.here)

    third = start("third")
    third.until_leading()
    team.add("4")
    team.serves("4")
    third.until(lambda: told(place, team) == [*expected, *way_of("4")], "the fourth version's records")
    known = team.status()["ledger"]
    report = verify(place, chain_of(team), [Head(known["number"], known["sha256"])])
    assert report.findings == ()
    [back] = [record for record in history(place, f"{team.here.namespace}/fraud") if record.type == "RolledBack"]
    assert back.request
    assert (back.request.reason, back.request.ticket, back.request.source) == ("INC-1", "INC-1", "Rollback/back")


def test_killed_again_and_again_while_versions_come(start: Callable[..., Process], team: Team, place: Place) -> None:
    process = start("operator-0")
    versions = [str(number) for number in range(1, 5)]
    for number, version in enumerate(versions, 1):
        process.until_leading()
        team.add(version)
        if number % 2:
            team.serves(version)
        kill(process, team.here)
        process = start(f"operator-{number}")
    team.serves(versions[-1])
    expected = {f"{kind} {version}" for kind in ("Registered", "Verified") for version in versions}
    process.until(lambda: expected <= set(told(place, team)), "every registration and verification")
    moves = [f"{line['type']} {line['to']['version']}" for line in team.status()["transitions"]]
    process.until(lambda: [t for t in told(place, team) if t.startswith("Promoted")] == moves, "every move, in order")
    everything = told(place, team)
    assert len(everything) == len(set(everything))
    assert verify(place, chain_of(team)).intact


def test_what_was_in_production_is_answered_when_all_is_deleted(
    start: Callable[..., Process], team: Team, place: Place
) -> None:
    process = start("operator")
    process.until_leading()
    for version in ("1", "2"):
        team.add(version)
        team.serves(version)
    moves = team.status()["transitions"]
    process.until(lambda: "Promoted 2" in told(place, team), "the second promotion's record")
    team.delete_version("1")
    process.until(lambda: "Deleted 1" in told(place, team), "that the version was deleted")
    team.delete()
    process.until(lambda: told(place, team)[-1] == "Deleted", "that the Model was deleted")
    [then] = asof(place, f"{team.here.namespace}/fraud", "production", moves[0]["effectiveAt"])
    [period] = then.periods
    assert (period.serves.version, period.version.spec["author"]) == ("1", "author-1")
    [end] = asof(place, f"{team.here.namespace}/fraud", "production", "2999-01-01")
    assert end.periods == ()
