"""The objects a stage is made of: the Deployment of a revision, the Service and the ConfigMap of the pointer.

A Deployment is made once and its template is never written again: what a revision is, it stays. The operator's
own part in the pod (the fetch container) is as it was when the Deployment was made.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelyard.api import codec, names
from modelyard.decide import podspec
from modelyard.decide.podspec import compact
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import ServingSpec, StageSpec
from modelyard.decide.state import Current, Revision, StageState
from modelyard.decide.world import World

FETCH_CONTAINER = "modelyard-fetch"
MODEL_VOLUME = "modelyard-model"
_TELLING = frozenset({names.ANNOTATION_SEQUENCE, names.ANNOTATION_ON_TRIAL})
"""Annotations of a stage's Service and ConfigMap that are written for their own sake; the stage's state is not."""
DRAIN_SECONDS = 5
"""How long a stopping server goes on serving: longer than kube-proxy takes to forget its address."""


def deployment(
    world: World,
    stage: StageSpec,
    revision: Revision,
    template: Mapping[str, Any],
    replicas: int,
    objects: Any = None,
) -> Mapping[str, Any]:
    """The Deployment of a revision. `objects`: the (path, versionId) pairs pinned at verification."""
    assert stage.serving is not None
    labels = stage_labels(world, stage) | {names.LABEL_VERSION: revision.version, names.LABEL_REVISION: revision.hash}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{stage.object_name}-{revision.hash}",
            "namespace": world.seen.namespace,
            "labels": labels,
            "annotations": {names.ANNOTATION_REVISION: compact(codec.dump(revision))},
            "ownerReferences": [owner(world.model)],
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector(world, stage, revision.hash)},
            # A warm revision that is restarted must stay at full size all the while.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pod_template(world, stage, revision, template, labels, objects),
        },
    }


def pod_template(
    world: World,
    stage: StageSpec,
    revision: Revision,
    template: Mapping[str, Any],
    labels: Mapping[str, str],
    objects: Any,
) -> Mapping[str, Any]:
    """The user's pod template with the model mounted, the identity in the environment and safe defaults."""
    assert stage.serving is not None
    metadata = dict(template.get("metadata") or {})
    annotations = dict(metadata.get("annotations") or {})
    spec = copy.deepcopy(dict(template["spec"]))
    identity = podspec.identity(world, stage, revision)
    fetch = podspec.Fetch(
        FETCH_CONTAINER, MODEL_VOLUME, names.MODEL_MOUNT, uri=revision.uri, digest=revision.digest, objects=objects
    )
    fetches = [fetch] if revision.uri else []
    mounts = [fetch.mount for fetch in fetches]
    spec["containers"] = [podspec.user_container(container, identity, mounts) for container in spec["containers"]]
    grace = spec.get("terminationGracePeriodSeconds")
    _serve_by_default(spec["containers"][0], stage.serving, 30 if grace is None else grace)
    podspec.add_fetches(world, annotations, spec, fetches)
    podspec.fill_in(world, spec)
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec}


def _serve_by_default(container: dict[str, Any], serving: ServingSpec, grace: int) -> None:
    """What the server's container needs, where the template does not say otherwise."""
    container.setdefault("ports", [{"name": "http", "containerPort": serving.port}])
    container.setdefault("readinessProbe", {"tcpSocket": {"port": serving.port}, "periodSeconds": 1})
    if grace > DRAIN_SECONDS:  # the API server refuses a sleep that is longer than the grace period
        container.setdefault("lifecycle", {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}})


def service(world: World, stage: StageSpec, current: Current) -> dict[str, Any]:
    """The stage's Service, whose selector names exactly the current revision."""
    assert stage.serving is not None
    port = {"name": "http", "port": stage.serving.port, "targetPort": stage.serving.port, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _stage_metadata(world, stage, stage.serving.service_name, current),
        "spec": {"selector": selector(world, stage, current.revision), "ports": [port]},
    }


def configmap(world: World, stage: StageSpec, state: StageState, current: Current) -> dict[str, Any]:
    """The stage's ConfigMap: which version carries it, for whoever does not ask the API of Modelyard."""
    revision = state.revision(current.revision)
    data = {
        "model": world.seen.name,
        "stage": stage.name,
        "version": current.version,
        "digest": current.digest,
        "uri": revision.uri if revision else "",
        "endpoint": endpoint(world, stage),
    }
    metadata = _stage_metadata(world, stage, stage.object_name, current)
    if current.on_trial:
        metadata["annotations"][names.ANNOTATION_ON_TRIAL] = "true"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {key: value for key, value in data.items() if value},
    }


def stage_of(obj: Mapping[str, Any]) -> str:
    """The stage that an object of ours is made for, by its label; empty without one."""
    return str((obj["metadata"].get("labels") or {}).get(names.LABEL_STAGE, ""))


def endpoint(world: World, stage: StageSpec) -> str:
    """Where the stage is served inside the cluster; empty for a Model without a server."""
    if stage.serving is None:
        return ""
    return f"{stage.serving.service_name}.{world.seen.namespace}.svc:{stage.serving.port}"


def _stage_metadata(world: World, stage: StageSpec, name: str, current: Current) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": world.seen.namespace,
        "labels": stage_labels(world, stage) | {names.LABEL_VERSION: current.version},
        "annotations": {names.ANNOTATION_SEQUENCE: str(current.sequence)},
        "ownerReferences": [owner(world.model)],
    }


def with_state(manifest: dict[str, Any], state: StageState) -> dict[str, Any]:
    """A new Service or ConfigMap of a stage, with the stage's state in it."""
    metadata = manifest["metadata"]
    annotations = {**metadata["annotations"], names.ANNOTATION_REVISION: _annotated(manifest["kind"], state)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def change(present: Obj, manifest: Mapping[str, Any], state: StageState) -> dict[str, Any]:
    """The merge patch that makes a Service or ConfigMap of a stage what it should be; empty when it is.

    What others added to it stays, but for what decides where requests go. The stage's state in it is not written for
    its own sake.
    """
    wanted, known = manifest["metadata"], present["metadata"]
    told = {name: text for name, text in (known.get("annotations") or {}).items() if name in _TELLING}
    found: dict[str, Any] = {
        "labels": _overwritten(known.get("labels") or {}, wanted["labels"], keep=True),
        "annotations": _overwritten(told, wanted["annotations"]),
    }
    body: dict[str, Any] = {"metadata": {part: changed for part, changed in found.items() if changed}}
    if manifest["kind"] == "ConfigMap":
        body["data"] = _overwritten(present.get("data") or {}, manifest["data"])
    else:
        body["spec"] = _rerouted(present["spec"], manifest["spec"])
    body = {part: changed for part, changed in body.items() if changed}
    if body:
        annotations = body.setdefault("metadata", {}).setdefault("annotations", {})
        annotations[names.ANNOTATION_REVISION] = _annotated(manifest["kind"], state)
    return body


def _rerouted(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of a Service's spec is to change. A list of ports is replaced whole by a merge patch."""
    ports = [{key: port.get(key) for key in wanted["ports"][0]} for port in present.get("ports") or ()]
    changed = {"selector": _overwritten(present.get("selector") or {}, wanted["selector"])}
    if ports != wanted["ports"]:
        changed["ports"] = wanted["ports"]
    return {part: value for part, value in changed.items() if value}


def _overwritten(present: Mapping[str, Any], wanted: Mapping[str, Any], *, keep: bool = False) -> dict[str, Any]:
    """The merge patch from one map to another; `keep`: with what only the first has."""
    gone = () if keep else (name for name in present if name not in wanted)
    changed = {name: value for name, value in wanted.items() if present.get(name) != value}
    return changed | dict.fromkeys(gone)


def _annotated(kind: str, state: StageState) -> str:
    """The stage's state in its Service and its ConfigMap: what `recovery` reads when status is lost.

    It is as of the last move of the pointer, that of the ConfigMap as of the end of the trial that came with it; a
    Rollback under way then is not taken up again. The Service, whose write is what moves traffic, carries the pointer
    and the revisions only.
    """
    revisions = tuple(replace(revision, template={}) for revision in state.revisions)
    kept = replace(state, rollback=None, revisions=revisions)
    if kind == "Service":
        kept = replace(kept, requests=(), handled_rollbacks=())
    return compact(codec.dump(kept))


def stage_labels(world: World, stage: StageSpec) -> dict[str, str]:
    """Labels of everything that belongs to a stage."""
    return {
        "app.kubernetes.io/name": world.seen.name,
        "app.kubernetes.io/instance": stage.object_name,
        "app.kubernetes.io/part-of": "modelyard",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_MODEL: world.seen.name,
        names.LABEL_STAGE: stage.name,
    }


def selector(world: World, stage: StageSpec, revision: str) -> dict[str, str]:
    """Labels that only the pods of one revision of one stage carry."""
    return {names.LABEL_MODEL: world.seen.name, names.LABEL_STAGE: stage.name, names.LABEL_REVISION: revision}


def owner(obj: Mapping[str, Any]) -> dict[str, Any]:
    """An owner reference: what it owns goes with it. It never blocks the owner's deletion."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
