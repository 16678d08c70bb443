"""A gate's evaluation as a Job: the user's pod with both models in it.

`passage` makes one for an attempt and asks `ending` what became of it. The template is the user's; what it does not
say is filled in so that it runs under the restricted Pod Security level. The gate's container is the template's first.
"""

import copy
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from modelyard.api import names
from modelyard.decide import jobs, manifests, podspec
from modelyard.decide.spec import GateSpec, StageSpec
from modelyard.decide.state import Revision
from modelyard.decide.world import World

BACKSTOP = timedelta(seconds=15)
"""How much later than the gate's timeout the Job's own deadline is. Until then its pod can be seen, and what it waits
for; the deadline takes the pod away, also while no operator runs."""
FOLDERS = {"candidate": names.CANDIDATE_MOUNT, "incumbent": names.INCUMBENT_MOUNT}
_INPUTS = {"None": (), "Candidate": ("candidate",), "Both": ("candidate", "incumbent")}


def build(
    world: World,
    stage: StageSpec,
    gate: GateSpec,
    name: str,
    candidate: Revision,
    incumbent: Revision | None,
    endpoint: str,
) -> Mapping[str, Any]:
    """The Job of one attempt, which stays until its answer is on record: see `upkeep`.

    `endpoint`: where the candidate's pods are reached; empty before there are any.
    """
    assert gate.job is not None
    if not gate.compares:
        incumbent = None  # its answer is taken to hold whichever version serves, so it does not get to know that one
    labels = {
        **world.seen.helper.labels,
        **manifests.stage_labels(world, stage),
        names.LABEL_VERSION: candidate.version,
        names.LABEL_JOB: "gate",
        names.LABEL_GATE: gate.name,
    }
    sides = {"candidate": candidate, "incumbent": incumbent}
    spec = {
        "activeDeadlineSeconds": max(1, int((gate.timeout + BACKSTOP).total_seconds())),
        "template": _template(world, stage, gate, sides, endpoint, labels),
    }
    return jobs.running_once(world, name, manifests.owner(world.model), labels, spec)


def _template(
    world: World,
    stage: StageSpec,
    gate: GateSpec,
    sides: Mapping[str, Revision | None],
    endpoint: str,
    labels: Mapping[str, str],
) -> Mapping[str, Any]:
    """The user's pod template with both models mounted, told what it evaluates, and safe defaults."""
    assert gate.job is not None
    given = gate.job.get("metadata") or {}
    annotations = dict(given.get("annotations") or {})
    spec = copy.deepcopy(dict(gate.job["spec"]))
    fetches = list(_fetches(world, gate, sides))
    mounts = [fetch.mount for fetch in fetches]
    environment = _environment(world, stage, sides, endpoint)
    spec["containers"] = [podspec.user_container(container, environment, mounts) for container in spec["containers"]]
    # The last lines of a crash say more than its exit code. After a good end only the file counts.
    spec["containers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError"
    spec["restartPolicy"] = "Never"
    spec.setdefault("enableServiceLinks", False)
    podspec.add_fetches(world, annotations, spec, fetches)
    podspec.fill_in(world, spec)
    # None of Modelyard's own labels but these: with a revision's it would be taken for a server and get traffic.
    own = {key: text for key, text in (given.get("labels") or {}).items() if not key.startswith(f"{names.GROUP}/")}
    return {"metadata": {"labels": {**own, **labels}, "annotations": annotations}, "spec": spec}


def _environment(
    world: World, stage: StageSpec, sides: Mapping[str, Revision | None], endpoint: str
) -> list[dict[str, str]]:
    """What the evaluation is told; empty where there is no incumbent, or no endpoint yet."""
    candidate, incumbent = sides["candidate"], sides["incumbent"]
    assert candidate is not None
    return [
        *podspec.identity(world, stage, candidate),
        {"name": "MODELYARD_ENDPOINT", "value": endpoint},
        {"name": "MODELYARD_INCUMBENT_VERSION", "value": incumbent.version if incumbent else ""},
        {"name": "MODELYARD_INCUMBENT_DIGEST", "value": incumbent.digest if incumbent else ""},
    ]


def _fetches(world: World, gate: GateSpec, sides: Mapping[str, Revision | None]) -> Iterator[podspec.Fetch]:
    """The artifacts that the gate wants; a model of an outside provider has none."""
    for side in _INPUTS[gate.inputs]:
        revision = sides[side]
        if revision is not None and revision.uri:
            yield podspec.Fetch(
                f"modelyard-fetch-{side}",
                f"modelyard-{side}",
                FOLDERS[side],
                uri=revision.uri,
                digest=revision.digest,
                objects=podspec.pinned_objects(world, revision.version),
                name=side,
            )
