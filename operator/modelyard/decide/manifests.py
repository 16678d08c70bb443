"""The objects a stage is made of: the Deployment of a revision, the Service and the ConfigMap of the pointer.

A Deployment is made once and its template is never written again: what a revision is, it stays. The operator's
own part in the pod (the fetch container) is as it was when the Deployment was made.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelyard.api import names
from modelyard.decide import codec
from modelyard.decide.snapshot import HelperPods
from modelyard.decide.spec import ServingSpec, StageSpec
from modelyard.decide.state import Current, Revision, StageState
from modelyard.decide.world import World

FETCH_CONTAINER = "modelyard-fetch"
MODEL_VOLUME = "modelyard-model"
TASK_VOLUME = "modelyard-task"
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
    environment = _identity(world, stage, revision)
    grace = spec.get("terminationGracePeriodSeconds", 30)
    spec["containers"] = [
        _container(c, stage.serving, environment, first=index == 0, mount=bool(revision.uri), grace=grace)
        for index, c in enumerate(spec["containers"])
    ]
    if revision.uri:
        task = {"kind": "fetch", "uri": revision.uri, "digest": revision.digest, "objects": objects}
        annotations[names.ANNOTATION_TASK] = compact(task)
        fetch = helper_container(world, "fetch", FETCH_CONTAINER, names.MODEL_MOUNT)
        fetch["volumeMounts"].append({"name": MODEL_VOLUME, "mountPath": names.MODEL_MOUNT})
        spec["initContainers"] = [fetch, *(spec.get("initContainers") or [])]
        own = [volume for volume in spec.get("volumes") or () if volume["name"] == MODEL_VOLUME]
        volumes = [{"name": MODEL_VOLUME, "emptyDir": {}}, task_volume()]
        spec["volumes"] = [*(spec.get("volumes") or []), *(volumes[1:] if own else volumes)]
        pulls = [{"name": name} for name in world.seen.helper.image_pull_secrets]
        spec["imagePullSecrets"] = [*(spec.get("imagePullSecrets") or []), *pulls]
    account = (world.model["spec"].get("storage") or {}).get("serviceAccountName")
    if account:
        spec.setdefault("serviceAccountName", account)
    spec.setdefault("automountServiceAccountToken", False)
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **(spec.get("securityContext") or {}),
    }
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec}


def _identity(world: World, stage: StageSpec, revision: Revision) -> list[dict[str, str]]:
    return [
        {"name": "MODELYARD_MODEL", "value": world.seen.name},
        {"name": "MODELYARD_VERSION", "value": revision.version},
        {"name": "MODELYARD_DIGEST", "value": revision.digest},
        {"name": "MODELYARD_STAGE", "value": stage.name},
    ]


def _container(
    container: Mapping[str, Any],
    serving: ServingSpec,
    environment: list[dict[str, str]],
    *,
    first: bool,
    mount: bool,
    grace: int,
) -> dict[str, Any]:
    ours = {entry["name"] for entry in environment}
    own = [entry for entry in container.get("env") or () if entry["name"] not in ours]
    made = {**container, "env": [*own, *environment]}
    if mount:
        model = {"name": MODEL_VOLUME, "mountPath": names.MODEL_MOUNT, "readOnly": True}
        made["volumeMounts"] = [*(container.get("volumeMounts") or []), model]
    made["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        **(container.get("securityContext") or {}),
    }
    if first:
        made.setdefault("ports", [{"name": "http", "containerPort": serving.port}])
        made.setdefault("readinessProbe", {"tcpSocket": {"port": serving.port}, "periodSeconds": 1})
        if grace > DRAIN_SECONDS:  # the API server refuses a sleep that is longer than the grace period
            made.setdefault("lifecycle", {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}})
    return made


def helper_container(world: World, module: str, name: str, *arguments: str) -> dict[str, Any]:
    """A container that runs one of the programs in `modelyard.pods` with the Model's storage settings."""
    helper = world.seen.helper
    storage = world.model["spec"].get("storage") or {}
    secret = (storage.get("secretRef") or {}).get("name")
    settings = {
        "AWS_ENDPOINT_URL": storage.get("endpoint"),
        "AWS_REGION": storage.get("region"),
        "MODELYARD_CA_BUNDLE": storage.get("caBundle"),
    }
    if "forcePathStyle" in storage:
        settings["MODELYARD_S3_FORCE_PATH_STYLE"] = str(bool(storage["forcePathStyle"])).lower()
    # The namespace's default Secret is optional, so that an ambient identity works with no Secret at all.
    reference = {"name": secret} if secret else {"name": names.DEFAULT_STORAGE_SECRET, "optional": True}
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if helper.run_as_user is not None:
        context["runAsUser"] = helper.run_as_user
    made = {
        "name": name,
        "image": helper.image,
        "imagePullPolicy": helper.image_pull_policy,
        "command": ["python3", "-m", f"modelyard.pods.{module}", *arguments],
        "env": [{"name": key, "value": value} for key, value in settings.items() if value],
        "envFrom": [{"secretRef": reference}],
        "volumeMounts": [{"name": TASK_VOLUME, "mountPath": names.TASK_FILE.rpartition("/")[0], "readOnly": True}],
        "securityContext": context,
    }
    if helper.resources:
        made["resources"] = dict(helper.resources)
    return made


def task_volume() -> dict[str, Any]:
    """The pod's task annotation as a file."""
    field = {"fieldPath": f"metadata.annotations['{names.ANNOTATION_TASK}']"}
    item = {"path": names.TASK_FILE.rpartition("/")[2], "fieldRef": field}
    return {"name": TASK_VOLUME, "downwardAPI": {"items": [item]}}


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
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _stage_metadata(world, stage, stage.object_name, current),
        "data": {key: value for key, value in data.items() if value},
    }


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
    """A Service or ConfigMap of a stage with the stage's state in it: what `recovery` reads when status is lost.

    It is as of the last move of the pointer; a Rollback under way then is not taken up again. The Service, whose
    write is what moves traffic, carries the pointer and the revisions only.
    """
    metadata = manifest["metadata"]
    kept = replace(state, rollback=None)
    if manifest["kind"] == "Service":
        kept = replace(kept, requests=(), handled_rollbacks=())
    annotations = {**metadata["annotations"], names.ANNOTATION_REVISION: compact(codec.dump(kept))}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


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


def compact(value: Any) -> str:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def helper_pod_spec(helper: HelperPods, container: Mapping[str, Any], account: str | None) -> dict[str, Any]:
    """The pod of a verify or check Job around its one container."""
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [task_volume()],
    }
    if account:
        spec["serviceAccountName"] = account
    if helper.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in helper.image_pull_secrets]
    if helper.tolerations:
        spec["tolerations"] = [dict(item) for item in helper.tolerations]
    if helper.node_selector:
        spec["nodeSelector"] = dict(helper.node_selector)
    return spec
