"""Carrying out a Plan: the only code that changes the cluster.

    1. the commit     a compare-and-set of the Model's status; if somebody else wrote the Model, or what it counts on
                      is not as it was seen, nothing else happens.
                      A Plan without one is compared with the Model as it is now
    2. the switch     Services, one after another: a request must not meet a pointer that its Service does not follow
    3. the rest       objects, then statuses; writes to different objects at the same time
    4. the Events     tell after the write

Called by the reconciler with one Plan at a time per Model. Every answer goes back to the cache through `World`, so
the next decision sees its own writes. A commit or a Service that fails ends the turn; any other failure is kept, the
remaining writes are tried, and all failures are raised together at the end.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol, assert_never

from modelyard.api import names
from modelyard.decide.plan import Action, Commit, Create, Delete, Patch, Plan, ReplaceStatus, Sighting
from modelyard.decide.snapshot import Obj
from modelyard.execute.events import EventPublisher
from modelyard.execute.writer import Writer
from modelyard.kube.errors import (
    AbsentError,
    AlreadyExistsError,
    ConflictError,
    KubeError,
    NoSuchObjectError,
    RefusedError,
    TransientError,
)
from modelyard.kube.kinds import KINDS, MODEL

AT_ONCE = 8
"""Writes of one Plan in flight together: enough to hide latency, too few to crowd out other clients."""

STATUSES_A_TURN = 250
"""A Model with thousands of versions must not keep a Rollback waiting until every version's status is written."""
STATUS_ATTEMPTS = 3
"""Writes of one status in the face of others who keep writing the object."""


class World(Protocol):
    """What is known of the objects to write, and where the executor reports what it learned."""

    def known(self, kind: str, namespace: str, name: str) -> Obj | None:
        """An object's last known state."""
        ...

    def wrote(self, obj: Obj) -> None:
        """An object's state after a write."""
        ...

    def deleted(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """An object is gone."""
        ...

    def conflict(self, namespace: str, model: str, kind: str, name: str) -> None:
        """A needed name is taken by an object that is not ours."""
        ...

    def refused(self, namespace: str, model: str, kind: str, name: str, why: str) -> None:
        """The API server does not let this object be made."""
        ...

    def absent(self, error: KubeError) -> None:
        """A write had nothing to act on: the object went away meanwhile."""
        ...


class StaleError(Exception):
    """The Model, or what the Plan counts on, was written since it was read; nothing was done."""


class WritesFailedError(Exception):
    """Some of a Plan's writes failed."""

    def __init__(self, errors: Sequence[KubeError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)

    @property
    def retry_after(self) -> float:
        """Seconds the API server asked to wait at least."""
        return max((getattr(error, "retry_after", 0.0) for error in self.errors), default=0.0)

    @property
    def is_transient(self) -> bool:
        """Whether doing the same again may help soon."""
        return any(isinstance(error, TransientError) for error in self.errors)


def _anybody_may() -> None:
    """The default for `fence`."""


class Executor:
    """Writes Plans. `fence` is called before every write, and does not return when this process may not write."""

    def __init__(
        self, writer: Writer, events: EventPublisher, world: World, fence: Callable[[], None] = _anybody_may
    ) -> None:
        self._writer = writer
        self._events = events
        self._world = world
        self._fence = fence

    async def execute(
        self, namespace: str, model: str, plan: Plan, decided_on: Obj | None = None
    ) -> Sequence[ReplaceStatus]:
        """Write what the Plan says, for the Model of that name; return the statuses left for the next turn.

        `decided_on`: the Model as the decision saw it.
        """
        if plan.commit is not None:
            await self._commit(namespace, plan.commit)
        elif plan.actions and decided_on is not None:
            await self._compare(namespace, decided_on)
        errors: list[KubeError] = []
        now, left = _this_turn(plan.actions)
        for phase, actions in _phases(now):
            failed = await self._attempt(namespace, model, actions)
            errors += failed
            if failed and phase == "switch":
                break
        errors += await self._publish(namespace, plan)
        if errors:
            raise WritesFailedError(errors)
        return left

    async def _commit(self, namespace: str, commit: Commit) -> None:
        for seen in commit.counts_on:
            if not await self._is_as_seen(namespace, seen):
                raise StaleError(f"{seen.kind} {namespace}/{seen.name} was written since it was decided on")
        self._fence()
        try:
            self._world.wrote(
                await self._writer.replace_status(MODEL, namespace, commit.name, commit.status, commit.resource_version)
            )
        except ConflictError as stale:
            # The watch may not have brought the newer Model yet: without it the next turn would end the same way.
            self._world.wrote(await self._writer.get(MODEL, namespace, commit.name))
            raise StaleError(str(stale)) from stale

    async def _is_as_seen(self, namespace: str, sighting: Sighting) -> bool:
        """Nothing in the Model tells that another object was deleted or written since the cache last heard of it."""
        try:
            present = await self._writer.get(KINDS[sighting.kind], namespace, sighting.name)
        except NoSuchObjectError:
            self._world.deleted(sighting.kind, namespace, sighting.name, sighting.uid)
            return False
        if sighting.shows(present):
            return True
        self._learn(namespace, sighting.uid, present)
        return False

    def _learn(self, namespace: str, uid: str, present: Obj) -> None:
        """An object is not as it was seen, or another one has the name of the one with that uid, which is gone."""
        if present["metadata"]["uid"] != uid:
            self._world.deleted(present["kind"], namespace, present["metadata"]["name"], uid)
        self._world.wrote(present)

    async def _compare(self, namespace: str, decided_on: Obj) -> None:
        """Without a commit, nothing would tell that the pointer has moved on since the cache last heard of it.

        It lags far behind after a silent watch, or when this process has taken over from one that led meanwhile.
        """
        metadata = decided_on["metadata"]
        present = await self._writer.get(MODEL, namespace, metadata["name"])
        if present["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            self._world.wrote(present)
            raise StaleError(f"Model {namespace}/{metadata['name']} was written since it was decided on")

    async def _attempt(self, namespace: str, model: str, actions: Sequence[Action]) -> list[KubeError]:
        room = asyncio.Semaphore(AT_ONCE)

        async def attempt(action: Action) -> KubeError | None:
            async with room:
                aimed_at = self._aimed_at(namespace, action)
                try:
                    await self._act(namespace, model, action)
                except AbsentError as error:
                    self._world.absent(error)
                    if aimed_at and isinstance(error, NoSuchObjectError):
                        # Else a lost event of its deletion would have the same write tried again at once, for ever.
                        self._world.deleted(*aimed_at)
                except KubeError as error:
                    return error
            return None

        outcomes = await asyncio.gather(*map(attempt, actions))
        return [error for error in outcomes if error is not None]

    def _aimed_at(self, namespace: str, action: Action) -> tuple[str, str, str, str] | None:
        """Kind, namespace, name and uid of the object that is to be there already."""
        match action:
            case ReplaceStatus() | Delete():
                return action.kind, namespace, action.name, action.uid
            case Patch():
                known = self._world.known(action.kind, namespace, action.name)
                return (action.kind, namespace, action.name, known["metadata"]["uid"]) if known else None
            case _:
                return None

    async def _act(self, namespace: str, model: str, action: Action) -> None:
        self._fence()
        match action:
            case Create():
                await self._create(namespace, model, action)
            case ReplaceStatus():
                await self._replace_status(namespace, action)
            case Patch():
                await self._patch(namespace, action)
            case Delete():
                await self._delete(namespace, action)
            case _:
                assert_never(action)

    async def _create(self, namespace: str, model: str, action: Create) -> None:
        manifest = _placed(action.manifest, namespace)
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        try:
            self._world.wrote(await self._writer.create(manifest))
        except AlreadyExistsError:
            existing = await self._writer.get(KINDS[kind], namespace, name)
            if _is_ours(existing, model):
                self._world.wrote(existing)
            else:
                self._world.conflict(namespace, model, kind, name)
        except RefusedError as error:
            self._world.refused(namespace, model, kind, name, error.cause)
            raise

    async def _replace_status(self, namespace: str, action: ReplaceStatus) -> None:
        """Write the status of the object with that uid, whatever else of it is written at the same time.

        It is the resourceVersion of a state known to have that uid which keeps the status from a namesake.
        """
        kind = KINDS[action.kind]
        state = self._world.known(action.kind, namespace, action.name)
        for _ in range(STATUS_ATTEMPTS):
            if state is None or state["metadata"]["uid"] != action.uid:
                return  # another object has the name by now, or none; a decision on it will follow
            seen_at = state["metadata"]["resourceVersion"]
            try:
                self._world.wrote(
                    await self._writer.replace_status(kind, namespace, action.name, action.status, seen_at)
                )
                return
            except ConflictError as error:
                conflict = error
                state = await self._writer.get(kind, namespace, action.name)
                self._world.wrote(state)
        raise conflict

    async def _patch(self, namespace: str, action: Patch) -> None:
        kind, body = KINDS[action.kind], action.body
        if action.resource_version:
            metadata = {**(body.get("metadata") or {}), "resourceVersion": action.resource_version}
            body = {**body, "metadata": metadata}
        try:
            self._world.wrote(await self._writer.patch(kind, namespace, action.name, body))
        except ConflictError:  # a write that was long on its way would turn back what was written since
            self._world.wrote(await self._writer.get(kind, namespace, action.name))

    async def _delete(self, namespace: str, action: Delete) -> None:
        kind, uid = KINDS[action.kind], action.uid
        for seen in action.counts_on:
            if not await self._is_as_seen(namespace, seen):
                return
        try:
            left = await self._writer.delete(kind, namespace, action.name, uid, action.resource_version)
        except ConflictError:  # as it is now it may be needed: a Job that has ended keeps its log
            self._learn(namespace, uid, await self._writer.get(kind, namespace, action.name))
            return
        if left.get("kind") == action.kind:  # it waits for finalizers
            self._world.wrote(left)
        else:
            self._world.deleted(action.kind, namespace, action.name, uid)

    async def _publish(self, namespace: str, plan: Plan) -> list[KubeError]:
        errors = []
        for note in plan.events:
            try:
                await self._events.publish(namespace, note)
            except AbsentError as error:  # a namespace that goes away takes no Events
                self._world.absent(error)
            except KubeError as error:
                errors.append(error)
        return errors


def _this_turn(actions: Sequence[Action]) -> tuple[list[Action], list[ReplaceStatus]]:
    """Split off the statuses that are too many for one turn."""
    now: list[Action] = []
    left: list[ReplaceStatus] = []
    statuses = 0
    for action in actions:
        statuses += isinstance(action, ReplaceStatus)
        if isinstance(action, ReplaceStatus) and statuses > STATUSES_A_TURN:
            left.append(action)
        else:
            now.append(action)
    return now, left


def _phases(actions: Sequence[Action]) -> Iterator[tuple[str, list[Action]]]:
    """Split the actions, in their order, into runs whose writes do not depend on each other."""
    for phase, run in groupby(actions, key=_phase):
        if phase == "switch":
            yield from ((phase, [action]) for action in run)
        else:
            yield from ((phase, part) for part in _without_repeats(list(run)))


def _phase(action: Action) -> str:
    match action:
        case Patch(kind="Service"):
            return "switch"
        case ReplaceStatus():
            return "statuses"
        case _:
            return "objects"


def _without_repeats(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """Cut a run where an object is named for the second time: its writes keep their order."""
    part: list[Action] = []
    seen: set[tuple[str, str]] = set()
    for action in actions:
        target = _target(action)
        if target in seen:
            yield part
            part, seen = [], set()
        part.append(action)
        seen.add(target)
    if part:
        yield part


def _target(action: Action) -> tuple[str, str]:
    if isinstance(action, Create):
        return action.manifest["kind"], action.manifest["metadata"]["name"]
    return action.kind, action.name


def _placed(manifest: Obj, namespace: str) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def _is_ours(obj: Obj, model: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY and labels.get(names.LABEL_MODEL) == model
