"""Stages move: promotions, rollbacks, withdrawals, changed templates; an upgrade of the operator moves none."""

from tests.faults.kubelet import BROKEN
from tests.faults.scenarios.scenario import Scenario, nothing
from tests.faults.scenarios.story import Story, gate, label, stage, template

GATED = gate("smoke", "candidate.auc > 0.8", when="BeforeTraffic")


def _first(story: Story) -> None:
    story.declare()
    story.ask("1", verified=True)


def _one(story: Story) -> None:
    story.declare()
    story.serve("1")


def _two(story: Story) -> None:
    story.declare()
    story.serve("1", "2")


def _two_cold(story: Story) -> None:
    story.declare(keepWarm={"for": "1h", "replicas": 0})
    story.serve("1", "2")
    story.waits(lambda: ("1", 0, 0) in story.deployments(), "version 1 is scaled to zero")


def _three(story: Story) -> None:
    story.declare()
    story.serve("1", "2", "3")


def _three_with_one_that_changed(story: Story) -> None:
    """The bytes of the last good one are not what they were; those of the one before it are."""
    story.declare(keepWarm={"for": "0s"})
    story.serve("1", "2", "3", verified=True)
    # Not a pod of theirs is left: one that has the right bytes would be gone back to.
    story.waits(lambda: [d[1:] for d in story.deployments()] == [(0, 0), (0, 0), (1, 1)], "1 and 2 have no pods")
    [second] = [d for d in story.yard.of_model("Deployment", story.model) if label(d, "version") == "2"]
    broken = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": BROKEN}]}}}}
    where = story.yard.path("Deployment", second["metadata"]["name"])
    story.yard.api.call("PATCH", where, broken, "application/strategic-merge-patch+json")


def _withdraw(story: Story) -> None:
    story.yard.patch("ModelVersion", story.name_of("2"), {"spec": {"stage": None}})


def _delete(story: Story) -> None:
    story.yard.delete("ModelVersion", story.name_of("2"))


def _change_template(story: Story) -> None:
    """And the port, of which the Service has one alone."""
    story.change({"serving": {"template": template("server:2"), "port": 9000}})
    story.moves(2)
    story.waits(lambda: story.ports() == [9000], "the Service has the other port")


def _change_template_for_the_worse(story: Story) -> None:
    story.change({"serving": {"template": template(BROKEN), "progressDeadline": "1s"}})
    story.waits(lambda: story.stage_status()["current"].get("heldReason"), "the template is given up")


def _change_template_and_back(story: Story) -> None:
    story.change({"serving": {"template": template("server:2")}})
    story.moves(2)
    story.change({"serving": {"template": template("server:1")}})
    story.moves(3)


def _one_gated(story: Story) -> None:
    story.declare(stage(gates=[GATED]))
    story.serve("1")


def _supersede(story: Story) -> None:
    """The middle one never gets ready in time: the newest takes the stage over it."""
    story.ask("2", serving={"image": BROKEN})
    story.waits(lambda: any(r["version"] == "2" for r in story.stage_status().get("requests", ())), "it has its place")
    story.ask("3")
    story.serves("3")
    story.reaches("2", "Superseded")


def _miss_deadline(story: Story) -> None:
    story.ask("2", serving={"image": BROKEN})
    story.reaches("2", "Failed")


def _one_with_deadline(story: Story) -> None:
    _one(story)
    story.change({"serving": {"progressDeadline": "1s"}})


def _one_at_a_time(story: Story) -> None:
    story.declare(rollout={"strategy": "Replace"})
    story.serve("1")
    story.change({"serving": {"progressDeadline": "1s"}})


def _miss_deadline_and_come_back(story: Story) -> None:
    _miss_deadline(story)
    story.waits(lambda: ("1", 1, 1) in story.deployments() and story.is_ready(), "version 1 has its pods again")


def _back_and_forth(story: Story) -> None:
    """Rolled back, asserted once more as it is, and asked for anew."""
    story.roll_back()
    story.serves("1")
    story.yard.patch("ModelVersion", story.name_of("2"), {"spec": {"stage": "production"}})
    story.annotate("2", request="again")
    story.serves("2")


def _back_twice(story: Story) -> None:
    story.roll_back(name="once")
    story.serves("2")
    story.roll_back(name="twice")
    story.serves("1")


def _back_to_the_first(story: Story) -> None:
    story.roll_back()
    story.serves("1")


def _two_named_by_the_model(story: Story) -> None:
    story.declare(stage(version="1"))
    for version in ("1", "2"):
        story.ask(version, wanted="")
    story.serves("1")


def _name_another(story: Story) -> None:
    story.change({"stages": [stage(version="2")]})
    story.serves("2")
    story.change({"stages": [stage(version="1")]})
    story.moves(3)


def _suspend(story: Story) -> None:
    story.change({"stages": [stage(suspend=True)]})
    story.waits(lambda: story.deployments() == [("1", 0, 0)], "it has no pods")
    story.change({"stages": [stage()]})
    story.waits(lambda: story.deployments() == [("1", 1, 1)] and story.is_ready(), "it has pods again")


def _another_at_staging(story: Story) -> None:
    story.declare(stage("staging"), stage())
    story.serve("1")
    story.ask("2", wanted="staging")
    story.waits(lambda: story.stage_status("staging").get("current", {}).get("effectiveSince"), "staging serves 2")


def _take_staging_out(story: Story) -> None:
    """As the Model's condition asks for: first suspended, then taken out, and nothing of it is left."""
    story.change({"stages": [stage("staging", suspend=True), stage()]})
    story.waits(lambda: ("2", 0, 0) in story.deployments(), "staging has no pods")
    story.change({"stages": [stage()]})
    story.waits(lambda: not story.stage_status("staging"), "staging is forgotten")


def _pause(story: Story) -> None:
    story.change({"stages": [stage(paused=True)]})
    story.waits(lambda: story.stage_status().get("paused"), "it is paused")
    story.ask("2")
    story.reaches("2", "Held")
    story.change({"stages": [stage()]})


def _upgrade(story: Story) -> None:
    """Another operator, with other helper images and another version: nothing moves. Then it does its work."""
    before = _pods_and_templates(story)
    story.yard.upgrade()
    story.ask("2", wanted="")
    story.waits(lambda: _is_verified(story, "2"), "the new operator works")
    assert _pods_and_templates(story) == before, "an upgrade of the operator changed what serves"
    story.yard.patch("ModelVersion", story.name_of("2"), {"spec": {"stage": "production"}})
    story.serves("2")
    story.roll_back()


def _is_verified(story: Story, version: str) -> bool:
    return bool((story.yard.find("ModelVersion", story.name_of(version)) or {}).get("status", {}).get("digest"))


def _pods_and_templates(story: Story) -> list[tuple[str, int]]:
    """What an upgrade must leave as it is: every Deployment, as its generation tells."""
    found = story.yard.of_model("Deployment", story.model)
    return sorted((d["metadata"]["uid"], d["metadata"]["generation"]) for d in found)


MOVES = {
    "first registration": Scenario(nothing, _first, "1"),
    "promotion": Scenario(_one, lambda story: story.ask("2"), "2"),
    "supersession": Scenario(_one, _supersede, "3"),
    "warm rollback": Scenario(_two, Story.roll_back, "1"),
    "cold rollback": Scenario(_two_cold, Story.roll_back, "1"),
    "rollback past one that does not start": Scenario(_three_with_one_that_changed, _back_to_the_first, "1"),
    "rollback and asked for anew": Scenario(_two, _back_and_forth, "2", ledger=True),
    "two rollbacks": Scenario(_three, _back_twice, "1", ledger=True),
    "withdrawal by edit": Scenario(_two, _withdraw, "1"),
    "withdrawal by deletion": Scenario(_two, _delete, "1", ledger=True),
    "template change": Scenario(_one, _change_template, "1"),
    "template change and back": Scenario(_one, _change_template_and_back, "1"),
    "template change past a gate": Scenario(_one_gated, _change_template, "1", ledger=True),
    "template change that does not start": Scenario(_one, _change_template_for_the_worse, "1"),
    "deadline missed": Scenario(_one_with_deadline, _miss_deadline, "1", ledger=True),
    "deadline missed, one at a time": Scenario(_one_at_a_time, _miss_deadline_and_come_back, "1", may_interrupt=True),
    "the Model names the version": Scenario(_two_named_by_the_model, _name_another, "1", ledger=True),
    "suspension": Scenario(_one, _suspend, "1", ledger=True, may_interrupt=True),
    "stage taken out": Scenario(_another_at_staging, _take_staging_out, "1", ledger=True),
    "pause": Scenario(_one, _pause, "2", ledger=True),
    "chart upgrade": Scenario(_one, _upgrade, "1", ledger=True),
}
