"""What happened and is not known to be in the ledger yet.

Entries are put into the Model's status by the very write that commits what they tell (`advance`), so neither can be
there without the other. The operator's process appends them to the chain in their order, at its leisure, and tells how
far it has come (`Snapshot.ledger`); they leave the status with the next write that is due anyway.

The ledger's store may be down for long, and a status cannot grow for ever. Of what waits here:

    up to 48    registrations, verifications, approvals, ended requests (afterwards they wait where they are)
    up to 64    promotions and changed templates (afterwards they wait: LedgerUnavailable)
    up to 80    rollbacks, undos and successions

What is told of an object (a version, an Approval) is marked in that object's status, and stays here until the mark is
seen: so nothing is told twice, whichever write the process dies between. Without a ledger nothing is done here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelyard.api import codec
from modelyard.api.reasons import ApprovalReason, ModelReason, VersionReason
from modelyard.decide import approvals, chronicle, marks
from modelyard.decide.podspec import compact
from modelyard.decide.snapshot import Obj
from modelyard.decide.state import Cause, LedgerState, ModelState, StageState, Standing, Step, Transition
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World, end_of
from modelyard.ledger.memory import Memory
from modelyard.ledger.records import RecordType

PATIENT_LIMIT = 48
LIMIT = 64
RESERVE = 16
CHARACTERS = 400_000
"""An object in etcd takes 1.5 million. Only a rollback or an undo is put in beyond it: those entries are short."""
EFFECTIVE_WITHIN = timedelta(seconds=60)
"""How long an entry waits for the moment when all traffic had moved, which it is then told with."""
DELETIONS_KEPT = 32
"""Versions whose deletion is remembered as told: more than go between two leaders' looks at a Model."""

_TOLD_WITH_MOVES = frozenset({Step.ROLLED_BACK, Step.SUPERSEDED})
"""Ends of requests that the next move of their stage tells. The others have entries of their own."""

Item = Mapping[str, Any]


def advance(
    world: World,
    before: ModelState,
    state: ModelState,
    transitions: Iterable[Transition],
    verdicts: Mapping[str, Verdict],
    *,
    adopted: Memory | None = None,
) -> ModelState:
    """Put in what happened in this decision, and whatever else is not told yet, as far as there is room.

    `adopted`: the record of another cluster, which this one goes on with from here.
    """
    if world.seen.ledger is None:
        return state
    box = _Box(world, _pruned(world, _begun(world, state)))
    if adopted:
        box.add(chronicle.of_adoption(world, adopted))
    box.add_objects(verdicts)
    for name, stage in state.stages.items():
        box.add_disappearances(before.stages.get(name), stage)
    state = replace(state, stages={name: box.add_ends(stage) for name, stage in state.stages.items()})
    for name, stage in state.stages.items():
        box.add_confirmation(before.stages.get(name), stage)
    for moved in transitions:
        state = state.with_stage(box.add_move(before.stages.get(moved.stage), state, moved))
    return replace(state, ledger=_with_effective_times(box.ledger, state))


def hold(world: World, cause: Cause) -> Standing | None:
    """Why a stage's pointer may not move now, because there is no room to record it; None when it may."""
    ledger = world.memory.ledger
    if world.seen.ledger is None or ledger is None:
        return None
    waiting = _waiting(world, ledger)
    patient = cause in (Cause.PROMOTED, Cause.RECONFIGURED)
    if patient and world.seen.ledger.reason == ModelReason.CHAIN_ADOPTED:
        return Standing(Step.HELD, VersionReason.CHAIN_ADOPTED, world.seen.ledger.problem)
    if cause == Cause.PROMOTED and any(item["entry"]["type"] == RecordType.ADOPTED for item in waiting):
        text = "the Model's chain is not taken over in the ledger yet"
        return Standing(Step.HELD, VersionReason.LEDGER_UNAVAILABLE, f"{text}: {world.seen.ledger.problem or 'soon'}")
    if len(waiting) < (LIMIT if patient else LIMIT + RESERVE) and not (patient and _characters(waiting) > CHARACTERS):
        return None
    text = (
        f"{len(waiting)} records wait for the ledger, and no more are taken on before it can be written: "
        f"{world.seen.ledger.problem or 'they are being appended'}"
    )
    return Standing(Step.HELD, VersionReason.LEDGER_UNAVAILABLE, text)


def keeps(world: World, ended: str, recorded: bool | None) -> bool:
    """Whether an ended request has to be remembered because it was not told yet."""
    awaited = ended in chronicle.ENDS or ended == Step.ROLLED_BACK  # by the stage's next move
    return world.seen.ledger is not None and not recorded and awaited


def ready(status: Obj, now: datetime, clock_set_forth_at: datetime | None = None) -> tuple[list[Item], datetime | None]:
    """The items of a Model's status that may be appended, in order, and when to look again at the rest.

    Asked by whoever appends. A move whose traffic is still on its way is waited for a little.
    """
    items = list((status.get("ledger") or {}).get("outbox") or ())
    for index, item in enumerate(items):
        entry = item["entry"]
        if not entry.get("sequence") or entry.get("effectiveAt") or _moved_since(entry, items[index + 1 :]):
            continue
        until = end_of(EFFECTIVE_WITHIN, codec.parse_time(entry["at"]), clock_set_forth_at)
        if now < until:
            return items[:index], until
    return items, None


def is_same(status: Obj, before: Obj) -> bool:
    """Whether a Model's status says nothing new: that entries have arrived in the chain is no reason for a write."""
    if status == before:
        return True
    new, old = status.get("ledger"), before.get("ledger")
    if new is None or old is None or new["count"] != old["count"]:
        return False
    arrived = len(old.get("outbox") or ()) - len(new.get("outbox") or ())
    left = (old.get("outbox") or [])[arrived:]
    same = left == list(new.get("outbox") or ())
    return same and {**status, "ledger": None} == {**before, "ledger": None}


def condition(world: World) -> tuple[bool, str, str]:
    """The Model's LedgerSynced: status, reason, message."""
    seen = world.seen.ledger
    if seen is None:
        text = "no ledger is configured; the last 50 transitions are kept in status.transitions only"
        return False, ModelReason.LEDGER_NOT_CONFIGURED, text
    if seen.problem:
        text = f"records wait in status.ledger.outbox and are appended as soon as that is possible: {seen.problem}"
        if seen.reason == ModelReason.CHAIN_ADOPTED:
            text = f"what serves serves on, nothing is promoted, and rollbacks act and are not recorded: {seen.problem}"
        return False, ModelReason(seen.reason), text
    return True, ModelReason.LEDGER_SYNCED, "every record is in the ledger or on its way there"


class _Box:
    """The outbox while entries are put in."""

    def __init__(self, world: World, ledger: LedgerState) -> None:
        self._world = world
        self.ledger = ledger
        waiting = _waiting(world, ledger)
        self._count = len(waiting)
        self._characters = _characters(waiting)

    def add(self, entry: chronicle.Entry, subject: str = "", mark: str = "") -> None:
        """Put an entry in, in whatever state the box is: what it tells is committed by the same write."""
        count = self.ledger.count + 1
        about = {"subject": subject, "mark": mark} if subject else {}
        item = {"ordinal": count, **about, "entry": entry}
        self.ledger = replace(self.ledger, count=count, outbox=(*self.ledger.outbox, item))
        self._count += 1
        self._characters += len(compact(item))

    def marks(self, obj: Obj) -> set[str]:
        """What was told of an object, here included."""
        return set((obj.get("status") or {}).get("recorded") or ()) | marks.told_of(self.ledger, obj)

    def add_objects(self, verdicts: Mapping[str, Verdict]) -> None:
        """Registrations, verifications and deletions of versions, and approvals. Who is deleted cannot wait."""
        for version in sorted(self._world.versions.values(), key=lambda v: (v.created, v.name)):
            verdict = verdicts[version.version]
            for mark in marks.due_of(verdict):
                if mark not in self.marks(version.obj) and self._has_room():
                    registered = mark == "Registered"
                    entry = (
                        chronicle.of_registration(self._world, version)
                        if registered
                        else chronicle.of_verdict(self._world, version, verdict)
                    )
                    self.add(entry, version.uid, mark)
        for obj in self._world.seen.deleted:
            self._add_deletion(chronicle.of_deletion(self._world, Version(obj)), obj["metadata"]["uid"])
        for finding in _decisions(self._world, verdicts):
            mark = str(finding.obj["spec"]["decision"])
            if mark not in self.marks(finding.obj) and self._has_room():
                self.add(chronicle.of_approval(self._world, finding), finding.obj["metadata"]["uid"], mark)

    def add_disappearances(self, before: StageState | None, stage: StageState) -> None:
        """Versions that asked for the stage and are gone, also while no process looked."""
        here = {version.uid for version in self._world.versions.values()}
        stood = {request.id for request in before.open_requests} if before else set()
        for request in stage.requests:
            taken_back = request.id in stood and request.ended == Step.WITHDRAWN
            if taken_back and request.source == "ModelVersion" and request.uid not in here:
                self._add_deletion(chronicle.of_disappearance(self._world, request), request.uid)

    def _add_deletion(self, entry: chronicle.Entry, uid: str) -> None:
        before = self._world.memory.ledger  # where its entry stands, though it may be about to leave
        waits = before is not None and any((i.get("subject"), i.get("mark")) == (uid, "Deleted") for i in before.outbox)
        if not waits and uid not in self.ledger.deleted:
            self.add(entry, uid, "Deleted")
            self.ledger = replace(self.ledger, deleted=(*self.ledger.deleted, uid)[-DELETIONS_KEPT:])

    def add_ends(self, stage: StageState) -> StageState:
        """Requests that ended and were not told yet."""
        for request in stage.requests:
            if request.ended in chronicle.ENDS and not request.recorded and self._has_room():
                self.add(chronicle.of_end(self._world, stage.name, request))
                stage = stage.with_request(replace(request, recorded=True))
        return stage

    def add_confirmation(self, before: StageState | None, after: StageState) -> None:
        """That what had taken the stage passed its AfterTraffic gates."""
        tried = before.current if before and before.current and before.current.on_trial else None
        revision = after.revision(tried.revision) if tried else None
        if tried and revision and revision.good:
            self.add(chronicle.of_confirmation(self._world, after, tried))

    def add_move(self, before: StageState | None, state: ModelState, moved: Transition) -> StageState:
        """A move of a stage with the requests that ended by then, or a switch by hand."""
        stage = state.stages[moved.stage]
        version = self._world.versions.get(moved.to.version) if moved.to else None
        last = stage.current if stage.current and stage.current.sequence == moved.sequence else None
        ended = tuple(r for r in stage.requests if last and r.ended in _TOLD_WITH_MOVES and not r.recorded)
        move = chronicle.Move(
            moved,
            previous=before.current if before else None,
            rollback=_rollback(self._world, state, moved),
            registered=version is not None and "Registered" in self.marks(version.obj),
            current=last,
            ended=ended,
        )
        self.add(chronicle.of_move(self._world, move))
        for request in ended:
            stage = stage.with_request(replace(request, recorded=True))
        return stage

    def _has_room(self) -> bool:
        return self._count < PATIENT_LIMIT and self._characters < CHARACTERS / 2


def _begun(world: World, state: ModelState) -> LedgerState:
    """What is remembered of the ledger; the first time the history from before is put in."""
    if state.ledger is not None:
        return state.ledger
    box = _Box(world, LedgerState())
    for line in world.memory.transitions:
        box.add(chronicle.of_history(world, line))
    return box.ledger


def _pruned(world: World, ledger: LedgerState) -> LedgerState:
    """Without the entries that are in the chain and whose objects bear the mark, as far as none before them stays."""
    appended = world.seen.ledger.appended if world.seen.ledger else {}
    known = {version.uid: version.obj for version in world.versions.values()}
    known |= {obj["metadata"]["uid"]: obj for obj in world.seen.approvals}
    items = list(ledger.outbox)
    while items and items[0]["ordinal"] in appended:
        obj = known.get(items[0].get("subject", ""))
        if obj and items[0]["mark"] not in ((obj.get("status") or {}).get("recorded") or ()):
            break
        number, sha256 = appended[items.pop(0)["ordinal"]]
        ledger = replace(ledger, number=number, sha256=sha256)
    return replace(ledger, outbox=tuple(items))


def _with_effective_times(ledger: LedgerState, state: ModelState) -> LedgerState:
    current = {(name, s.current.sequence): s.current for name, s in state.stages.items() if s.current}
    items = list(ledger.outbox)
    for index, item in enumerate(items):
        entry = item["entry"]
        pointer = current.get((entry.get("stage", ""), entry.get("sequence", 0)))
        if pointer and pointer.effective_since and "effectiveAt" not in entry:
            at = codec.format_time(pointer.effective_since)
            items[index] = {**item, "entry": {**entry, "effectiveAt": at}}
    return replace(ledger, outbox=tuple(items))


def _waiting(world: World, ledger: LedgerState) -> list[Item]:
    """The entries that are not in the chain, as far as is known."""
    appended = world.seen.ledger.appended if world.seen.ledger else {}
    return [item for item in ledger.outbox if item["ordinal"] not in appended]


def _characters(items: Iterable[Item]) -> int:
    return sum(len(compact(item)) for item in items)


def _rollback(world: World, state: ModelState, moved: Transition) -> str:
    """Name of the Rollback that brought a move about; empty for none."""
    stage = state.stages.get(moved.stage)
    handled = stage.handled_rollbacks if stage and moved.type == Cause.ROLLED_BACK else ()
    uid = next((each.uid for each in handled if each.sequence == moved.sequence), "")
    return next((str(o["metadata"]["name"]) for o in world.seen.rollbacks if o["metadata"]["uid"] == uid), "")


def _moved_since(entry: Mapping[str, Any], later: Iterable[Item]) -> bool:
    return any(item["entry"].get("stage") == entry["stage"] and item["entry"].get("sequence") for item in later)


def _decisions(world: World, verdicts: Mapping[str, Verdict]) -> Iterator[Any]:
    """Approvals that count, and Rejects that do."""
    specs = {stage.name: stage for stage in world.stages}
    for version, stage in world.approvals:
        known, spec = world.versions.get(version), specs.get(stage)
        if known is None or spec is None or not verdicts[version].passed:
            continue
        asking = [r for r in world.memory.stages[stage].requests if r.version == version]
        request = max(asking, key=lambda r: r.place, default=None)
        for finding in approvals.tally(world, spec, request, known, verdicts[version].digest).findings:
            if finding.reason in (ApprovalReason.COUNTED, ApprovalReason.REJECTED):
                yield finding
