"""Gates and people say yes or no."""

from collections.abc import Callable
from typing import Any

from tests.faults.kubelet import ALL_WELL
from tests.faults.scenarios.scenario import Scenario
from tests.faults.scenarios.story import Story, gate, stage

GOOD = "candidate.auc > 0.8"
BAD = {"auc": 0.5}
TWO_PEOPLE = {"required": 2, "excludeRequester": True}


def _one_without_gates(story: Story) -> None:
    story.declare()
    story.serve("1", metrics={"auc": 0.8})


def _one_past_all(story: Story) -> None:
    """Gates of every phase and two people stand before the next one."""
    _one_without_gates(story)
    gates = [
        gate("declared", "candidate.auc > incumbent.auc", job=False),
        gate("quality", GOOD, inputs="Both"),
        gate("smoke", GOOD, when="BeforeTraffic"),
        gate("watch", GOOD, when="AfterTraffic"),
    ]
    story.change({"stages": [stage(gates=gates, approvals=TWO_PEOPLE)]})


def _pass_all(story: Story) -> None:
    story.ask("2", metrics={"auc": 0.9})
    story.judge("2", "Approve", "alice@example.com", "bob@example.com")
    story.is_good("2")


def _one_with(*gates: dict[str, Any], people: int = 0) -> Callable[[Story], None]:
    def prepare(story: Story) -> None:
        _one_without_gates(story)
        story.change({"stages": [stage(gates=list(gates), approvals={"required": people})]})

    return prepare


def _through_staging(story: Story) -> None:
    story.declare(stage("staging", gates=[gate("slices", GOOD), gate("smoke", GOOD, when="BeforeTraffic")]), stage())
    story.serve("1")


def _one_past_traffic(story: Story) -> None:
    """The first one is on trial from the moment when its stage's objects are made."""
    story.declare(stage(gates=[gate("watch", GOOD, when="AfterTraffic")]))
    story.serve("1")
    story.is_good("1")


def _fail_after_traffic(story: Story) -> None:
    story.kubelet_says("watch", BAD)
    story.ask("2")
    story.reaches("2", "Failed")
    story.serves("1")


def _evicted(story: Story) -> None:
    story.yard.kubelet.evictions.add((story.model, "quality"))
    story.ask("2")


def _retry(story: Story) -> None:
    story.kubelet_says("quality", BAD)
    story.ask("2")
    story.reaches("2", "Failed")
    story.waits(story.is_judged, "the Job of the first attempt is seen to have ended")  # else it may go, with its log
    story.kubelet_says("quality", ALL_WELL)
    story.annotate("2", retry="1")


def _reject(story: Story) -> None:
    story.ask("2")
    story.judge("2", "Approve", "alice@example.com")
    story.judge("2", "Reject", "bob@example.com")
    story.reaches("2", "Rejected")


def _overtake(story: Story) -> None:
    """One waits for people; the one after it is approved and takes the stage."""
    story.ask("2")
    story.reaches("2", "AwaitingApproval")
    story.ask("3")
    story.judge("3", "Approve", "alice@example.com")
    story.serves("3")
    story.reaches("2", "Superseded")


JUDGEMENTS = {
    "promotion past gates and people": Scenario(_one_past_all, _pass_all, "2", ledger=True),
    "promotion through staging": Scenario(_through_staging, lambda story: story.ask("2"), "2"),
    "undone after traffic": Scenario(_one_past_traffic, _fail_after_traffic, "1", ledger=True),
    "gate's pod evicted": Scenario(_one_with(gate("quality", GOOD, retries=1)), _evicted, "2"),
    "retry": Scenario(_one_with(gate("quality", GOOD)), _retry, "2", ledger=True),
    "rejection": Scenario(_one_with(people=2), _reject, "1", ledger=True),
    "overtaken while it waits for people": Scenario(_one_with(people=1), _overtake, "3", ledger=True),
}
