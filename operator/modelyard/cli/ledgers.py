"""Which ledger is asked, and how is it reached?

    --ledger s3://… or file:///…     that one, with the caller's own rights in the store
    nothing                          the one that the cluster's installation keeps:
      1. through the operator's service, as whom the cluster knows the caller to be
      2. where that is not to be had, in the store where it lies, with the caller's own rights there

An installation says where its ledger is in a ConfigMap that everybody who is logged in may read. One that is not in the
usual place is named by --ledger service://NAMESPACE/NAME.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelyard.cli.access import Access
from modelyard.cli.errors import CommandError, LoginError, UsageError
from modelyard.cli.stores import settings_for
from modelyard.kube.errors import ForbiddenError, KubeError, NotFoundError
from modelyard.kube.kinds import CONFIG_MAP
from modelyard.ledger import service
from modelyard.ledger.errors import PlaceError
from modelyard.storage.settings import StorageSettings

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster
    from modelyard.ledger.place import ReadPlace

SCHEME = "service://"
OTHERWISE = (
    f"; name one: --ledger s3://BUCKET/PREFIX, or {SCHEME}NAMESPACE/NAME where Modelyard is not installed as "
    f"{service.SERVICE}; MODELYARD_LEDGER keeps it"
)


class NoLedgerError(CommandError):
    """No ledger is known, or none can be reached."""


def open_ledger(access: Access, url: str) -> "ReadPlace":
    """The ledger of a URL; without one, or with `service://…`, the one of the cluster."""
    if url and not url.startswith(SCHEME):
        return _in_store(url, StorageSettings.from_env(os.environ))
    namespace, _, name = (url.removeprefix(SCHEME) or service.SERVICE).partition("/")
    if not namespace or not name or "/" in name:
        raise UsageError(f"--ledger {url!r}: expected {SCHEME}NAMESPACE/NAME")
    try:
        cluster = access.connect()
    except LoginError as error:
        raise LoginError(f"{error}; without a cluster name the ledger: --ledger s3://BUCKET/PREFIX") from error
    return _of_cluster(cluster, namespace, name)


def _of_cluster(cluster: "Cluster", namespace: str, name: str) -> "ReadPlace":
    told = _published(cluster, namespace, name)
    try:
        return _through_service(cluster, namespace, name, told)
    except (NoLedgerError, LoginError, KubeError) as error:
        not_through_service = error
    try:
        place = _in_store(told["url"], settings_for(_storage(told)))
        place.folders("")
    except PlaceError as error:
        raise NoLedgerError(
            f"the ledger can be reached neither through the cluster ({not_through_service}) nor in its store "
            f"({error}); log in with a token of somebody who has the role modelyard-viewer, or get the right to read "
            f"{told['url']}"
        ) from error
    return place


def _published(cluster: "Cluster", namespace: str, name: str) -> Mapping[str, str]:
    """What the installation says about its ledger."""
    try:
        found = cluster.get(CONFIG_MAP, name, namespace)
    except (NotFoundError, ForbiddenError) as error:
        raise NoLedgerError(f"this cluster's Modelyard says of no ledger ({error}){OTHERWISE}") from error
    told: Mapping[str, str] = found.get("data") or {}
    if not told.get("url"):
        raise NoLedgerError(f"ConfigMap {namespace}/{name} names no ledger{OTHERWISE}")
    return told


def _through_service(cluster: "Cluster", namespace: str, name: str, told: Mapping[str, str]) -> "ReadPlace":
    from modelyard.cli.ledger_reader import ServicePlace

    if told.get("service") != "true":
        raise NoLedgerError("the installation does not serve it: ledger.service.enabled=false")
    return ServicePlace(cluster, namespace, name)


def _storage(told: Mapping[str, str]) -> dict[str, object]:
    """How to reach the store, as a Model's `spec.storage` would say it."""
    style = told.get("forcePathStyle", "")
    known = {name: told[name] for name in ("endpoint", "region", "caBundle") if told.get(name)}
    return {**known, "forcePathStyle": style == "true" if style else None}


def _in_store(url: str, storage: StorageSettings) -> "ReadPlace":
    from modelyard.ledger.place import LedgerSettings, open_to_read

    return open_to_read(LedgerSettings(url, storage))
