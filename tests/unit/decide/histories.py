"""A simulated cluster in which the operator dies, and sees late what others write; what every write must respect."""

import json
from dataclasses import replace
from typing import Any

from modelyard.decide import decide
from modelyard.decide.plan import Commit, Create, Plan, ReplaceStatus
from modelyard.decide.snapshot import Snapshot
from tests.unit.decide.simulation import Cluster

WRITTEN_BY_USERS = {"Model", "ModelVersion", "Approval", "Rollback"}
STATUS_LIMIT = 300_000
"""Characters; what a stage remembers is bounded, and what etcd takes is several times that."""


class Laggard(Cluster):
    """Kinds may be seen as they were, but for what the operator itself wrote, whose answers it has."""

    def __init__(self) -> None:
        super().__init__()
        self._as_seen: dict[str, dict[str, dict[str, Any]]] = {}
        self._sequences: dict[str, int] = {}

    def fall_behind(self, kind: str) -> None:
        """See nothing new of a kind from now on."""
        known = {name: obj for (k, name), obj in self.objects.items() if k == kind}
        self._as_seen.setdefault(kind, json.loads(json.dumps(known)))

    def catch_up(self) -> None:
        """See everything."""
        self._as_seen.clear()

    def snapshot(self) -> Snapshot:
        real = self.objects
        self.objects = {key: obj for key, obj in real.items() if key[0] not in self._as_seen}
        self.objects |= {(kind, name): obj for kind, found in self._as_seen.items() for name, obj in found.items()}
        try:
            return super().snapshot()
        finally:
            self.objects = real

    def turn(self, writes: int | None) -> tuple[Snapshot, Plan, bool]:
        """One decision, of which the first writes are made; whether its commit is in, or none was needed."""
        seen = self.snapshot()
        plan = decide(seen, self.now)
        self.plans.append(plan)
        steps: list[Any] = [*([plan.commit] if plan.commit else []), *plan.actions]
        for step in steps[:writes]:
            if isinstance(step, Commit) and not self._is_fresh(step):
                return seen, plan, False
            self._write_if_there(step)
        return seen, plan, plan.commit is None or writes != 0

    def _is_fresh(self, commit: Commit) -> bool:
        for counted in commit.counts_on:
            present = self.objects.get((counted.kind, counted.name))
            if present is None or not counted.shows(present):
                self._answer(counted.kind, counted.name)
                return False
        fresh = self.objects["Model", commit.name]["metadata"]["resourceVersion"] == commit.resource_version
        self._answer("Model", commit.name)
        return bool(fresh)

    def _write_if_there(self, action: Any) -> None:
        kind, name = _target(action)
        assert kind not in WRITTEN_BY_USERS or isinstance(action, Commit | ReplaceStatus), f"writes a spec: {action}"
        real = self.objects.get((kind, name))
        seen = self._as_seen.get(kind, {}).get(name, real)
        same = real is not None and seen is not None and real["metadata"]["uid"] == seen["metadata"]["uid"]
        if same or (isinstance(action, Create) and real is None):
            self._write(action)
        self._answer(kind, name)
        self._respects_what_holds()

    def _answer(self, kind: str, name: str) -> None:
        """The operator learns what the object is like by now."""
        if kind not in self._as_seen:
            return
        self._as_seen[kind].pop(name, None)
        if (kind, name) in self.objects:
            self._as_seen[kind][name] = json.loads(json.dumps(self.objects[kind, name]))

    def _respects_what_holds(self) -> None:
        """After every single write."""
        model = self.objects.get(("Model", "fraud"))
        status = (model or {}).get("status") or {}
        assert len(json.dumps(status)) < STATUS_LIMIT
        for stage in status.get("stages", ()):
            sequence = stage.get("sequence", 0)
            assert sequence >= self._sequences.get(stage["name"], 0), f"sequence of {stage['name']} went back"
            self._sequences[stage["name"]] = sequence
        for stage_name in ("staging", "production"):
            service = self.objects.get(("Service", f"fraud-{stage_name}"))
            if service:
                revision = service["spec"]["selector"]["modelyard.dev/revision"]
                assert ("Deployment", f"fraud-{stage_name}-{revision}") in self.objects, "a Service leads nowhere"

    def forget_sequences(self) -> None:
        """Until the status that was lost is there again."""
        self._sequences.clear()


def _target(action: Any) -> tuple[str, str]:
    if isinstance(action, Create):
        return action.manifest["kind"], action.manifest["metadata"]["name"]
    return ("Model", action.name) if isinstance(action, Commit) else (action.kind, action.name)


def in_another_order(seen: Snapshot) -> Snapshot:
    """The same snapshot, as it is when everything became known in another order."""

    def turned(found: Any) -> Any:
        return dict(reversed(found.items())) if isinstance(found, dict) else tuple(reversed(found))

    names = ("versions", "rollbacks", "approvals", "deployments", "jobs", "services", "configmaps", "pods")
    return replace(seen, **{name: turned(getattr(seen, name)) for name in (*names, "endpointslices")})


def outline(plan: Plan) -> tuple[Any, ...]:
    """A Plan without the order of its writes to different objects."""
    return plan.commit, sorted(map(repr, plan.actions)), sorted(map(repr, plan.events)), plan.look_again_at
