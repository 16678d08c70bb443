"""Where do gates find a candidate that carries no stage: its pods, behind a Service of their own.

`passage` says which candidates are to be asked; `serving` makes their Deployments and Services and takes them away
again. A probe's Service is no part of a stage: it carries no state, and no pointer follows it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.api import codec, names
from modelyard.decide import manifests, progress
from modelyard.decide.revisions import Built
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Revision
from modelyard.decide.world import World

NAME_LIMIT = 63
"""Characters of a Service's name."""


@dataclass(frozen=True)
class Probe:
    """A candidate whose pods are asked at a stage."""

    stage: str
    revision: Revision
    built: Built | None


def service_name(stage: StageSpec, revision: str) -> str:
    """Name of the Service of a candidate."""
    room = NAME_LIMIT - len(revision) - 1
    return f"{stage.object_name[:room].rstrip('-')}-{revision}"


def endpoint(world: World, stage: StageSpec, revision: str) -> str:
    """Where a candidate is served inside the cluster; empty for a Model without a server."""
    if stage.serving is None:
        return ""
    return f"{service_name(stage, revision)}.{world.seen.namespace}.svc:{stage.serving.port}"


def settled_at(world: World, stage: StageSpec, revision: str) -> datetime | None:
    """From when a candidate's Service reaches its pods from everywhere; None as long as it has none.

    The Service is made when pods are ready, so it is as old as its endpoints.
    """
    name = service_name(stage, revision)
    if not progress.is_reached(world, stage, name, revision):
        return None
    return codec.parse_time(world.seen.services[name]["metadata"]["creationTimestamp"]) + progress.SETTLE


def service(world: World, stage: StageSpec, revision: Revision) -> dict[str, Any]:
    """The Service of a candidate."""
    assert stage.serving is not None
    port = {"name": "http", "port": stage.serving.port, "targetPort": stage.serving.port, "protocol": "TCP"}
    labels = {names.LABEL_VERSION: revision.version, names.LABEL_REVISION: revision.hash}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(stage, revision.hash),
            "namespace": world.seen.namespace,
            "labels": manifests.stage_labels(world, stage) | labels,
            "ownerReferences": [manifests.owner(world.model)],
        },
        "spec": {"selector": manifests.selector(world, stage, revision.hash), "ports": [port]},
    }
