"""What the operator reads and writes is what the definitions say.

A status field that a definition does not know is dropped by the API server; the operator would then find its status
different from what it should be, and write it again for ever.
"""

from collections.abc import Callable

import pytest

from modelyard.api import defaults
from modelyard.api.kinds import KINDS
from modelyard.api.schema import structural
from modelyard.decide.spec import parse_duration, parse_stages
from tests.unit.api.schemas import misfits
from tests.unit.decide.simulation import SERVER, Cluster

SCHEMAS = {kind.__name__: structural(kind) for kind in KINDS}


def promoted(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(60)
    cluster.version("2")
    cluster.settle(60)


def rolled_back(cluster: Cluster) -> None:
    promoted(cluster)
    cluster.rollback("back")
    cluster.settle(60)


def refused_rollbacks(cluster: Cluster) -> None:
    promoted(cluster)
    cluster.rollback("unknown-version", to="9")
    cluster.rollback("unknown-stage", stage="canary")
    cluster.settle(60)


def waiting_for_pods(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(60)
    cluster.slow = True
    cluster.version("2")
    cluster.settle(60)


def failed(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(60)
    cluster.broken.add("2")
    cluster.version("2")
    cluster.settle(7200)


def unknown_stage(cluster: Cluster) -> None:
    cluster.version("1", "canary")
    cluster.settle(60)


def external(cluster: Cluster) -> None:
    cluster.version("1", artifact={"external": {"provider": "openai", "model": "gpt-4o"}})
    cluster.settle(60)


def stopped_on_purpose(cluster: Cluster) -> None:
    cluster.version("1")
    cluster.settle(60)
    cluster.model(stages=[{"name": "staging", "paused": True}, {"name": "production", "suspend": True}])
    cluster.settle(60)


def held_by_gates(cluster: Cluster) -> None:
    cluster.model(stages=[{"name": "production", "gates": [{"name": "auc", "checks": ["true"]}]}])
    cluster.version("1")
    cluster.settle(60)


def approvals_of_all_kinds(cluster: Cluster) -> None:
    policy = {"required": 2, "excludeRequester": True, "expireAfter": "1h"}
    cluster.model(stages=[{"name": "production", "approvals": policy}])
    cluster.version("1", annotations={"modelyard.dev/requested-by": "alice"})
    cluster.approve("bob", "1")
    cluster.settle(3600)
    for by in ("alice", "bob", "bob"):
        cluster.approve(by, "1")
    cluster.settle(60)
    cluster.approve("carol", "1", reject="no")
    cluster.approve("carol", "2")
    cluster.settle(60)


STORIES = [
    promoted, rolled_back, refused_rollbacks, waiting_for_pods, failed, unknown_stage, external, stopped_on_purpose,
    held_by_gates,
    approvals_of_all_kinds,
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_every_status_the_operator_writes_fits_its_definition(story: Callable[[Cluster], None]) -> None:
    cluster = Cluster()
    cluster.model()
    story(cluster)
    seen = 0
    for (kind, name), obj in cluster.objects.items():
        if kind in SCHEMAS and "status" in obj:
            found = list(misfits(obj["status"], SCHEMAS[kind]["properties"]["status"], f"{kind} {name}: status"))
            assert found == []
            seen += 1
    assert seen > 1


def test_what_is_dropped_would_be_noticed() -> None:
    schema = SCHEMAS["ModelVersion"]["properties"]["status"]
    assert list(misfits({"digests": "x", "stage": 1, "stages": [{}]}, schema, "status")) == [
        "status.digests: unknown, would be dropped",
        "status.stage: 1 is not of type string",
        "status.stages[0].name: missing",
    ]


def test_the_operator_applies_the_documented_defaults() -> None:
    model = {"metadata": {"name": "fraud"}, "spec": {"serving": {"template": SERVER}}}
    stages = parse_stages(model)
    assert tuple(stage.name for stage in stages) == defaults.STAGES
    serving = stages[0].serving
    assert serving is not None
    assert (serving.port, serving.strategy) == (defaults.PORT, defaults.ROLLOUT_STRATEGY)
    assert serving.revision_history_limit == defaults.REVISION_HISTORY_LIMIT
    durations = {
        defaults.PROGRESS_DEADLINE: serving.progress_deadline,
        defaults.SCHEDULE_DEADLINE: serving.schedule_deadline,
        defaults.FETCH_DEADLINE: serving.fetch_deadline,
        defaults.DRAIN_PERIOD: serving.drain_period,
    }
    assert {text: parse_duration(text, "") for text in durations} == durations
    assert serving.image_pull_deadline == parse_duration(defaults.IMAGE_PULL_DEADLINE, "")
    assert serving.keep_warm_for == parse_duration(defaults.KEEP_WARM_FOR, "")
