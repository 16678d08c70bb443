"""Building the Snapshot of one Model out of the cache.

The reconciler calls it once a turn. It costs the same whether a Model has ten or ten thousand versions: settled
versions are left out, and with them their Approvals, unless the Model's status names them, they have just changed, or
one on its way has the same bytes.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from modelyard.decide.snapshot import Obj, Settings, Snapshot
from modelyard.observe.cache import Cache, Holding
from modelyard.observe.keys import Key, version_named
from modelyard.observe.slots import Slots

TWINS_SHOWN = 5
"""Versions with the same bytes that a snapshot holds, however many there are."""


def take_snapshot(cache: Cache, slots: Slots, settings: Settings, key: Key, now: datetime) -> Snapshot:
    """Say all that a decision on this Model needs, and start counting changes anew."""
    holding = cache.holding(key)
    objects = holding.objects
    holding.conflicts = {taken: until for taken, until in holding.conflicts.items() if until > now}
    versions = _versions(key, holding)
    holding.deleted = _untold(holding)
    snapshot = Snapshot(
        namespace=key.namespace,
        name=key.model,
        model=holding.model,
        versions=versions,
        deleted=tuple(holding.deleted.values()),
        rollbacks=tuple(_rollbacks(holding)),
        approvals=tuple(_approvals(holding, versions)),
        deployments=dict(objects["Deployment"]),
        jobs=dict(objects["Job"]),
        services=dict(objects["Service"]),
        configmaps=dict(objects["ConfigMap"]),
        pods=tuple(objects["Pod"].values()),
        endpointslices=tuple(objects["EndpointSlice"].values()),
        conflicts=frozenset(holding.conflicts),
        refusals=dict(holding.refusals),
        free_verifications=slots.free(key.namespace),
        helper=settings.helper,
        admission=settings.admission,
        shared_accounts=settings.shared_accounts,
    )
    holding.changed.clear()
    holding.show_all = False
    return snapshot


def _versions(key: Key, holding: Holding) -> Mapping[str, Obj]:
    versions = holding.objects["ModelVersion"]
    if holding.show_all or _is_ahead_of_status(holding.model):
        return dict(versions)
    shown = set(holding.live)
    shown.update(name for kind, name in holding.changed if kind == "ModelVersion")
    shown.update(f"{key.model}-{version}" for version in _named_in_status(holding.model))
    shown.update(f"{key.model}-{version}" for version in _judged_anew(holding))
    shown.update(_twins(holding))
    return {name: versions[name] for name in sorted(shown) if name in versions}


def _twins(holding: Holding) -> set[str]:
    """Versions with the bytes of one that is on its way, which gates have judged: their answers may hold for it."""
    versions = holding.objects["ModelVersion"]
    digests = {(versions[name].get("status") or {}).get("digest", "") for name in holding.live}
    return {name for digest in digests for name in islice(reversed(holding.judged.get(digest, {})), TWINS_SHOWN)}


def _approvals(holding: Holding, versions: Mapping[str, Obj]) -> Iterator[Obj]:
    approvals = holding.objects["Approval"]
    if holding.show_all or _is_ahead_of_status(holding.model):
        yield from approvals.values()
        return
    shown = _judged_anew(holding)
    shown.update(version_named(obj) for obj in versions.values())
    for version in sorted(shown):
        yield from (approvals[name] for name in sorted(holding.approvals.get(version, ())))


def _untold(holding: Holding) -> dict[str, Obj]:
    """Versions that were deleted and whose deletion the Model's status does not tell; none where no ledger asks."""
    ledger = ((holding.model or {}).get("status") or {}).get("ledger")
    if ledger is None:
        return {}
    told = {item.get("subject") for item in ledger.get("outbox") or () if item.get("mark") == "Deleted"}
    told.update(ledger.get("deleted") or ())
    return {uid: obj for uid, obj in holding.deleted.items() if uid not in told}


def _judged_anew(holding: Holding) -> set[str]:
    """Versions of which an Approval was made or changed since the last look."""
    approvals = holding.objects["Approval"]
    names = (name for kind, name in holding.changed if kind == "Approval" and name in approvals)
    return {version_named(approvals[name]) for name in names}


def _rollbacks(holding: Holding) -> Iterator[Obj]:
    rollbacks = holding.objects["Rollback"]
    if holding.show_all or _is_ahead_of_status(holding.model):
        yield from rollbacks.values()
        return
    for name in sorted(holding.open_rollbacks | {name for kind, name in holding.changed if kind == "Rollback"}):
        if name in rollbacks:
            yield rollbacks[name]


def _is_ahead_of_status(model: Obj | None) -> bool:
    """Whether the Model's spec changed since its status was written: that can matter to every version."""
    if model is None:
        return True
    return bool(model["metadata"].get("generation") != (model.get("status") or {}).get("observedGeneration"))


def _named_in_status(model: Obj | None) -> Iterator[str]:
    """Versions that the stages point at, have been asked for, or keep a revision of."""
    for stage in ((model or {}).get("status") or {}).get("stages") or ():
        current = stage.get("current") or {}
        yield current.get("version", "")
        yield (current.get("replaced") or {}).get("version", "")
        for item in (*(stage.get("requests") or ()), *(stage.get("revisions") or ())):
            yield item.get("version", "")
