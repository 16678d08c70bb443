"""The operator process with a decision that only says what it sees: for tests of everything around decisions.

It writes the names of a Model's versions and Services into `status.summary`, makes one Service, and says so in an
Event.
"""

import tests.api_runtime.group  # isort: skip  # noqa: F401  # before everything that reads the names

import sys
from datetime import datetime

from modelyard.api.names import LABEL_MANAGED_BY, LABEL_MODEL, MANAGED_BY
from modelyard.decide.plan import Commit, Create, EventNote, Plan
from modelyard.decide.snapshot import Obj, Snapshot
from modelyard.runtime.__main__ import main
from modelyard.runtime.app import Brain


def decide(seen: Snapshot, now: datetime) -> Plan:
    if seen.model is None:
        return Plan()
    metadata = seen.model["metadata"]
    service = f"{seen.name}-staging"
    if service not in seen.services and not seen.conflicts:
        return Plan(actions=(Create(service_manifest(seen.name, service)),))
    status = {
        "observedGeneration": metadata["generation"],
        "summary": {"live": " ".join(sorted(seen.versions)), "reason": " ".join(sorted(seen.services))},
    }
    if (seen.model.get("status") or {}) == status:
        return Plan()
    note = EventNote("Model", seen.name, metadata["uid"], "Normal", "Seen", "the trivial operator saw the model")
    return Plan(commit=Commit(seen.name, metadata["resourceVersion"], status), events=(note,))


def service_manifest(model: str, name: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_MODEL: model}},
        "spec": {"ports": [{"port": 80}], "selector": {LABEL_MODEL: model}},
    }


def settled(version: Obj) -> bool:
    return False


if __name__ == "__main__":
    sys.exit(main(Brain(decide, settled, settled)))
