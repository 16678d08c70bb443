"""Everything the operator knows of the world, by kind and by Model.

Fed by the watches, by lists of its own and by the answers to the operator's writes, in any order and any number of
times: an older state never replaces a newer one, and an object that was deleted does not come back. It is plain
memory: it never calls the API server and never awaits.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from modelyard.decide.rollback import is_final
from modelyard.decide.snapshot import Obj
from modelyard.observe.keys import Key, key_of, version_named
from modelyard.observe.slots import Slots, is_running_verification
from modelyard.observe.trim import trimmed

TOMBSTONE_SECONDS = 600.0
"""How long a deleted object's uid is remembered; far longer than a watch can lag."""


class Address(NamedTuple):
    """Where an object is: unique at a time, used again by namesakes."""

    kind: str
    namespace: str
    name: str


def address_of(obj: Obj) -> Address:
    """The address of an object."""
    return Address(obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])


def version_of(obj: Obj) -> int:
    """An object's resourceVersion, which grows with every write to the cluster's store."""
    return int(obj["metadata"]["resourceVersion"])


@dataclass
class Holding:
    """What is known of one Model."""

    objects: dict[str, dict[str, Obj]] = field(default_factory=lambda: defaultdict(dict))
    """By kind, then by name."""
    live: set[str] = field(default_factory=set)
    """Names of ModelVersions whose state can still change."""
    open_rollbacks: set[str] = field(default_factory=set)
    approvals: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """Names of Approvals, by the version that they judge."""
    judged: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """Names of the ModelVersions that gates have judged, by digest, in the order that they became known."""
    changed: set[tuple[str, str]] = field(default_factory=set)
    """(kind, name) of what changed since the last snapshot; a settled version is shown once after a change."""
    conflicts: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """(kind, name) of foreign objects in our way, and when to look again."""
    refusals: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) of objects that the API server does not let us make, and what it said, until it does."""
    deleted: dict[str, Obj] = field(default_factory=dict)
    """ModelVersions that were deleted, by uid, until that is on its way into the ledger; or as long as a tombstone, in
    a process that does not lead."""
    show_all: bool = True
    """Whether the next snapshot holds every version: at first, after a failure, when the Model came or went."""

    @property
    def model(self) -> Obj | None:
        """The Model itself."""
        return next(iter(self.objects["Model"].values()), None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to know."""
        return not any(self.objects.values())


class Cache:
    """The objects of every kind, indexed by Model."""

    def __init__(self, *, settled: Callable[[Obj], bool], slots: Slots, clock: Callable[[], float]) -> None:
        self._settled = settled
        self._slots = slots
        self._clock = clock
        self._objects: dict[Address, Obj] = {}
        self._holdings: dict[Key, Holding] = {}
        self._tombstones: dict[str, float] = {}  # uid -> when it was buried

    def put(self, obj: Obj) -> tuple[Key, ...]:
        """Take note of an object's state; return the Models that this is news for."""
        address = address_of(obj)
        known = self._objects.get(address)
        if obj["metadata"]["uid"] in self._tombstones:
            return ()
        if known is not None and version_of(known) >= version_of(obj):
            return ()
        key = key_of(obj)
        moved = self._forget(address) if known is not None and key_of(known) != key else ()
        if key is None:
            return moved
        self._store(address, key, trimmed(obj))
        return (key, *moved)

    def remove(self, obj: Obj) -> tuple[Key, ...]:
        """Take note that an object is gone; return the Models that this is news for."""
        return self.bury(address_of(obj), obj["metadata"]["uid"])

    def bury(self, address: Address, uid: str) -> tuple[Key, ...]:
        """Forget the object with that uid for good; a namesake made since stays."""
        self._tombstones[uid] = self._clock()
        known = self._objects.get(address)
        if known is None or known["metadata"]["uid"] != uid:
            return ()
        return self._forget(address)

    def is_buried(self, uid: str) -> bool:
        """Whether the object with that uid was seen to go, not long ago."""
        return uid in self._tombstones

    def get(self, address: Address) -> Obj | None:
        """The last known state of an object."""
        return self._objects.get(address)

    def of_kind(self, kind: str, namespace: str | None = None) -> Iterator[Obj]:
        """Every known object of a kind, in one namespace or in all."""
        for address, obj in self._objects.items():
            if address.kind == kind and namespace in (None, address.namespace):
                yield obj

    def holding(self, key: Key) -> Holding:
        """What is known of a Model; empty when nothing is."""
        return self._holdings.get(key) or Holding()

    def keys(self) -> Iterable[Key]:
        """Every Model that something is known of."""
        return tuple(self._holdings)

    def count(self, kind: str) -> int:
        """How many objects of a kind are known."""
        return sum(address.kind == kind for address in self._objects)

    def show_all(self, key: Key) -> None:
        """Let the Model's next snapshot hold every version: the last one may not have been acted on fully."""
        if key in self._holdings:
            self._holdings[key].show_all = True

    def show_again(self, key: Key, objects: Iterable[tuple[str, str]]) -> None:
        """Let the Model's next snapshot hold these (kind, name): they were shown and not yet acted on."""
        if key in self._holdings:
            self._holdings[key].changed.update(objects)

    def conflict(self, key: Key, kind: str, name: str, until: datetime) -> None:
        """Remember that a needed name is taken by an object that is not ours."""
        self._holdings.setdefault(key, Holding()).conflicts[kind, name] = until

    def refused(self, key: Key, kind: str, name: str, why: str) -> bool:
        """Remember that an object may not be made; return whether that is news."""
        refusals = self._holdings.setdefault(key, Holding()).refusals
        news = refusals.get((kind, name)) != why
        refusals[kind, name] = why
        return news

    def prune(self) -> None:
        """Drop what is only kept for a while. Called by the sweep."""
        horizon = self._clock() - TOMBSTONE_SECONDS
        self._tombstones = {uid: buried for uid, buried in self._tombstones.items() if buried > horizon}
        for holding in self._holdings.values():
            holding.deleted = {uid: gone for uid, gone in holding.deleted.items() if uid in self._tombstones}

    def _store(self, address: Address, key: Key, obj: Obj) -> None:
        holding = self._holdings.setdefault(key, Holding())
        if address.kind == "Model" and address not in self._objects:
            holding.show_all = True  # its versions waited for it
        known = self._objects.get(address)
        if address.kind == "Approval" and known:
            _unlist(holding.approvals, version_named(known), address.name)  # a namesake may judge another version
        if address.kind == "ModelVersion" and known:
            _unlist(holding.judged, _digest(known), address.name)
        self._objects[address] = obj
        holding.objects[address.kind][address.name] = obj
        holding.changed.add((address.kind, address.name))
        holding.conflicts.pop((address.kind, address.name), None)
        holding.refusals.pop((address.kind, address.name), None)
        match address.kind:
            case "ModelVersion":
                _keep(holding.live, address.name, not self._settled(obj))
                if (obj.get("status") or {}).get("gates"):
                    holding.judged[_digest(obj)][address.name] = None
            case "Rollback":
                _keep(holding.open_rollbacks, address.name, not is_final(obj))
            case "Approval":
                holding.approvals[version_named(obj)][address.name] = None
            case "Job":
                self._slots.running(address.namespace, address.name, is_running_verification(obj))

    def _forget(self, address: Address) -> tuple[Key, ...]:
        gone = self._objects.pop(address)
        key = key_of(gone)
        if key is None or (holding := self._holdings.get(key)) is None:
            return ()
        holding.objects[address.kind].pop(address.name, None)
        match address.kind:
            case "Model":
                holding.show_all = True
            case "ModelVersion":
                holding.live.discard(address.name)
                holding.deleted[gone["metadata"]["uid"]] = gone
                _unlist(holding.judged, _digest(gone), address.name)
            case "Rollback":
                holding.open_rollbacks.discard(address.name)
            case "Approval":
                _unlist(holding.approvals, version_named(gone), address.name)
            case "Job":
                self._slots.running(address.namespace, address.name, False)
        if holding.is_empty:
            del self._holdings[key]
        return (key,)


def _digest(version: Obj) -> str:
    return str((version.get("status") or {}).get("digest", ""))


def _unlist(index: dict[str, dict[str, None]], key: str, name: str) -> None:
    if key not in index:
        return
    index[key].pop(name, None)
    if not index[key]:
        del index[key]


def _keep(names: set[str], name: str, keep: bool) -> None:
    if keep:
        names.add(name)
    else:
        names.discard(name)
