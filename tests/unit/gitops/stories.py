"""What GitOps tools get to see: every object that users write, as it stood after each decision of many stories."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from modelyard.api.crd import crd
from modelyard.api.kinds import Model
from tests.unit.decide.simulation import SERVER, Cluster

Obj = dict[str, Any]

BEFORE = crd(Model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]
"""The status that the API server shows of an object of which nobody has written one."""
KINDS = ("Model", "ModelVersion", "Approval", "Rollback")
EVALUATE = {"template": {"spec": {"containers": [{"name": "evaluate", "image": "example"}]}}}
CHANGED = {"spec": {"containers": [{"name": "server", "image": "changed"}]}}
GATED = [{"name": "production", "gates": [{"name": "quality", "job": EVALUATE, "checks": ["candidate.ok == 1"]}]}]
ON_TRIAL = [
    {
        "name": "production",
        "gates": [{"name": "after", "when": "AfterTraffic", "job": EVALUATE, "checks": ["candidate.ok == 1"]}],
    }
]
CONSENT = [{"name": "production", "approvals": {"required": 2}}]
DIFFERENT_BYTES = {"reason": "DigestMismatch", "message": "model.pkl differs", "transient": False}
STORE_DOWN = {"reason": "StoreUnavailable", "message": "connection refused", "transient": True}


class Watched(Cluster):
    """A cluster that somebody looks at before and after each decision."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Obj] = {}

    def step(self) -> bool:
        self._look()
        moved = super().step()
        self._look()
        return moved

    def _look(self) -> None:
        for (kind, _), obj in self.objects.items():
            if kind in KINDS:
                text = json.dumps({"status": BEFORE} | obj, sort_keys=True)
                self.seen.setdefault(text, json.loads(text))

    def promote(self, *versions: str, **more: Any) -> None:
        for version in versions:
            self.version(version, **more)
            self.settle(10)


def promotion(cluster: Watched) -> None:
    cluster.model()
    cluster.promote("2", "3", "1")
    cluster.version("2", stage="archived")
    cluster.version("4", stage="archived")
    cluster.settle(3700)


def failures(cluster: Watched) -> None:
    cluster.model()
    cluster.results = {"2": [{"error": DIFFERENT_BYTES}], "3": [{"error": STORE_DOWN}]}
    cluster.promote("1", "2", "3")
    cluster.settle(60)
    cluster.broken |= {"4", "5", "6"}
    for version in ("4", "5", "6"):
        cluster.version(version)
    cluster.settle(10)
    cluster.settle(601)


def without_a_stage(cluster: Watched) -> None:
    cluster.model()
    cluster.results["2"] = [{"error": DIFFERENT_BYTES}]
    cluster.promote("1", "2", stage=None)
    cluster.promote("3", stage="canary")


def rollbacks(cluster: Watched) -> None:
    cluster.model()
    cluster.promote("1")
    cluster.rollback("too-early")
    cluster.settle(10)
    cluster.promote("2")
    cluster.settle(3700)
    cluster.slow = True
    cluster.rollback("cold")
    cluster.settle()
    cluster.slow = False
    cluster.settle(10)


def gates(cluster: Watched) -> None:
    cluster.model(stages=GATED)
    cluster.hanging.add("quality")
    cluster.promote("1")
    cluster.hanging.clear()
    cluster.settle(10)
    cluster.outputs["quality"] = [1, {"ok": 0}]
    cluster.promote("2")
    cluster.settle(60)


def trial(cluster: Watched) -> None:
    cluster.model(stages=ON_TRIAL)
    cluster.promote("1")
    cluster.hanging.add("after")
    cluster.promote("2")
    cluster.bad.add(("after", "2"))
    cluster.hanging.clear()
    cluster.settle(3700)


def nowhere_to_go_back_to(cluster: Watched) -> None:
    cluster.model(stages=ON_TRIAL)
    cluster.bad.add(("after", "1"))
    cluster.promote("1")
    cluster.settle(3700)


def people(cluster: Watched) -> None:
    cluster.model(stages=CONSENT)
    cluster.approve("bob", "1", "early")
    cluster.promote("1")
    cluster.approve("carol", "1")
    cluster.settle(10)
    cluster.promote("2")
    cluster.approve("bob", "2", "no", reject="it is worse for small parcels")
    cluster.approve("bob", "2", "elsewhere", stage="canary")
    cluster.settle(10)
    cluster.admission = False
    cluster.promote("3")


def by_name(cluster: Watched) -> None:
    alice = {"modelyard.dev/requested-by": "alice"}
    gate = {"name": "slices", "job": {**EVALUATE, "retries": 1}, "checks": ["candidate.ok >= incumbent.ok"]}
    consent = {"required": 1, "excludeRequester": True, "expireAfter": "1h"}
    cluster.model(stages=[{"name": "production", "approvals": consent, "gates": [gate]}])
    cluster.promote("1", annotations=alice)
    cluster.approve("alice", "1")
    cluster.approve("bob", "1")
    cluster.settle(10)
    cluster.outputs["slices"] = [1, 1, {"incumbent": {"ok": 1}, "candidate": {"ok": 0}}]
    cluster.promote("2", annotations=alice)
    cluster.settle(60)
    cluster.version("2", annotations=alice | {"modelyard.dev/retry": "x", "modelyard.dev/retried-by": "bob"})
    cluster.settle(60)
    cluster.outputs.clear()
    cluster.approve("bob", "3")
    cluster.settle(3700)
    cluster.promote("3", annotations=alice)
    cluster.approve("bob", "3")
    cluster.settle(10)
    spec = {"model": "fraud", "stage": "production", "reason": "INC-1"}
    cluster.apply("Rollback", "by-name", spec, {"modelyard.dev/requested-by": "carol"})
    cluster.settle(10)


def held(cluster: Watched) -> None:
    cluster.model(requireReason=True)
    cluster.promote("1")
    cluster.version("1", annotations={"modelyard.dev/reason": "first"})
    cluster.settle(10)
    for more in ({"paused": True}, {"suspend": True}):
        cluster.model(stages=[{"name": "production", **more}])
        cluster.promote("2")
    invalid = {"name": "quality", "checks": ["candidate.auc >"]}
    cluster.model(stages=[{"name": "production", "gates": [invalid]}])
    cluster.promote("3")
    cluster.conflicts.add(("Service", "fraud-production"))
    cluster.model()
    cluster.settle(10)
    cluster.conflicts.clear()
    cluster.model(stages=[{"name": "production", "version": "9"}])
    cluster.settle(10)
    cluster.model(stages=[{"name": "staging"}])
    cluster.settle(10)


def named_by_the_model(cluster: Watched) -> None:
    cluster.model(stages=[{"name": "production", "version": "1"}])
    cluster.promote("1", "2", "3", stage=None)
    cluster.broken.add("2")
    cluster.model(stages=[{"name": "production", "version": "2"}])
    cluster.settle(10)
    cluster.settle(601)
    cluster.model(stages=[{"name": "production", "version": "3"}])
    cluster.settle(10)
    cluster.rollback("back")
    cluster.settle(10)
    cluster.model(stages=[{"name": "production", "version": "1"}])
    cluster.settle(10)
    cluster.model(stages=[{"name": "production", "version": "2"}])
    cluster.settle(10)
    cluster.settle(601)
    cluster.model()
    cluster.settle(10)


def overtaken(cluster: Watched) -> None:
    cluster.model()
    cluster.broken |= {"2", "3"}
    cluster.promote("1", "2")
    cluster.settle(601)
    cluster.promote("3")
    cluster.promote("4")
    cluster.settle(60)
    cluster.rollback("back")
    cluster.settle(10)
    cluster.promote("0")
    cluster.promote("5")


def withdrawn(cluster: Watched) -> None:
    cluster.model()
    cluster.promote("1", "2")
    cluster.broken.add("3")
    cluster.promote("3")
    for version in ("3", "2", "1"):
        cluster.version(version, stage=None)
        cluster.settle(10)


def another_template(cluster: Watched) -> None:
    cluster.model()
    cluster.promote("1")
    cluster.slow = True
    cluster.model(serving={"template": CHANGED})
    cluster.settle(10)
    cluster.slow = False
    cluster.settle(10)
    cluster.broken.add("1")
    cluster.model(serving={"template": SERVER})
    cluster.settle(601)
    cluster.model(serving={"template": {"spec": {}}})
    cluster.settle(10)


def pods_are_lost(cluster: Watched) -> None:
    cluster.model()
    cluster.promote("1")
    cluster.slow = True
    for name in [name for kind, name in cluster.objects if kind == "Pod"]:
        del cluster.objects["Pod", name]
    cluster.settle(10)


def no_model(cluster: Watched) -> None:
    cluster.model()
    cluster.broken.add("1")
    cluster.promote("1")
    cluster.approve("bob", "1", "late")
    cluster.rollback("late")
    cluster.version("2")
    cluster.version("3", stage=None)
    del cluster.objects["Model", "fraud"]
    cluster.settle(10)


STORIES: tuple[Callable[[Watched], None], ...] = (
    promotion, failures, without_a_stage, rollbacks, gates, trial, nowhere_to_go_back_to, people, by_name, held,
    named_by_the_model, overtaken, withdrawn, another_template, pods_are_lost, no_model,
)  # fmt: skip


@cache
def told() -> tuple[Obj, ...]:
    """Every state that the stories went through."""
    found: dict[str, Obj] = {}
    for cluster in _played().values():
        found |= cluster.seen
    return tuple(found.values())


def at_rest() -> Iterator[tuple[str, Obj]]:
    """What is left of each story, hours after anything happened, with the story's name."""
    for name, cluster in _played().items():
        for (kind, _), obj in cluster.objects.items():
            if kind in KINDS:
                yield name, obj


@cache
def _played() -> dict[str, Watched]:
    played = {}
    for story in STORIES:
        cluster = played[story.__name__] = Watched()
        story(cluster)
        for _ in range(5):
            cluster.settle(3700)
    return played
