"""Which files does `risk/fraud@production` stand for? Answered from the cluster, with the caller's own login.

Called by `fetch`. Reads Model, ModelVersion and, for a version whose object is gone, the stage's ConfigMap; writes
nothing and reads no Secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelyard.cli.errors import CommandError, UnknownError
from modelyard.cli.objects import current, status_of
from modelyard.cli.refs import Reference, check_stage, find_model, find_version
from modelyard.kube.kinds import CONFIG_MAP, MODEL_VERSION

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster

Obj = Mapping[str, Any]


@dataclass(frozen=True)
class Registered:
    """A version as the cluster knows it."""

    model: str
    version: str
    uri: str
    digest: str
    objects: list[tuple[str, str]] | None
    storage: Obj
    """The Model's `spec.storage`."""


def find(cluster: "Cluster", wanted: Reference) -> Registered:
    """Ask the cluster. UnknownError when it has no such version, CommandError when it has no digest that is pinned."""
    model = find_model(cluster, wanted.name)
    if wanted.stage is None:
        return _by_version(cluster, wanted, model)
    check_stage(model, wanted.stage)
    return _by_stage(cluster, wanted.stage, model)


def _by_version(cluster: "Cluster", wanted: Reference, model: Obj) -> Registered:
    found = find_version(cluster, wanted)
    name, status = found["metadata"]["name"], status_of(found)
    if not status.get("digest"):
        reason = (status.get("verification") or {}).get("message") or "it is not verified yet"
        raise CommandError(f"fetch {cluster.namespace}/{name}: no digest is pinned: {reason}")
    return _registered(model, str(wanted.version), _uri(found, name), status["digest"], found)


def _by_stage(cluster: "Cluster", stage: str, model: Obj) -> Registered:
    pointer, name = current(model, stage), model["metadata"]["name"]
    where = f"{cluster.namespace}/{name}@{stage}"
    if not pointer:
        raise UnknownError(f"fetch {where}: no version carries this stage")
    version, digest = str(pointer["version"]), str(pointer["digest"])
    found = cluster.find(MODEL_VERSION, f"{name}-{version}")
    if found is not None and status_of(found).get("digest") == digest:
        return _registered(model, version, _uri(found, f"{name}-{version}"), digest, found)
    published = (cluster.find(CONFIG_MAP, f"{name}-{stage}") or {}).get("data") or {}
    if published.get("digest") != digest or not published.get("uri"):
        message = (
            f"version {version} carries it, and neither its ModelVersion nor the stage's ConfigMap says where it lies"
        )
        raise CommandError(f"fetch {where}: {message}")
    return _registered(model, version, published["uri"], digest, {})


def _registered(model: Obj, version: str, uri: str, digest: str, found: Obj) -> Registered:
    pinned = (status_of(found).get("artifact") or {}).get("objects") or ()
    return Registered(
        model=f"{model['metadata']['namespace']}/{model['metadata']['name']}",
        version=version,
        uri=uri,
        digest=digest,
        objects=[(entry["path"], entry["versionId"]) for entry in pinned] or None,
        storage=model["spec"].get("storage") or {},
    )


def _uri(version: Obj, name: str) -> str:
    uri = version["spec"]["artifact"].get("uri")
    if not uri:
        raise CommandError(f"fetch {name}: an outside provider hosts it; there are no files")
    return str(uri)
