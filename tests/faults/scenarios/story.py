"""One Model in a yard: what people do to it, and what they see of it. Nobody here is the operator."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.connections import Obj
from tests.faults import chain
from tests.faults.kubelet import SCHEDULER
from tests.faults.yard import Yard, wait_until

SERVES_WITHIN = 120.0
REQUESTER = "dora@example.com"


@dataclass
class Story:
    """One Model in a yard."""

    yard: Yard
    model: str
    ledger: bool = False
    """Whether the operator has a ledger."""

    # What people do

    def declare(self, *stages: Mapping[str, Any], image: str = "server:1", **serving: Any) -> None:
        """The Model; production is its only stage unless others are given."""
        spec = {"serving": {"template": template(image), **serving}, "stages": list(stages or [stage()])}
        self._create("Model", self.model, spec)

    def change(self, spec: Mapping[str, Any]) -> None:
        """Edit the Model's spec."""
        self.yard.patch("Model", self.model, {"spec": dict(spec)})

    def ask(self, version: str, *, verified: bool = False, wanted: str = "production", **spec: Any) -> None:
        """A version for a stage; its bytes are verified by a Job, or hosted by somebody else."""
        external = {"external": {"provider": "test", "model": "test", "revision": version}}
        artifact = {"uri": f"s3://models/{self.model}/{version}/"} if verified else external
        told = {"model": self.model, "version": version, "artifact": artifact, **spec}
        self._create("ModelVersion", self.name_of(version), told | ({"stage": wanted} if wanted else {}))

    def serve(self, *versions: str, **spec: Any) -> None:
        """One version after another takes production."""
        for version in versions:
            self.ask(version, **spec)
            self.serves(version)

    def annotate(self, version: str, **annotations: str) -> None:
        """Put annotations of ours on a version."""
        ours = {f"{self.yard.group}/{name}": text for name, text in annotations.items()}
        self.yard.patch("ModelVersion", self.name_of(version), {"metadata": {"annotations": ours}})

    def kubelet_says(self, gate: str, found: Mapping[str, Any]) -> None:
        """What a gate finds from now on."""
        self.yard.kubelet.answers[self.model, gate] = dict(found)

    def judge(self, version: str, decision: str, *people: str) -> None:
        """People approve a version for production, or reject it."""
        for person in people:
            name = f"{self.name_of(version)}-{decision.lower()}-{person.partition('@')[0]}"
            spec = {"model": self.model, "version": version, "stage": "production", "digest": digest_of(version)}
            self._create("Approval", name, {**spec, "decision": decision}, by=person)

    def roll_back(self, to: str = "", name: str = "back") -> None:
        """Back to a version; without one to the last good one."""
        spec = {"model": self.model, "stage": "production", "reason": "INC-1"} | ({"toVersion": to} if to else {})
        self._create("Rollback", f"{self.model}-{name}", spec)

    def forget(self) -> None:
        """Delete it all, so that the next run finds the operator with nothing to do."""
        for kind in ("Approval", "Rollback", "ModelVersion"):
            for item in self.yard.of_model(kind, self.model):
                self.yard.delete(kind, item["metadata"]["name"])
        self.yard.delete("Model", self.model)

    def _create(self, kind: str, name: str, spec: Mapping[str, Any], by: str = REQUESTER) -> None:
        """Create an object with the stamp that the admission policies would set."""
        yard = self.yard
        metadata = {"name": name, "annotations": {f"{yard.group}/requested-by": by}}
        body = {"apiVersion": f"{yard.group}/v1alpha1", "kind": kind, "metadata": metadata, "spec": dict(spec)}
        yard.api.call("POST", yard.path(kind), body)

    # What they see

    def name_of(self, version: str) -> str:
        """Name of the version's object."""
        return f"{self.model}-{version}"

    def serves(self, version: str) -> None:
        """Wait until production serves the version."""
        self.waits(lambda: self.current() == (version, bool(version)), f"{self.model} serves {version or 'nothing'}")

    def moves(self, sequence: int) -> None:
        """Wait until production has moved so often, and its endpoints have followed."""
        self.waits(
            lambda: self.stage_status().get("sequence") == sequence and self.current()[1],
            f"production of {self.model} has moved {sequence} times",
        )

    def reaches(self, version: str, step: str) -> None:
        """Wait until a version's request is at a step."""
        self.waits(lambda: self.step_of(version) == step, f"{self.name_of(version)} is {step}")

    def is_recorded(self, version: str) -> bool:
        """Whether the ledger was told that the version is verified."""
        found = self.yard.find("ModelVersion", self.name_of(version)) or {}
        return "Verified" in found.get("status", {}).get("recorded", ())

    def is_good(self, version: str) -> None:
        """Wait until production serves the version, and its trial is over."""

        def holds() -> bool:
            known = self.stage_status().get("revisions", ())
            return any(r["version"] == version and r.get("good") for r in known)

        self.serves(version)
        self.waits(holds, f"{version} is good at {self.model}")

    def ledger_is(self, reason: str) -> None:
        """Wait until the Model's LedgerSynced has a reason."""

        def holds() -> bool:
            found = self.status().get("conditions", ())
            return any((c["type"], c["reason"]) == ("LedgerSynced", reason) for c in found)

        self.waits(holds, f"LedgerSynced of {self.model} says {reason}")

    def waits(self, holds: Any, what: str) -> None:
        """Wait until something holds."""
        wait_until(holds, SERVES_WITHIN, what)

    def status(self) -> Obj:
        """The Model's status."""
        found: Obj = (self.yard.find("Model", self.model) or {}).get("status", {})
        return found

    def stage_status(self, name: str = "production") -> Obj:
        """What the Model's status says of a stage."""
        return next((stage for stage in self.status().get("stages", ()) if stage["name"] == name), {})

    def current(self) -> tuple[str, bool]:
        """Production's version, and whether its endpoints have followed."""
        current: dict[str, Any] = self.stage_status().get("current", {})
        return current.get("version", ""), "effectiveSince" in current

    def ports(self) -> list[int]:
        """The ports of production's Service."""
        service = self.yard.find("Service", f"{self.model}-production") or {"spec": {}}
        return [port["port"] for port in service["spec"].get("ports", ())]

    def is_at_rest(self) -> bool:
        """Whether the operator has seen the Model as it is, and works on nothing."""
        model = self.yard.find("Model", self.model)
        status = (model or {}).get("status", {})
        working = any(c["type"] == "Reconciling" and c["status"] == "True" for c in status.get("conditions", ()))
        return model is None or (status.get("observedGeneration") == model["metadata"]["generation"] and not working)

    def is_ready(self) -> bool:
        """Whether the operator has seen that everything serves."""
        return _conditions(self.status()).get("Ready", ("",))[0] == "True"

    def step_of(self, version: str) -> str:
        """How far a version's request is."""
        found = self.yard.find("ModelVersion", self.name_of(version)) or {}
        return str(found.get("status", {}).get("request", {}).get("step", ""))

    def is_judged(self) -> bool:
        """Whether the Jobs of all gates have ended."""
        jobs = self.yard.of_model("Job", self.model)
        ended = (
            c["type"] for job in jobs for c in job.get("status", {}).get("conditions", ()) if c["status"] == "True"
        )
        return len(jobs) == sum(kind in ("Complete", "Failed") for kind in ended)

    def chain(self) -> list[Obj]:
        """What the ledger has of the Model."""
        return chain.records(self.yard.ledger.chain(self.yard.namespace, self.model))

    def is_told(self) -> bool:
        """Whether the ledger has all that waits for it."""
        return not self.ledger or not self._waiting(self.chain())

    def is_told_to_the_end(self) -> bool:
        """Whether the ledger has all of it, the end of a deleted Model too, which only a process that lives tells."""
        if not self.ledger or self.yard.find("Model", self.model):
            return self.is_told()
        last = self.chain()[-1]
        return last["type"] == "Deleted" and "version" not in last

    def _waiting(self, found: list[Obj]) -> list[Obj]:
        """Entries of the outbox that no record tells as they are."""
        entries = (item["entry"] for item in self.status().get("ledger", {}).get("outbox", ()))
        return [entry for entry in entries if not any(chain.tells(record, entry) for record in found)]

    def untrue(self, happens_again: Collection[str]) -> list[str]:
        """What the ledger does not tell, though it waits for it or somebody saw it, or tells twice."""
        if not self.ledger:
            return []
        found, seen = self.chain(), self.yard.recorder.of_model(self.model)
        waiting = [f"not told as it is: {json.dumps(entry)}" for entry in self._waiting(found)]
        return waiting + chain.doubled(found, happens_again) + chain.untold(found, seen, self.yard.group)

    def deployments(self) -> list[tuple[str, int, int]]:
        """Version, wanted and ready pods of every Deployment."""
        return _pods(self.yard.of_model("Deployment", self.model))

    def has_come_to(self, end: Mapping[str, Any]) -> bool:
        """Whether all is as in that `end`. Asked again and again, so it looks no further than the first difference."""
        told = _told(self.status())
        return all(end[name] == what for name, what in told.items()) and all(
            end[name] == look() for name, look in self._aspects.items()
        )

    def end(self) -> dict[str, Any]:
        """All that is to be the same however often the operator died on the way. No times, no identities."""
        return {**_told(self.status()), **{name: look() for name, look in self._aspects.items()}}

    @property
    def _aspects(self) -> dict[str, Callable[[], Any]]:
        """What of an end the Model's status does not tell, first what is late most often. Each is a request or two."""
        of_model = partial(self.yard.of_model, model=self.model)
        return {
            "ledger": lambda: sorted(filter(_is_certain, chain.told(self.chain()))) if self.ledger else [],
            "deployments": self.deployments,
            "versions": lambda: {v["spec"]["version"]: _version_end(v) for v in of_model("ModelVersion")},
            "rollbacks": lambda: [
                only(r.get("status", {}), "outcome", "fromVersion", "toVersion", "sequence")
                for r in of_model("Rollback")
            ],
            "approvals": lambda: sorted(
                (a["metadata"]["name"].removeprefix(self.model), *_conditions(a.get("status", {})).items())
                for a in of_model("Approval")
            ),
            "serves": lambda: self._serving(of_model("Service"), of_model("Deployment")),
            "published": lambda: sorted(c["data"]["version"] for c in of_model("ConfigMap")),
            "jobs": lambda: sorted((label(job, "job"), label(job, "version")) for job in of_model("Job")),
        }

    def _serving(self, services: Iterable[Obj], deployments: Iterable[Obj]) -> list[tuple[str, str]]:
        """Stages, and the version that each one's Service leads to."""
        version_of = {d["metadata"]["name"]: label(d, "version") for d in deployments}
        return sorted(
            (label(s, "stage"), version_of.get("-".join((self.model, label(s, "stage"), _selected(s))), ""))
            for s in services
        )


def stage(name: str = "production", **spec: Any) -> dict[str, Any]:
    """A stage with one pod."""
    return {"name": name, "serving": {"replicas": 1, **spec.pop("serving", {})}, **spec}


def gate(name: str, *checks: str, when: str = "BeforeDeploy", job: bool = True, **more: Any) -> dict[str, Any]:
    """A gate whose Job the played kubelet ends at once."""
    evaluation = {"job": {"template": template("evaluate:1"), **more}} if job else {}
    return {"name": name, "when": when, **evaluation, **({"checks": list(checks)} if checks else {})}


def template(image: str) -> dict[str, Any]:
    """Pods that no real node takes."""
    return {"spec": {"schedulerName": SCHEDULER, "containers": [{"name": "main", "image": image}]}}


def digest_of(version: str) -> str:
    """The digest of a version that is hosted by somebody else."""
    return "sha256:" + hashlib.sha256(f"test\ntest\n{version}\n".encode()).hexdigest()


def label(obj: Obj, name: str) -> str:
    """One of our labels."""
    found = (obj["metadata"].get("labels") or {}).items()
    return next((text for key, text in found if key.endswith(f"/{name}")), "")


def only(status: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those fields that there are."""
    return {name: status[name] for name in names if name in status}


def _told(status: Obj) -> dict[str, Any]:
    """What of an end the Model's status tells."""
    return {
        "stages": [_stage(each) for each in status.get("stages", ())],
        "history": [
            (t["type"], t["stage"], _version(t.get("from")), _version(t.get("to")), t.get("sequence"),
             "effectiveAt" in t) for t in status.get("transitions", ())
        ],
        "conditions": _conditions(status),
    }  # fmt: skip


def _pods(deployments: Iterable[Obj]) -> list[tuple[str, int, int]]:
    return sorted(
        (label(d, "version"), d["spec"]["replicas"], d["status"].get("readyReplicas", 0)) for d in deployments
    )


def _stage(status: Obj) -> dict[str, Any]:
    current = status.get("current", {})
    return {
        **only(status, "name", "sequence", "paused", "suspended"),
        **only(current, "version", "cause", "onTrial", "heldReason", "by"),
        "effective": bool(current.get("effectiveSince")),
        "good": sorted(r["version"] for r in status.get("revisions", ()) if r.get("good")),
        # In the order of their places. The numbers depend on what was seen to come and go before.
        "open": [version for _, version in sorted(_places(status))],
    }


def _places(status: Obj) -> Iterable[tuple[int, str]]:
    return ((r["place"], r["version"]) for r in status.get("requests", ()) if not r.get("ended"))


def _version_end(version: Obj) -> Any:
    status = version.get("status", {})
    return (
        only(status, "stage", "digest"),
        only(status.get("request", {}), "step", "reason"),
        sorted(
            (g["stage"], g["name"], g["result"], g.get("reason", ""), g["attempt"]) for g in status.get("gates", ())
        ),
        sorted(status.get("recorded", ())),
    )


def _is_certain(line: str) -> bool:
    """That a Model was deleted is told by whoever saw it, and not when no operator ran at that moment."""
    return line != "Deleted"


def _conditions(status: Obj) -> dict[str, tuple[str, str]]:
    conditions: Iterable[Obj] = status.get("conditions", ())
    return {c["type"]: (c["status"], c["reason"]) for c in conditions}


def _version(side: Any) -> str:
    return str(side["version"]) if side else ""


def _selected(service: Obj) -> str:
    return "".join(text for key, text in service["spec"].get("selector", {}).items() if key.endswith("/revision"))
