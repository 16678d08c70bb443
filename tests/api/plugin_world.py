"""What the tests of the plugin look at: a Model with two versions, and whoever writes their statuses."""

import re
from typing import Any

from tests.api.conftest import Registry

Obj = dict[str, Any]
TIME = "2026-01-01T00:00:00Z"
DIGEST = {"6": "sha256:" + "6a" * 32, "7": "sha256:" + "7b" * 32}
REQUEST = "modelyard.dev/request"


def model(**spec: Any) -> Obj:
    return {"kind": "Model", "metadata": {"name": "fraud"}, "spec": {"description": "Scores payments.", **spec}}


def version(number: str, **spec: Any) -> Obj:
    artifact = {"uri": f"s3://models/fraud/{number}/"}
    fields = {"model": "fraud", "version": number, "artifact": artifact, **spec}
    return {"kind": "ModelVersion", "metadata": {"name": f"fraud-{number}"}, "spec": fields}


class Operator:
    """Writes the statuses that the operator would."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def write(self, obj: Obj, status: Obj) -> None:
        self.registry.patch(obj, {"status": status}, subresource="status")

    def verifies(self, number: str, **status: Any) -> None:
        found = {"digest": DIGEST[number], "verification": {"state": "Passed"}, **status}
        found.setdefault("conditions", [condition("Verified", "True", "Verified")])
        self.write(version(number), found)

    def says(self, number: str, step: str, reason: str, message: str = "", **status: Any) -> None:
        """A step of the request that the object makes now."""
        obj = self.registry.get("ModelVersion", f"fraud-{number}")
        nonce = obj["metadata"].get("annotations", {}).get(self.name(REQUEST))
        identity = f"{obj['metadata']['uid']}/{obj['metadata']['generation']}" + (f"/{nonce}" if nonce else "")
        request = {"id": identity, "stage": obj["spec"]["stage"], "step": step, "reason": reason, "message": message}
        self.write(version(number), {"request": {**request, "since": TIME}, **status})

    def says_of_line(self, number: str, step: str, reason: str, message: str = "", stage: str = "production") -> None:
        """A step of the request that the Model's line makes now for the version."""
        metadata = self.registry.get("Model", "fraud")["metadata"]
        nonce = metadata.get("annotations", {}).get(self.name(REQUEST))
        identity = f"{metadata['uid']}/{metadata['generation']}" + (f"/{nonce}" if nonce else "")
        request = {"id": identity, "stage": stage, "step": step, "reason": reason, "message": message, "since": TIME}
        self.write(version(number), {"request": request})

    def points(self, stage: str, number: str, **status: Any) -> None:
        """The stage serves the version."""
        current = {"version": number, "digest": DIGEST[number], "revision": f"r{number}", "since": TIME, "by": "alice"}
        moves = [
            {"stage": stage, "type": "Promoted", "to": {"version": number}, "by": "alice", "reason": "why", "at": TIME}
        ]
        self.write(model(), {"stages": [{"name": stage, "current": current, **status}], "transitions": moves})

    def name(self, text: str) -> str:
        """An annotation as the tests' group has it."""
        return text.replace("modelyard.dev", self.registry.group)


def condition(kind: str, status: str, reason: str, message: str = "done") -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": TIME}


def furnish(registry: Registry) -> Operator:
    """Version 6 in production, version 7 verified; both with what they were made of."""
    registry.create(model(owner={"team": "risk-ml"}, consumers=[{"name": "checkout"}], stages=[{"name": "production"}]))
    data = [{"name": "payments", "digest": f"of-{registry.kube.namespace}", "context": "training"}]
    source = {"repository": "https://git.example.com/risk", "revision": "3f2a9c1"}
    registry.create(version("6", stage="production", metrics={"auc": 0.9}, datasets=data, source=source))
    registry.create(
        version(
            "7",
            metrics={"auc": 0.91, "slices": {"eu": {"auc": 0.8}}},
            hyperparameters={"depth": 6},
            datasets=data,
            framework={"name": "scikit-learn", "version": "1.7.2"},
            baseModels=[{"ref": f"modelyard://{registry.kube.namespace}/fraud@6", "relation": "finetune"}],
            dependencies={"requirements": ["scikit-learn==1.7.2"]},
        )
    )
    operator = Operator(registry)
    operator.verifies("6", stage="production", stages=[{"name": "production", "since": TIME}])
    operator.says("6", "Serving", "Serving")
    operator.verifies("7")
    operator.points("production", "6")
    return operator


def rows(text: str) -> list[list[str]]:
    """Cells of a table: columns are two blanks or more apart."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
