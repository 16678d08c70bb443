"""An emergency rollback while Argo CD heals: it re-applies every second what Git still asks for, and nobody fights.

Argo CD is played, the rest is real: the API server, the operator's process, and what it writes.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.connections import Api
from tests.faults.faults import Counted
from tests.faults.proxy import Answer, Call, PassOn
from tests.faults.runs import a_ground, wait_for_quiet
from tests.faults.scenarios import Scenario, Story
from tests.faults.scenarios.scenario import nothing
from tests.faults.scenarios.story import stage, template
from tests.faults.yard import wait_until
from tests.unit.gitops.judges import Argo, kstatus

pytestmark = pytest.mark.faults

Obj = dict[str, Any]
HEALED_EVERY = 1.0
HEALED_AFTERWARDS = 5
"""How often the old manifests are applied once more when all is quiet."""


class SelfHeal:
    """Argo CD's application controller: applies the manifests of a folder in Git, by server-side apply as it does."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._api = Api()
        self.manifests: list[Obj] = []
        self.rounds = 0
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def manifest(self, kind: str, name: str, spec: Mapping[str, Any]) -> Obj:
        """An object as it stands in Git."""
        api_version = f"{self._story.yard.group}/v1alpha1"
        return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}

    def sync(self) -> None:
        """Apply everything once."""
        yard = self._story.yard
        for manifest in self.manifests:
            where = yard.path(manifest["kind"], manifest["metadata"]["name"])
            query = "fieldManager=argocd-controller&force=true"
            self._api.call("PATCH", f"{where}?{query}", manifest, "application/apply-patch+yaml")
        self.rounds += 1

    @contextmanager
    def on(self) -> Iterator[None]:
        """Heal every second."""
        thread = threading.Thread(target=self._heal, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        assert self._error is None, self._error

    def _heal(self) -> None:
        try:
            while not self._ended.wait(HEALED_EVERY):
                self.sync()
        except BaseException as error:
            self._error = error


class Watched(Counted):
    """Notes what the operator writes of the objects that are in Git, beside what it writes at all."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.to_what_git_has: list[str] = []

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        if call.is_write and call.collection in ("models", "modelversions"):
            self.to_what_git_has.append(str(call))
        return await super().handle(call, pass_on)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """A Model of its own, in a lane with an operator."""
    with a_ground(1, tmp_path) as ground, ground.story(Scenario(nothing, nothing, ends_with="")) as story:
        yield story


def test_a_rollback_holds_against_self_heal(story: Story) -> None:
    yard, argo = story.yard, SelfHeal(story)
    yard.proxy.faults = watched = Watched(story.model)

    # Version 2 is promoted by a commit; the warm one is scaled to zero, so that going back takes a while.
    serving = {"template": template("server:1"), "keepWarm": {"for": "1h", "replicas": 0}}
    argo.manifests = [argo.manifest("Model", story.model, {"serving": serving, "stages": [stage()]})]
    for version in ("1", "2"):
        argo.manifests.append(argo.manifest("ModelVersion", story.name_of(version), asks(story, version)))
        argo.sync()
        story.serves(version)
    story.waits(lambda: ("1", 0, 0) in story.deployments(), "version 1 is scaled to zero")

    with argo.on():
        # Somebody rolls back. The old manifests are applied before, while and after the stage moves.
        wait_until(lambda: argo.rounds >= 4, 30, "self-heal has begun")
        story.roll_back()
        story.serves("1")
        story.reaches("2", "RolledBack")
        wait_for_quiet(watched)
        assert moves(story) == ["1", "2", "1"]
        assert watched.to_what_git_has, "the operator is not seen"
        assert all(write.endswith("/status") for write in watched.to_what_git_has)

        # It stays so, and the operator has nothing to do.
        yard.proxy.faults = afterwards = Watched(story.model)
        before, rounds = states(story), argo.rounds
        wait_until(lambda: argo.rounds >= rounds + HEALED_AFTERWARDS, 60, "the old manifests are applied again")
        assert (afterwards.tried, states(story)) == (0, before)
        assert verdicts(story) == {"1": ("Healthy", "Current"), "2": ("Degraded", "Failed")}

    # Then, in peace, the commit is reverted: nothing moves, and Argo CD is content.
    argo.manifests[-1] = argo.manifest("ModelVersion", story.name_of("2"), asks(story, "2", stage=""))
    argo.sync()
    story.waits(lambda: verdicts(story)["2"] == ("Healthy", "Current"), "Argo CD is content")
    assert moves(story) == ["1", "2", "1"]


def asks(story: Story, version: str, stage: str = "production") -> Obj:
    artifact = {"external": {"provider": "test", "model": "test", "revision": version}}
    spec = {"model": story.model, "version": version, "artifact": artifact}
    return spec | ({"stage": stage} if stage else {})


def moves(story: Story) -> list[str]:
    """The versions that production pointed at, in the order in which any client could see them."""
    seen: list[str] = []
    for _, obj in story.yard.recorder.of_model(story.model):
        for status in obj.get("status", {}).get("stages", ()) if obj["kind"] == "Model" else ():
            version = status.get("current", {}).get("version")
            if version and seen[-1:] != [version]:
                seen.append(version)
    return seen


def states(story: Story) -> dict[str, str]:
    """The resourceVersions of what Git has: any write at all, by anybody, is another one."""
    found = [story.yard.find("Model", story.model), *story.yard.of_model("ModelVersion", story.model)]
    return {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in found if obj}


def verdicts(story: Story) -> dict[str, tuple[str, str]]:
    """What Argo CD and kstatus make of each version."""
    found = story.yard.of_model("ModelVersion", story.model)
    judged = Argo()
    return {v["spec"]["version"]: (judged.health("ModelVersion", v)[0], kstatus(v)) for v in found}
