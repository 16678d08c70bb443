"""A cluster small enough to hold in one's head: it carries Plans out and plays the controllers around the operator.

What is simulated is only what decisions look at: Jobs end with a result, Deployments get ready pods, Services
route to the pods that their selector names. Time moves only when a test says so.
"""

import copy
import itertools
import json
import marshal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from modelyard.decide import decide
from modelyard.decide.plan import Create, Delete, Patch, Plan, ReplaceStatus
from modelyard.decide.snapshot import HelperPods, Snapshot

if TYPE_CHECKING:
    from tests.unit.decide.ledger import Ledger

Objects = dict[tuple[str, str], dict[str, Any]]

START = datetime(2026, 1, 1, tzinfo=UTC)
MOST_PODS = 20
"""What the nodes have room for, of one Deployment."""
SERVER = {"spec": {"containers": [{"name": "server", "image": "example"}]}}


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


class Cluster:
    """One namespace with one Model called `fraud`, decided on until nothing moves."""

    def __init__(self, first_number: int = 1) -> None:
        """`first_number`: where uids begin, which are others in every cluster."""
        self.now = START
        self.objects: Objects = {}
        self.digests: dict[str, str] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.outputs: dict[str, list[Any]] = {}
        """What the Jobs of gates leave, by gate: numbers, or the exit code of a crash. The last goes on for ever."""
        self.bad: set[tuple[str, str]] = set()
        """(gate, version) whose numbers are not good enough, whatever `outputs` says."""
        self.hanging: set[str] = set()
        """Gates whose Jobs do not end."""
        self.broken: set[str] = set()
        """Versions whose pods never get ready."""
        self.slow = False
        """Whether pods do not become ready by themselves."""
        self.admission = True
        """Whether the admission policies are installed, so that stamps can be believed."""
        self.shared_accounts: frozenset[str] = frozenset()
        self.conflicts: set[tuple[str, str]] = set()
        self.refusals: dict[str, str] = {}
        """Kinds that the API server does not let anybody make, and why."""
        self._refused: dict[tuple[str, str], str] = {}
        self.ledger: Ledger | None = None
        """Where records go; None: no ledger is configured."""
        self.clock_set_forth_at: datetime | None = None
        self.plans: list[Plan] = []
        self.events: list[tuple[str, str, str]] = []
        self.pointed: list[str | None] = []
        """What the production Service's selector named, at each write."""
        self._numbers = itertools.count(first_number)
        self._looked_at: Objects = {}

    def copy(self) -> "Cluster":
        """Another cluster in which everything is the same by now."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            setattr(other, name, _copy(value) if name == "objects" else copy.copy(value))
        other.ledger = copy.deepcopy(self.ledger)
        return other

    # What users do.

    def model(self, **spec: Any) -> None:
        self.apply("Model", "fraud", {"serving": {"template": SERVER}, **spec})

    def version(self, version: str, stage: str | None = "production", **more: Any) -> None:
        annotations = more.pop("annotations", None)
        spec = {"model": "fraud", "version": version, "artifact": {"uri": f"s3://models/fraud/{version}/"}, **more}
        if stage:
            spec["stage"] = stage
        self.apply("ModelVersion", f"fraud-{version}", spec, annotations)

    def rollback(self, name: str, to: str | None = None, stage: str = "production") -> None:
        spec = {"model": "fraud", "stage": stage, "reason": "INC-1"} | ({"toVersion": to} if to else {})
        self.apply("Rollback", name, spec)

    def approve(self, by: str, version: str, name: str = "", *, reject: str = "", **spec: Any) -> str:
        """Create an Approval (a Reject with that comment), stamped by the admission policy; its name."""
        name = name or f"{by}-{version}-{len(self.objects)}"
        said = {"decision": "Reject", "comment": reject} if reject else {"decision": "Approve"}
        digest = spec.pop("digest", self.verified(version)["digest"])
        base = {"model": "fraud", "version": version, "stage": "production", "digest": digest}
        self.apply("Approval", name, {**base, **said, **spec}, {"modelyard.dev/requested-by": by})
        return name

    def apply(self, kind: str, name: str, spec: dict[str, Any], annotations: dict[str, str] | None = None) -> None:
        known = self.objects.get((kind, name))
        if known is None:
            metadata = {
                "name": name, "namespace": "risk", "uid": f"uid-{next(self._numbers)}", "generation": 1,
                "creationTimestamp": stamp(self.now), "annotations": annotations or {},
            }  # fmt: skip
            self._put(kind, name, {"kind": kind, "metadata": metadata, "spec": copy.deepcopy(spec)})
            return
        changed = known["spec"] != spec
        known["spec"] = copy.deepcopy(spec)
        known["metadata"]["annotations"] = annotations or {}
        known["metadata"]["generation"] += int(changed)
        self._put(kind, name, known)

    def annotate(self, version: str, **annotations: str) -> None:
        """Set annotations of a version: `retry="x"` is modelyard.dev/retry."""
        known = self.objects["ModelVersion", f"fraud-{version}"]
        known["metadata"]["annotations"] |= {f"modelyard.dev/{key}": text for key, text in annotations.items()}
        self._put("ModelVersion", f"fraud-{version}", known)

    def delete(self, kind: str, name: str) -> None:
        uid = self.objects.pop((kind, name))["metadata"].get("uid")
        for key, obj in list(self.objects.items()):
            if any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences") or ()):
                self.delete(*key)

    def wipe_status(self, kind: str, name: str) -> None:
        self.objects[kind, name].pop("status", None)
        self._put(kind, name, self.objects[kind, name])

    # What the controllers do.

    def settle(self, seconds: float = 0, *, rounds: int = 60) -> "Cluster":
        """Decide and play the controllers until nothing moves, then let time pass and do so again."""
        for wait in (0, seconds) if seconds else (0,):
            self.now += timedelta(seconds=wait)
            for _ in range(rounds):
                if not self.step():
                    break
            else:
                raise AssertionError(f"does not come to rest; last plan: {self.plans[-1]}")
        return self

    def step(self) -> bool:
        """One decision carried out, then one turn of the controllers; whether anything changed."""
        plan = decide(self.snapshot(), self.now)
        before = self._looked_at
        self.plans.append(plan)
        self.carry_out(plan)
        self.play()
        if self.ledger:
            self.ledger.drain(self.objects.get(("Model", "fraud")), self.now)
        if self.ledger and plan.asks_ledger:
            known = self.ledger.seen(self.objects.get(("Model", "fraud")))
            self.ledger.recall()
            return known != self.ledger.seen(self.objects.get(("Model", "fraud"))) or not plan.is_empty
        return not plan.is_empty or before != self.objects

    def snapshot(self) -> Snapshot:
        seen = self._looked_at = _copy(self.objects)

        def of(kind: str) -> dict[str, Any]:
            return {name: obj for (k, name), obj in seen.items() if k == kind}

        running = sum(1 for job in of("Job").values() if "verify" in job["metadata"]["name"] and "status" not in job)
        return Snapshot(
            namespace="risk",
            name="fraud",
            model=of("Model").get("fraud"),
            versions=of("ModelVersion"),
            rollbacks=tuple(of("Rollback").values()),
            approvals=tuple(of("Approval").values()),
            deployments=of("Deployment"),
            jobs=of("Job"),
            services=of("Service"),
            configmaps=of("ConfigMap"),
            pods=tuple(of("Pod").values()),
            endpointslices=tuple(of("EndpointSlice").values()),
            conflicts=frozenset(self.conflicts),
            refusals=dict(self._refused),
            free_verifications=4 - running,
            helper=HelperPods(image="modelyard:test"),
            admission=self.admission,
            shared_accounts=self.shared_accounts,
            ledger=self.ledger.seen(self.objects.get(("Model", "fraud"))) if self.ledger else None,
            clock_set_forth_at=self.clock_set_forth_at,
        )

    def carry_out(self, plan: Plan, writes: int | None = None) -> None:
        """Do the plan's writes in order, or only the first few of them, as if the process died there."""
        steps: list[Any] = [plan.commit] if plan.commit else []
        for action in [*steps, *plan.actions][:writes]:
            self._write(action)
        if writes is None:
            self.events += [(e.kind, e.reason, e.message) for e in plan.events]

    def _write(self, action: Any) -> None:
        if isinstance(action, Create):
            manifest = json.loads(json.dumps(action.manifest))
            key = manifest["kind"], manifest["metadata"]["name"]
            if key in self.objects:
                raise AssertionError(f"created twice: {key}")
            if manifest["kind"] in self.refusals:
                self._refused[key] = self.refusals[manifest["kind"]]
                return
            self._refused.pop(key, None)
            manifest["metadata"] |= {"uid": f"uid-{next(self._numbers)}", "generation": 1}
            manifest["metadata"]["creationTimestamp"] = stamp(self.now)
            self._put(*key, manifest)
        elif isinstance(action, ReplaceStatus):
            known = self.objects[action.kind, action.name]
            assert known["metadata"]["uid"] == action.uid
            self._put(action.kind, action.name, {**known, "status": json.loads(json.dumps(action.status))})
        elif isinstance(action, Patch):
            known = copy.deepcopy(self.objects[action.kind, action.name])
            assert action.resource_version in ("", known["metadata"]["resourceVersion"])
            _merge(known, action.body)
            known["metadata"]["generation"] += 1
            self._put(action.kind, action.name, known)
        elif isinstance(action, Delete):
            found = self.objects[action.kind, action.name]["metadata"]
            assert (found["uid"], found["resourceVersion"]) == (action.uid, action.resource_version)
            self.delete(action.kind, action.name)
        else:
            known = self.objects["Model", action.name]
            assert known["metadata"]["resourceVersion"] == action.resource_version
            for seen in action.counts_on:
                assert seen.shows(self.objects[seen.kind, seen.name])
            self._put("Model", action.name, {**known, "status": json.loads(json.dumps(action.status))})
        service = self.objects.get(("Service", "fraud-production"))
        self.pointed.append(service["spec"]["selector"]["modelyard.dev/revision"] if service else None)

    def _put(self, kind: str, name: str, obj: dict[str, Any]) -> None:
        obj["metadata"]["resourceVersion"] = str(next(self._numbers))
        self.objects[kind, name] = obj

    def play(self) -> None:
        self._end_jobs()
        self._run_pods()
        self._route()

    def _end_jobs(self) -> None:
        for (kind, name), job in list(self.objects.items()):
            if kind != "Job" or "status" in job:
                continue
            labels = job["metadata"]["labels"]
            gate = labels.get("modelyard.dev/gate")
            if gate in self.hanging:
                continue
            version = labels["modelyard.dev/version"]
            code, message = self._gate_ends(gate, version) if gate else self._helper_ends(version)
            done = {"type": "Failed" if code else "Complete", "status": "True", "lastTransitionTime": stamp(self.now)}
            job["status"] = {"conditions": [done]}
            ended = {"terminated": {"exitCode": code, "message": message}}
            (container,) = job["spec"]["template"]["spec"]["containers"]
            pod = {
                "kind": "Pod",
                "metadata": {
                    "name": f"{name}-x", "labels": labels, "creationTimestamp": stamp(self.now),
                    "ownerReferences": [{"uid": job["metadata"]["uid"]}],
                },
                "status": {"containerStatuses": [{"name": container["name"], "state": ended}]},
            }  # fmt: skip
            self._put("Pod", f"{name}-x", pod)

    def _gate_ends(self, gate: str, version: str) -> tuple[int, str]:
        if (gate, version) in self.bad:
            return 0, json.dumps({"ok": 0})
        queue = self.outputs.get(gate, [{"ok": 1}])
        left = queue.pop(0) if len(queue) > 1 else queue[0]
        return (left, "") if isinstance(left, int) else (0, json.dumps(left))

    def _helper_ends(self, version: str) -> tuple[int, str]:
        queue = self.results.get(version)
        result = queue.pop(0) if queue else self.verified(version)
        return int("error" in result), json.dumps(result)

    def verified(self, version: str) -> dict[str, Any]:
        digest = self.digests.get(version, f"sha256:{version:0>64}")
        return {"digest": digest, "sizeBytes": 10, "fileCount": 2, "format": "mlflow"}

    def _run_pods(self) -> None:
        wanted = {}
        for (kind, name), deployment in self.objects.items():
            if kind == "Deployment":
                for number in range(min(deployment["spec"]["replicas"], MOST_PODS)):
                    wanted[f"{name}-{number}"] = deployment
        for key in [k for k in self.objects if k[0] == "Pod" and not k[1].endswith("-x") and k[1] not in wanted]:
            del self.objects[key]
        for name, deployment in wanted.items():
            if ("Pod", name) not in self.objects:
                self._put("Pod", name, self._pod(name, deployment))
            self._ripen(name, deployment)
        for (kind, _), deployment in self.objects.items():
            if kind == "Deployment":
                pods = [p for n, p in wanted.items() if p is deployment for p in [self.objects["Pod", n]]]
                ready = sum(1 for pod in pods if _is_ready(pod))
                generation = deployment["metadata"]["generation"]
                self._report(deployment, {"observedGeneration": generation, "readyReplicas": ready})

    def _report(self, obj: dict[str, Any], status: dict[str, Any]) -> None:
        if obj.get("status") != status:
            obj["status"] = status
            self._put(obj["kind"], obj["metadata"]["name"], obj)

    def _pod(self, name: str, deployment: dict[str, Any]) -> dict[str, Any]:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        fetched = {"terminated": {"exitCode": 0, "finishedAt": stamp(self.now)}}
        return {
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "creationTimestamp": stamp(self.now)},
            "status": {
                "startTime": stamp(self.now),
                "initContainerStatuses": [{"name": "modelyard-fetch", "state": fetched}],
                "containerStatuses": [{"name": "server", "state": {"running": {}}}],
                "conditions": [{"type": "Ready", "status": "False"}],
            },
        }

    def _ripen(self, name: str, deployment: dict[str, Any]) -> None:
        version = deployment["metadata"]["labels"]["modelyard.dev/version"]
        if not self.slow and version not in self.broken:
            pod = self.objects["Pod", name]
            self._report(pod, {**pod["status"], "conditions": [{"type": "Ready", "status": "True"}]})

    def _route(self) -> None:
        for (kind, name), service in list(self.objects.items()):
            if kind != "Service":
                continue
            selector = service["spec"]["selector"].items()
            endpoints = [
                {"targetRef": {"name": n}, "conditions": {"ready": _is_ready(pod)}}
                for (k, n), pod in self.objects.items()
                if k == "Pod" and selector <= pod["metadata"]["labels"].items()
            ]
            piece = {"metadata": {"labels": {"kubernetes.io/service-name": name}}, "endpoints": endpoints}
            if self.objects.get(("EndpointSlice", name), {}).get("endpoints") != endpoints:
                self._put("EndpointSlice", name, piece)

    # What one sees.

    def live(self, stage: str = "production") -> str | None:
        """The version that the stage's Service routes to."""
        serving = self.serving(stage)
        return str(serving["metadata"]["labels"]["modelyard.dev/version"]) if serving else None

    def serving(self, stage: str = "production") -> dict[str, Any] | None:
        """The Deployment that the stage's Service routes to."""
        service = self.objects.get(("Service", f"fraud-{stage}"))
        if service is None:
            return None
        revision = service["spec"]["selector"]["modelyard.dev/revision"]
        return self.objects["Deployment", f"fraud-{stage}-{revision}"]

    def request(self, version: str) -> tuple[str, str]:
        """Step and reason of a version's request."""
        found = self.status("ModelVersion", f"fraud-{version}").get("request", {})
        return found.get("step", ""), found.get("reason", "")

    def gates(self, version: str) -> dict[str, tuple[str, str]]:
        """Result and reason of a version's gates; of one asked several times, the last."""
        lines = self.status("ModelVersion", f"fraud-{version}").get("gates", [])
        return {line["name"]: (line["result"], line.get("reason", "")) for line in lines}

    def jobs(self, gate: str) -> list[dict[str, Any]]:
        """The Jobs there are of a gate."""
        found = [obj for (kind, _), obj in self.objects.items() if kind == "Job"]
        return [job for job in found if job["metadata"]["labels"].get("modelyard.dev/gate") == gate]

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[kind, name].get("status", {})
        return found

    def replicas(self, version: str, stage: str = "production") -> list[int]:
        """Replicas of the Deployments of a version at a stage."""
        return [
            obj["spec"]["replicas"]
            for (kind, _), obj in self.objects.items()
            if kind == "Deployment"
            and obj["metadata"]["labels"]["modelyard.dev/version"] == version
            and obj["metadata"]["labels"]["modelyard.dev/stage"] == stage
        ]

    def deployment(self, version: str, stage: str = "production") -> dict[str, Any]:
        """The only Deployment of a version at a stage."""
        (found,) = [
            obj
            for (kind, _), obj in self.objects.items()
            if kind == "Deployment"
            and obj["metadata"]["labels"]["modelyard.dev/version"] == version
            and obj["metadata"]["labels"]["modelyard.dev/stage"] == stage
        ]
        return found


def _copy(objects: Objects) -> Objects:
    """A deep copy of plain data, many times faster than `copy` makes one."""
    copied: Objects = marshal.loads(marshal.dumps(objects))
    return copied


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def _merge(target: dict[str, Any], patch: Any) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)
