"""Whatever people do, and whenever the process dies: what holds of gates always."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from modelyard.decide import decide
from tests.tries import tries
from tests.unit.decide.simulation import Cluster

EVALUATE = {"spec": {"containers": [{"name": "evaluate", "image": "example"}]}}
PHASES = {"files": "BeforeDeploy", "pods": "BeforeTraffic", "after": "AfterTraffic"}
BEFORE = ("files", "pods")
VERSIONS = tuple("1234")
"""Versions to come, after a good one that serves everywhere."""
STAGES = ("staging", "production")


def stages(*, edited: bool = False, paused: bool = False) -> list[dict[str, Any]]:
    """Two stages with a gate in each phase; an edit changes what is asked and not what is answered."""
    check = "candidate.ok >= 1" if edited else "candidate.ok == 1"
    gates = [
        {"name": name, "when": when, "job": {"template": EVALUATE, "retries": 1}, "checks": [check]}
        for name, when in PHASES.items()
    ]
    return [{"name": name, "gates": gates, "paused": paused and name == "production"} for name in STAGES]


class Story:
    """A cluster in which random things happen, watched at every decision."""

    def __init__(self, bad: set[tuple[str, str]]) -> None:
        self.cluster = Cluster()
        self.cluster.bad = set(bad)
        self.cluster.model(stages=stages())
        self.moves = 0
        for stage in STAGES:
            self.cluster.version("0", stage=stage)
            for _ in range(3):
                self.cluster.settle(10)
        self.watch()

    def turns(self, number: int, writes: int | None) -> None:
        """Decide a few times; each time the process dies after so many writes."""
        for _ in range(number):
            plan = decide(self.cluster.snapshot(), self.cluster.now)
            assert plan == decide(self.cluster.snapshot(), self.cluster.now)
            self.cluster.carry_out(plan, writes)
            self.watch()
            self.cluster.play()

    def watch(self) -> None:
        """What has moved since the last look was let through by every gate on its way, and that is on record."""
        history = self.cluster.status("Model", "fraud").get("transitions", [])
        new, self.moves = history[self.moves :], len(history)
        for move in new:
            if move["type"] != "Promoted":
                continue
            version = move["to"]["version"]
            assert not {(gate, version) for gate in BEFORE} & self.cluster.bad
            said = self.cluster.status("ModelVersion", f"fraud-{version}")["gates"]
            passed = {(line["stage"], line["name"]) for line in said if line["result"] in ("Passed", "Skipped")}
            on_the_way = STAGES[: STAGES.index(move["stage"]) + 1]
            assert {(stage, gate) for stage in on_the_way for gate in BEFORE} <= passed

    def end(self) -> None:
        """Everything comes to rest, and nothing bad is called good."""
        self.cluster.hanging, self.cluster.slow = set(), False
        self.cluster.model(stages=stages())
        for _ in range(4):
            self.cluster.settle(30)
            self.watch()
        self.cluster.settle(700)
        assert decide(self.cluster.snapshot(), self.cluster.now).is_empty
        for stage in self.cluster.status("Model", "fraud").get("stages", []):
            good = {revision["version"] for revision in stage.get("revisions", []) if revision["good"]}
            assert not {("after", version) for version in good} & self.cluster.bad
            current = stage.get("current")
            if current and ("after", current["version"]) in self.cluster.bad:
                assert not good, "there is something to go back to"
        names = [name for kind, name in self.cluster.objects if kind == "Service"]
        assert set(names) <= {f"fraud-{name}" for name in STAGES}


def ask(version: str, stage: str | None) -> Callable[[Story], None]:
    return lambda story: story.cluster.version(version, stage=stage)


def roll_back(number: int, stage: str) -> Callable[[Story], None]:
    def act(story: Story) -> None:
        if ("Rollback", f"back-{number}") not in story.cluster.objects:
            story.cluster.rollback(f"back-{number}", stage=stage)

    return act


def retry(version: str, value: str) -> Callable[[Story], None]:
    def act(story: Story) -> None:
        if ("ModelVersion", f"fraud-{version}") in story.cluster.objects:
            story.cluster.annotate(version, retry=value)

    return act


def delete_a_job(story: Story) -> None:
    for gate in PHASES:
        for job in story.cluster.jobs(gate)[:1]:
            story.cluster.delete("Job", job["metadata"]["name"])


def hang(gate: str) -> Callable[[Story], None]:
    return lambda story: story.cluster.hanging.symmetric_difference_update({gate})


def edit(*, edited: bool, paused: bool) -> Callable[[Story], None]:
    return lambda story: story.cluster.model(stages=stages(edited=edited, paused=paused))


def pass_time(seconds: int) -> Callable[[Story], None]:
    def act(story: Story) -> None:
        story.cluster.now += timedelta(seconds=seconds)

    return act


ACTS = st.one_of(
    st.builds(ask, st.sampled_from(VERSIONS), st.sampled_from(["production", "production", "staging", None])),
    st.builds(ask, st.sampled_from(VERSIONS), st.just("production")),
    st.builds(pass_time, st.just(6)),
    st.builds(retry, st.sampled_from(VERSIONS), st.sampled_from("ab")),
    st.builds(roll_back, st.integers(0, 2), st.sampled_from(STAGES)),
    st.builds(hang, st.sampled_from(list(PHASES))),
    st.builds(edit, edited=st.booleans(), paused=st.booleans()),
    st.builds(pass_time, st.sampled_from([1, 6, 20])),
    st.just(delete_a_job),
)
TURNS = st.tuples(st.sampled_from([20, 12, 4, 1, 0]), st.one_of(st.none(), st.integers(1, 5)))
BAD = st.sets(st.tuples(st.sampled_from(list(PHASES)), st.sampled_from(VERSIONS)), max_size=4)


@tries(8, suppress_health_check=list(HealthCheck))
@given(BAD, st.lists(st.tuples(ACTS, TURNS), max_size=8))
def test_nothing_moves_past_a_gate_and_nothing_bad_stays(
    bad: set[tuple[str, str]], acts: list[tuple[Callable[[Story], None], tuple[int, int | None]]]
) -> None:
    story = Story(bad)
    for act, (turns, writes) in acts:
        act(story)
        story.turns(turns, writes)
    story.end()
