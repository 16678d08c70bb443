"""Which files does `risk/fraud@production` stand for? Answered from the cluster, with the caller's own login.

Called by the command line. Reads Model, ModelVersion and, for a version whose object is gone, the stage's ConfigMap;
writes nothing and reads no Secret.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.names import GROUP, VERSION
from modelyard.storage.settings import StorageSettings

REFERENCE = re.compile(r"(?:(?P<namespace>[^/@:]+)/)?(?P<model>[^/@:]+)(?:@(?P<stage>[^/@:]+)|:(?P<version>[^/@:]+))")
TIMEOUT = 30
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
Obj = Mapping[str, Any]


class RegistryError(Exception):
    """The cluster could not be asked, or has nothing of that name."""


@dataclass(frozen=True)
class Reference:
    """What the user named: a model, and a stage or a version of it."""

    model: str
    namespace: str | None = None
    stage: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str, namespace: str | None = None) -> "Reference":
        """From `[namespace/]model@stage` or `[namespace/]model:version`."""
        found = REFERENCE.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} names no model; write NAMESPACE/MODEL@STAGE or NAMESPACE/MODEL:VERSION")
        return cls(found["model"], found["namespace"] or namespace, found["stage"], found["version"])


@dataclass(frozen=True)
class Registered:
    """A version as the cluster knows it."""

    model: str
    version: str
    uri: str
    digest: str
    objects: list[tuple[str, str]] | None
    storage: StorageSettings


def find(wanted: Reference) -> Registered:
    """Ask the cluster. RegistryError when it has no such version, or none whose digest is pinned."""
    cluster = _Cluster(wanted.namespace)
    model = cluster.get("models", wanted.model)
    if model is None:
        raise RegistryError(f"find {cluster.namespace}/{wanted.model}: there is no Model of that name")
    if wanted.stage is None:
        return _by_version(cluster, wanted, model)
    return _by_stage(cluster, wanted.stage, wanted, model)


def _by_version(cluster: "_Cluster", wanted: Reference, model: Obj) -> Registered:
    name = f"{wanted.model}-{wanted.version}"
    found = cluster.get("modelversions", name)
    if found is None:
        raise RegistryError(f"find {cluster.namespace}/{name}: there is no ModelVersion of that name")
    digest = (found.get("status") or {}).get("digest")
    if not digest:
        reason = ((found.get("status") or {}).get("verification") or {}).get("message") or "it is not verified yet"
        raise RegistryError(f"find {cluster.namespace}/{name}: no digest is pinned: {reason}")
    return _registered(model, str(wanted.version), _uri(found, name), digest, found)


def _by_stage(cluster: "_Cluster", stage: str, wanted: Reference, model: Obj) -> Registered:
    stages = (model.get("status") or {}).get("stages") or ()
    current = next((entry.get("current") for entry in stages if entry.get("name") == stage), None)
    if not current:
        raise RegistryError(f"find {cluster.namespace}/{wanted.model}@{stage}: no version carries this stage")
    version, digest = str(current["version"]), str(current["digest"])
    found = cluster.get("modelversions", f"{wanted.model}-{version}")
    if found is not None and (found.get("status") or {}).get("digest") == digest:
        return _registered(model, version, _uri(found, f"{wanted.model}-{version}"), digest, found)
    published = (cluster.configmap(f"{wanted.model}-{stage}") or {}).get("data") or {}
    if published.get("digest") != digest or not published.get("uri"):
        message = (
            f"version {version} carries it, and neither its ModelVersion nor the stage's ConfigMap says where it lies"
        )
        raise RegistryError(f"find {cluster.namespace}/{wanted.model}@{stage}: {message}")
    return _registered(model, version, published["uri"], digest, {})


def _registered(model: Obj, version: str, uri: str, digest: str, found: Obj) -> Registered:
    storage = model["spec"].get("storage") or {}
    pinned = ((found.get("status") or {}).get("artifact") or {}).get("objects") or ()
    return Registered(
        model=f"{model['metadata']['namespace']}/{model['metadata']['name']}",
        version=version,
        uri=uri,
        digest=digest,
        objects=[(entry["path"], entry["versionId"]) for entry in pinned] or None,
        storage=StorageSettings(
            endpoint=storage.get("endpoint"),
            region=storage.get("region"),
            force_path_style=storage.get("forcePathStyle"),
            ca_bundle=storage.get("caBundle"),
        ),
    )


def _uri(version: Obj, name: str) -> str:
    uri = version["spec"]["artifact"].get("uri")
    if not uri:
        raise RegistryError(f"fetch {name}: an outside provider hosts it; there are no files")
    return str(uri)


class _Cluster:
    """Reads objects of one namespace: the one named, else that of the caller's context."""

    def __init__(self, namespace: str | None) -> None:
        from kubernetes import client, config

        path = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
        try:
            if os.path.exists(path) or "KUBECONFIG" in os.environ:
                config.load_kube_config(config_file=path)
                own = config.list_kube_config_contexts(path)[1]["context"].get("namespace")
            else:
                config.load_incluster_config()
                own = POD_NAMESPACE.read_text()
        except (config.ConfigException, OSError) as error:
            raise RegistryError(f"log in to the cluster: {error}; set KUBECONFIG") from error
        self.namespace: str = namespace or own or "default"
        self._custom = client.CustomObjectsApi()
        self._core = client.CoreV1Api()

    def get(self, plural: str, name: str) -> Obj | None:
        return self._ask(
            f"{plural}/{name}",
            lambda: self._custom.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, plural, name, _request_timeout=TIMEOUT
            ),
        )

    def configmap(self, name: str) -> Obj | None:
        return self._ask(
            f"configmaps/{name}",
            lambda: self._core.read_namespaced_config_map(name, self.namespace, _request_timeout=TIMEOUT).to_dict(),
        )

    def _ask(self, what: str, call: Any) -> Obj | None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            found: Obj = call()
            return found
        except ApiException as error:
            if error.status == 404:
                return None
            raise RegistryError(f"read {self.namespace}/{what}: {error.status} {error.reason}") from error
        except HTTPError as error:
            raise RegistryError(f"read {self.namespace}/{what}: {error}; is the cluster running?") from error
