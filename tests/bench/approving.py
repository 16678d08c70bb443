"""How fast does a stage follow the last Approval, when the candidate's pods have long been ready?

Versions 1 and 2 take turns: the one that was replaced is still warm, is asked for anew, and waits for two people. Each
round is measured as the floor's beside it: from the create's return until a watcher sees the change.
"""

import time
from typing import Any

from tests.bench.floor import Floor
from tests.bench.reaction import API_PATH, ROUNDS
from tests.bench.sightings import Sightings
from tests.bench.table import Row, milliseconds, percentile
from tests.cluster.registry import Registry
from tests.connections import Api, Obj

AT_REST = 2.0
"""Seconds after which nothing that led to the waiting goes on."""


def last_approval(api: Api, registry: Registry, floor: Floor, rounds: int = ROUNDS) -> list[Row]:
    """Ask, approve once, wait; then create the last Approval, again and again."""
    registry.model(stages=[{"name": "production", "approvals": {"required": 2}, "serving": {"replicas": 1}}])
    for version in ("1", "2"):
        registry.version(version)
        registry.kube.create(_ask_and_approve_once(registry, version, f"first-{version}"))
        registry.serves(version)
    services = Sightings(api, f"/api/v1/namespaces/{registry.namespace}/services")
    taken, floors = [], []
    for number in range(rounds):
        version = str(number % 2 + 1)
        last = _ask_and_approve_once(registry, version, f"round-{number}")
        serving = registry.selector()
        time.sleep(AT_REST)
        floors.append(floor.round())
        before = time.perf_counter()
        api.call("POST", f"{API_PATH}/namespaces/{registry.namespace}/approvals", last)
        since = time.perf_counter()
        moment = services.when(lambda service, old=serving: _revision(service) != old, since=before)
        taken.append(max(moment - since, 0.0))
        registry.serves(version)
    ratio = percentile(taken, 0.5) / percentile(floors, 0.5)
    what = "last Approval: created -> Service switched"
    return [Row(what, milliseconds(taken), f"{ratio:.1f}x floor, at most 4x", ratio <= 4)]


def _ask_and_approve_once(registry: Registry, version: str, turn: str) -> Obj:
    """Let a version wait for one more person; the Approval that will be theirs."""
    registry.kube.run("delete", "approvals", "--all")
    name = f"{registry.name}-{version}"
    registry.kube.run("annotate", "modelversion", name, f"modelyard.dev/request={turn}", "--overwrite")
    waiting = registry.reaches(version, "AwaitingApproval", "ApprovalsMissing")
    spec = {"model": registry.name, "version": version, "stage": "production", "digest": waiting["status"]["digest"]}
    first, last = (registry._obj("Approval", f"{who}-{turn}", {**spec, "decision": "Approve"}) for who in ("a", "b"))
    registry.kube.as_user("somebody-else", "system:masters").create(first)
    registry.kube.wait("modelversion", name, _misses_one, what="one more person has to approve")
    return last


def _misses_one(version: Obj) -> bool:
    approvals: dict[str, Any] = version.get("status", {}).get("approvals", {})
    return approvals.get("missing") == 1


def _revision(service: Obj) -> str:
    return str(service["spec"].get("selector", {}).get("modelyard.dev/revision", ""))
