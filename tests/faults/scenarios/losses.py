"""What is deleted, lost or out of reach: a version, the Model, its status, the ledger."""

from tests.faults.kubelet import BROKEN
from tests.faults.scenarios.scenario import Scenario
from tests.faults.scenarios.story import Story

MERGE = "application/merge-patch+json"


def _two(story: Story) -> None:
    story.declare()
    story.serve("1", "2")


def _rolled_back(story: Story) -> None:
    _two(story)
    story.roll_back()
    story.serves("1")


def _restore(story: Story) -> None:
    """As after the restore of a backup, which has every object and no status."""
    yard = story.yard
    yard.stop()
    for kind in ("Model", "ModelVersion", "Rollback"):
        items = [yard.find("Model", story.model)] if kind == "Model" else yard.of_model(kind, story.model)
        for item in items:
            assert item
            yard.api.call("PATCH", f"{yard.path(kind, item['metadata']['name'])}/status", {"status": None}, MERGE)
    yard.start()
    story.serves("1")
    story.ask("3")


def _delete_another(story: Story) -> None:
    """One that is on its way, and one that stands by."""
    story.ask("3", serving={"image": BROKEN})
    story.waits(lambda: story.is_recorded("3"), "it is verified, and that is told")
    story.yard.delete("ModelVersion", story.name_of("3"))
    story.yard.delete("ModelVersion", story.name_of("1"))
    story.waits(lambda: story.end()["stages"][0]["open"] == ["2"], "nobody asks for others any more")


def _delete_all(story: Story) -> None:
    story.yard.delete("Model", story.model)
    for version in ("1", "2"):
        story.yard.delete("ModelVersion", story.name_of(version))
    story.waits(lambda: not story.yard.of_model("Deployment", story.model), "its Deployments are gone")


def _delete_and_declare_anew(story: Story) -> None:
    _delete_all(story)
    for kind in ("Service", "ConfigMap"):  # while they are there, a new Model takes up what they tell
        story.waits(lambda kind=kind: not story.yard.of_model(kind, story.model), f"its {kind}s are gone")
    story.declare()
    story.ask("3")


def _without_ledger(story: Story) -> None:
    """The store is down while stages move, and comes back."""
    with story.yard.ledger.is_down():
        story.ask("3")
        story.serves("3")
        story.roll_back()
        story.serves("2")
        story.ledger_is("LedgerUnavailable")
    story.ledger_is("Synced")


LOSSES = {
    "restored without status": Scenario(_rolled_back, _restore, "3"),
    "restored without status, with a ledger": Scenario(
        _rolled_back, _restore, "3", ledger=True, happens_again=frozenset({"Verified"})
    ),
    "other versions deleted": Scenario(_two, _delete_another, "2", ledger=True),
    "Model deleted": Scenario(_two, _delete_all, "", ledger=True, may_interrupt=True),
    "Model deleted and declared anew": Scenario(_two, _delete_and_declare_anew, "3", may_interrupt=True),
    "ledger out of reach": Scenario(_two, _without_ledger, "2", ledger=True),
}
