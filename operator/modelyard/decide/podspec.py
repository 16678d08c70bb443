"""What the pods that Modelyard makes have in common: a user's containers with safe defaults, and the operator's own.

`manifests` makes serving pods of it, `gates.job` the pods of gates, `jobs` those of the helper programs. What a user
wrote stays as it is written; only what is missing is filled in.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.api import names
from modelyard.decide.snapshot import HelperPods
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Revision
from modelyard.decide.templates import TASK_VOLUME
from modelyard.decide.world import World

TASK_FOLDER = names.TASK_FILE.rpartition("/")[0]
TRUST_VOLUME = "modelyard-trust"


@dataclass(frozen=True)
class Fetch:
    """An artifact that is put into a volume of its own before the user's containers start."""

    container: str
    volume: str
    folder: str
    uri: str
    digest: str
    objects: Any = None
    """The (path, versionId) pairs pinned at verification."""
    name: str = ""
    """Which of several it is; empty for the only one."""

    @property
    def annotation(self) -> str:
        """The pod's annotation that says what to fetch."""
        return f"{names.ANNOTATION_TASK}-{self.name}" if self.name else names.ANNOTATION_TASK

    @property
    def file(self) -> str:
        """The same as a file, as the container sees it."""
        return f"{TASK_FOLDER}/{self.name}.json" if self.name else names.TASK_FILE

    @property
    def mount(self) -> dict[str, Any]:
        """How the user's containers see the files."""
        return {"name": self.volume, "mountPath": self.folder, "readOnly": True}


def pinned_objects(world: World, version: str) -> list[list[str]] | None:
    """The store's versions of an artifact's files, where it was verified in a store that keeps versions."""
    known = world.versions.get(version)
    pinned = (known.status.get("artifact") or {}).get("objects") if known else None
    return [[entry["path"], entry["versionId"]] for entry in pinned] if pinned else None


def add_fetches(world: World, annotations: dict[str, Any], spec: dict[str, Any], fetches: Iterable[Fetch]) -> None:
    """Let a pod fetch artifacts, before the user's own init containers. Where the template has a volume of the name,
    that is fetched into."""
    made, tasks, volumes = [], [], list(spec.get("volumes") or ())
    for fetch in fetches:
        task = {"kind": "fetch", "uri": fetch.uri, "digest": fetch.digest, "objects": fetch.objects}
        annotations[fetch.annotation] = compact(task)
        tasks.append((fetch.annotation, fetch.file))
        container = helper_container(world, "fetch", fetch.container, fetch.folder)
        container["volumeMounts"].append({"name": fetch.volume, "mountPath": fetch.folder})
        if fetch.file != names.TASK_FILE:
            container["env"].append({"name": "MODELYARD_TASK_FILE", "value": fetch.file})
        made.append(container)
        if not any(volume["name"] == fetch.volume for volume in volumes):
            volumes.append({"name": fetch.volume, "emptyDir": {}})
    if not made:
        return
    spec["initContainers"] = [*made, *(spec.get("initContainers") or ())]
    spec["volumes"] = [*volumes, task_volume(tasks)]
    pulls = [{"name": name} for name in world.seen.helper.image_pull_secrets]
    spec["imagePullSecrets"] = [*(spec.get("imagePullSecrets") or ()), *pulls]


def user_container(
    container: Mapping[str, Any], environment: Iterable[Mapping[str, str]], mounts: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """A user's container with our variables, which cannot be overridden, our mounts and a safe context."""
    ours = {entry["name"]: entry for entry in environment}
    own = [entry for entry in container.get("env") or () if entry["name"] not in ours]
    made = {**container, "env": [*own, *ours.values()]}
    mounted = [*(container.get("volumeMounts") or ()), *mounts]
    if mounted:
        made["volumeMounts"] = mounted
    made["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        **(container.get("securityContext") or {}),
    }
    return made


def fill_in(world: World, spec: dict[str, Any]) -> None:
    """Give a user's pod the Model's identity and what the restricted Pod Security level asks for, where it has none."""
    account = (world.model["spec"].get("storage") or {}).get("serviceAccountName")
    if account:
        spec.setdefault("serviceAccountName", account)
    spec.setdefault("automountServiceAccountToken", False)
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **(spec.get("securityContext") or {}),
    }


def identity(world: World, stage: StageSpec, revision: Revision) -> list[dict[str, str]]:
    """What a container is told of the version it serves or evaluates."""
    return [
        {"name": "MODELYARD_MODEL", "value": world.seen.name},
        {"name": "MODELYARD_VERSION", "value": revision.version},
        {"name": "MODELYARD_DIGEST", "value": revision.digest},
        {"name": "MODELYARD_STAGE", "value": stage.name},
    ]


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
        # -I: the Secret may have more keys than those of a store, and none of them is to say what Python runs.
        "command": ["python3", "-I", "-m", f"modelyard.pods.{module}", *arguments],
        "env": [{"name": key, "value": value} for key, value in settings.items() if value],
        "envFrom": [{"secretRef": reference}],
        "volumeMounts": [{"name": TASK_VOLUME, "mountPath": TASK_FOLDER, "readOnly": True}],
        "securityContext": context,
    }
    if helper.resources:
        made["resources"] = dict(helper.resources)
    return made


def task_volume(tasks: Iterable[tuple[str, str]] = ((names.ANNOTATION_TASK, names.TASK_FILE),)) -> dict[str, Any]:
    """Annotations of the pod as files."""
    items = [
        {"path": file.rpartition("/")[2], "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for annotation, file in tasks
    ]
    return {"name": TASK_VOLUME, "downwardAPI": {"items": items}}


def mount_trust(spec: dict[str, Any], sources: Iterable[Mapping[str, Any]]) -> None:
    """Give a verify pod the keys and certificates that stand in ConfigMaps and Secrets."""
    if projected := list(sources):
        spec["volumes"].append({"name": TRUST_VOLUME, "projected": {"sources": projected}})
        mount = {"name": TRUST_VOLUME, "mountPath": names.TRUST_FOLDER, "readOnly": True}
        spec["containers"][0]["volumeMounts"].append(mount)


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


def compact(value: Any) -> str:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
