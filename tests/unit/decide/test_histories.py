"""Random histories, judged at every decision by a reference model of the design (`reference`).

People ask, approve, reject, roll back, withdraw and delete; pods and gates fail; statuses are lost; the process dies
between any two writes, and sees late what others did. `MODELYARD_HISTORIES=1000` tries so many;
a failure prints the history as a program that can be run again.
"""

import marshal
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from modelyard.api.codec import parse_time
from modelyard.decide import decide
from modelyard.decide.snapshot import Snapshot
from tests.unit.decide.histories import Laggard, in_another_order, outline
from tests.unit.decide.ledger import Ledger
from tests.unit.decide.reference import Back, Request, Stage, Wish

STAGES = ("staging", "production")
MOVES = ("Promoted", "RolledBack", "Succeeded", "Undone", "Reconfigured")
VERSIONS = st.sampled_from("12345")
EVALUATE = {"spec": {"containers": [{"name": "evaluate", "image": "example"}]}}
HISTORIES = int(os.environ.get("MODELYARD_HISTORIES", "4"))


THEN = st.tuples(st.sampled_from([16, 16, 8, 3, 1, 0]), st.sampled_from([None, None, None, 0, 1, 2, 3, 5]))
"""How many decisions follow, and after how many writes the process dies at each."""


def happening(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule after which time passes, decisions are made, and the process may die."""

    def wrap(act: Callable[..., None]) -> Any:
        def happen(self: "History", seconds: int, then: tuple[int, int | None], **given: Any) -> None:
            act(self, **given)
            self.cluster.now += timedelta(seconds=seconds)
            for number in range(then[0]):
                self._turn(then[1], turned=number == 0)

        happen.__name__ = act.__name__
        return rule(**drawn, seconds=st.sampled_from([6, 6, 0, 1]), then=THEN)(happen)

    return wrap


class History(RuleBasedStateMachine):
    """One Model, from the beginning."""

    judged = False
    """Whether all that was decided so far was right."""

    @initialize(
        gated=st.booleans(),
        approvals=st.sampled_from([0, 0, 1, 2]),
        recorded=st.booleans(),
        before=st.integers(0, 3),
        bad=st.sets(st.tuples(st.sampled_from(["files", "after", "bytes"]), VERSIONS), max_size=3),
    )
    def begin(self, gated: bool, approvals: int, recorded: bool, before: int, bad: set[tuple[str, str]]) -> None:
        self.cluster = Laggard()
        self.gated, self.required, self.bad = gated, approvals, bad
        self.cluster.bad = {each for each in bad if each[0] != "bytes"}
        self.cluster.ledger = Ledger() if recorded else None
        error = {"error": {"reason": "DigestMismatch", "message": "model.pkl differs", "transient": False}}
        self.cluster.results = {version: [error] * 20 for what, version in bad if what == "bytes"}
        self.stages = {name: Stage() for name in STAGES}
        self.broken_once: set[str] = set()
        self.image, self.paused, self.line, self.lines = "a", False, "", 0
        self.seen_line = ""
        self.void: dict[tuple[str, str], str] = {}
        self.lost = ""
        self.count = 0
        self._edit()
        for version in "123"[:before]:
            for by in ("bob", "carol")[:approvals]:
                self.cluster.approve(by, version)
            self.cluster.version(version)
            self.rest()

    def _edit(self) -> None:
        gates = [{"name": "files", "job": {"template": EVALUATE}, "checks": ["candidate.ok == 1"]}]
        gates += [{**gates[0], "name": "after", "when": "AfterTraffic"}]
        production: dict[str, Any] = {"name": "production", "paused": self.paused}
        production |= {"gates": gates} if self.gated else {}
        production |= {"approvals": {"required": self.required}} if self.required else {}
        production |= {"version": self.line} if self.line else {}
        server = {"spec": {"containers": [{"name": "server", "image": self.image}]}}
        self.cluster.model(
            serving={"template": server, "revisionHistoryLimit": 100}, stages=[{"name": "staging"}, production]
        )

    # What people do

    @happening(
        version=VERSIONS, stage=st.sampled_from(["production", "production", "production", "staging", None, "archived"])
    )
    def ask(self, version: str, stage: str | None) -> None:
        known = self.cluster.objects.get(("ModelVersion", f"fraud-{version}"))
        annotations = known["metadata"]["annotations"] if known else {}
        self.cluster.version(version, stage=stage, annotations=annotations)

    @happening(version=VERSIONS)
    def ask_anew(self, version: str) -> None:
        if ("ModelVersion", f"fraud-{version}") in self.cluster.objects:
            self.count += 1
            self.cluster.annotate(version, request=str(self.count))

    @happening(version=VERSIONS)
    def delete(self, version: str) -> None:
        if ("ModelVersion", f"fraud-{version}") in self.cluster.objects:
            self.cluster.delete("ModelVersion", f"fraud-{version}")

    @happening(version=VERSIONS, by=st.sampled_from(["bob", "carol"]), reject=st.sampled_from(["", "", "no"]))
    def approve(self, version: str, by: str, reject: str) -> None:
        self.cluster.now += timedelta(seconds=1)
        self.cluster.approve(by, version, reject=reject)

    @happening(to=st.one_of(st.none(), st.none(), VERSIONS), stage=st.sampled_from(STAGES))
    def roll_back(self, to: str | None, stage: str) -> None:
        self.count += 1
        self.cluster.now += timedelta(seconds=1)
        self.cluster.rollback(f"back-{self.count}", to, stage)

    @happening(image=st.sampled_from("ab"))
    def change_template(self, image: str) -> None:
        self.image = image
        self._edit()

    @happening(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.paused = paused
        self._edit()

    @happening(version=st.sampled_from(["", "1", "2", "3"]))
    def name_version(self, version: str) -> None:
        self.line = version
        self._edit()

    # What happens

    @happening(version=VERSIONS)
    def break_or_mend(self, version: str) -> None:
        self.broken_once.add(version)
        self.cluster.broken ^= {version}

    @happening(
        kind=st.sampled_from(
            ["Model", "ModelVersion", "Approval", "Rollback", "Deployment", "Pod", "Job", "EndpointSlice"]
        )
    )
    def fall_behind(self, kind: str) -> None:
        self.cluster.fall_behind(kind)

    @happening()
    def catch_up(self) -> None:
        self.cluster.catch_up()

    @happening(long=st.sampled_from([1, 60, 700, 4000]))
    def wait(self, long: int) -> None:
        self.cluster.now += timedelta(seconds=long)

    @precondition(lambda self: self.cluster.ledger is None)
    @rule(what=st.sampled_from([("Model",), ("ModelVersion",), ("Rollback",), ("Model", "ModelVersion", "Rollback")]))
    def lose_status(self, what: tuple[str, ...]) -> None:
        self.rest()
        for kind, name in list(self.cluster.objects):
            if kind in what:
                self.cluster.wipe_status(kind, name)
        if "Model" in what:
            self.lost = "Model" if len(what) == 1 else "all"
            self.cluster.forget_sequences()
        elif "ModelVersion" in what:
            self._forget_ends()

    def _forget_ends(self) -> None:
        """Nobody knows any more how those requests ended that only the versions had on record."""
        for name, stage in self.stages.items():
            shown = next(each for each in self.cluster.status("Model", "fraud")["stages"] if each["name"] == name)
            known = {(each["version"], each["place"]) for each in shown.get("requests", ())}
            stage.requests = [each for each in stage.requests if not each.ended or (each.version, each.place) in known]

    @rule()
    def rest(self) -> None:
        """Everything becomes known and ends; what is owed was done."""
        self.cluster.catch_up()
        for seconds in (0, 6, 700, 700, 700):
            self.cluster.now += timedelta(seconds=seconds)
            for _ in range(60):
                if not self._turn(None):
                    break
            else:
                raise AssertionError(f"does not come to rest: {self.cluster.plans[-1]}")
        assert decide(self.cluster.snapshot(), self.cluster.now).is_empty
        self._owed()

    def teardown(self) -> None:
        if self.judged:
            self.rest()

    # How it is judged

    def _turn(self, writes: int | None, *, turned: bool = False) -> bool:
        before = marshal.dumps(self.cluster.objects)
        seen, plan, committed = self.cluster.turn(writes)
        if turned:
            other = outline(decide(in_another_order(seen), self.cluster.now))
            for part, same in zip(other, outline(plan), strict=True):
                assert part == same, "what became known in another order is decided otherwise"
        if committed and plan.commit is not None:
            self.judged = False
            self._follow(seen, dict(plan.commit.status))
            self.judged = True
        self.cluster.play()
        if self.cluster.ledger:
            self.cluster.ledger.drain(self.cluster.objects.get(("Model", "fraud")), self.cluster.now)
        return not plan.is_empty or marshal.dumps(self.cluster.objects) != before

    def _follow(self, seen: Snapshot, status: dict[str, Any]) -> None:
        if self.lost:
            self._recovered(seen, status)
            return
        fresh = not ((seen.model or {}).get("status") or {}).get("stages")
        for name, stage in self.stages.items():
            shown = next(each for each in status["stages"] if each["name"] == name)
            self._look(name, stage, seen, fresh=fresh)
            self._fail(name, stage, shown, seen)
            if stage.trial and stage.current in _good(shown):  # and moves on in the same decision
                self._passed(stage)
            if _is_bound(stage, shown):  # and moves on in the same decision
                stage.bind()
            for line in _moves(name, stage, status):
                self._move(name, stage, line, seen)
            self._settle(stage, shown)
            self._compare(name, stage, shown)

    def _look(self, name: str, stage: Stage, seen: Snapshot, *, fresh: bool) -> None:
        backs = [_back(obj) for obj in sorted(seen.rollbacks, key=_age) if obj["spec"]["stage"] == name]
        for version in stage.look(self._wishes(name, seen), backs, fresh=fresh, told=_highest_told(seen, name)):
            self.void[name, version] = self.cluster.now.isoformat()

    def _wishes(self, name: str, seen: Snapshot) -> list[Wish]:
        line = next((each.get("version", "") for each in _stages(seen) if each["name"] == name), "")
        if name == "production" and line != self.seen_line:
            self.seen_line, self.lines = line, self.lines + 1
        if line:
            return [Wish(f"line/{self.lines}", line)]
        versions = [obj for obj in seen.versions.values() if obj["spec"].get("stage") == name]
        return [Wish(_key(obj), obj["spec"]["version"], at_creation=_is_new(obj)) for obj in versions]

    def _fail(self, name: str, stage: Stage, shown: dict[str, Any], seen: Snapshot) -> None:
        for each in shown.get("requests", ()):
            request = _find(stage, each)
            if each.get("ended") not in ("Failed", "Rejected") or request is None or request.ended:
                continue
            version = request.version
            if each["ended"] == "Rejected":
                assert self._rejects(seen, version), f"{version} was rejected by nobody"
                self.void[name, version] = self.cluster.now.isoformat()
            else:
                assert version in self.broken_once | {v for _, v in self.bad}, f"{version} failed: {each}"
            if stage.request is request:
                assert ("after", version) in self.bad
                stage.undo, stage.trial = True, False
            request.ended = each["ended"]

    def _rejects(self, seen: Snapshot, version: str) -> bool:
        return any(a["spec"]["version"] == version and a["spec"]["decision"] == "Reject" for a in seen.approvals)

    def _move(self, name: str, stage: Stage, line: dict[str, Any], seen: Snapshot) -> None:
        to = (line["to"]["version"], line["to"]["revision"])
        assert line["sequence"] == stage.sequence + 1
        gated = self.gated and name == "production"
        if line["type"] == "Promoted":
            refused = {("bytes", to[0])} | ({("files", to[0])} if gated else set())
            assert not refused & self.bad, f"{to[0]} is not good enough"
            production = next(each for each in _stages(seen) if each["name"] == name)
            assert not production.get("paused"), "the stage is paused"
            self._is_approved(name, to[0], seen)
        if line["type"] == "Undone" and stage.trial and stage.request and stage.request.ended == "Withdrawn":
            self._undone(stage)  # nobody asks for it any more, so no request says Failed
        deployment = seen.deployments[f"fraud-{name}-{to[1]}"]
        assert deployment["status"]["readyReplicas"] >= 1, "no pod is ready"
        stage.move(line["type"], to, tried=gated)

    def _is_approved(self, name: str, version: str, seen: Snapshot) -> None:
        if name != "production" or not self.required:
            return
        since = self.void.get((name, version), "")
        by = {
            obj["metadata"]["annotations"]["modelyard.dev/requested-by"]
            for obj in seen.approvals
            if obj["spec"]["version"] == version and obj["spec"]["decision"] == "Approve"
            if parse_time(obj["metadata"]["creationTimestamp"]).isoformat() > since
        }
        assert len(by) >= self.required, f"{version}: only {by} approved"

    def _settle(self, stage: Stage, shown: dict[str, Any]) -> None:
        """What a stage learns by itself: a request stands behind what serves, a trial ends, a target was lost."""
        if stage.pending and stage.pending.uid != shown.get("rollback", {}).get("uid"):
            assert self.broken_once, "the Rollback was given up"
            stage.backs[stage.pending.uid], stage.pending = "Refused", None
        current = shown.get("current", {})
        if current.get("place", 0) > stage.place or (stage.request is None and current.get("requestID")):
            stage.bind()
        if stage.trial and stage.current and not current.get("onTrial"):
            if current.get("undo"):
                self._undone(stage)
            else:
                self._passed(stage)
        for lost in set(stage.good) - _good(shown):
            assert lost[0] in self.broken_once, f"{lost} is not good any more"
            del stage.good[lost]
        for each in shown.get("requests", ()):  # replaced on trial: nothing can go back to it
            request = _find(stage, each)
            if each.get("ended") != "Superseded" or request is None or request.ended or request is stage.request:
                continue
            if request.served:
                assert request.version not in {version for version, _ in stage.good}, f"{request} stands by"
                request.ended = "Superseded"

    def _undone(self, stage: Stage) -> None:
        assert stage.current
        assert ("after", stage.current[0]) in self.bad, f"{stage.current} was undone for nothing"
        stage.trial, stage.undo = False, True

    def _passed(self, stage: Stage) -> None:
        assert stage.current
        assert ("after", stage.current[0]) not in self.bad, f"{stage.current} passed its trial"
        stage.trial, stage.good[stage.current] = False, (stage.place, stage.sequence)

    def _compare(self, name: str, stage: Stage, shown: dict[str, Any]) -> None:
        current = shown.get("current")
        served = (current["version"], current["revision"]) if current else None
        assert served == stage.current, f"{name} serves {served}, not {stage.current}"
        assert shown.get("sequence", 0) == stage.sequence
        assert _good(shown) == set(stage.good), f"{name}: good are {_good(shown)}, not {set(stage.good)}"
        told = {(each["version"], each["place"]): each.get("ended", "") for each in shown.get("requests", ())}
        known = {(request.version, request.place): request.ended for request in stage.requests}
        standing = {at for at, ended in told.items() if not ended}
        assert standing == {at for at, ended in known.items() if not ended}, f"{name}: {told}, not {known}"
        assert {k: known.get(k) for k in told} == told
        assert (stage.pending.uid if stage.pending else None) == shown.get("rollback", {}).get("uid")

    def _recovered(self, seen: Snapshot, status: dict[str, Any]) -> None:
        """The status was lost and is there again: pointers and ends are as they were, or have moved on by now."""
        alone, self.lost = self.lost == "Model", ""
        for name, stage in self.stages.items():
            shown = next(each for each in status["stages"] if each["name"] == name)
            current = shown.get("current", {})
            if moves := _moves(name, stage, status):
                self._look(name, stage, seen, fresh=True)
                for line in moves:
                    self._move(name, stage, line, seen)
            assert (current.get("version"), current.get("revision")) == (stage.current or (None, None))
            assert shown.get("sequence", 0) == stage.sequence
            wished = {wish.key for wish in self._wishes(name, seen)}
            opened = {_request_key(each, self.lines) for each in shown.get("requests", ()) if not each.get("ended")}
            told = {version for version, (at, _) in _told(seen).items() if at == name}
            for request in stage.requests:
                known = request.version in told or not request.ended
                if request.key in wished and known and alone and not request.key.startswith("line/"):
                    assert (request.key in opened) == (not request.ended), f"{name}: {request}"
            backs = [obj["metadata"]["uid"] for obj in seen.rollbacks if obj["spec"]["stage"] == name]
            again = self.stages[name] = _read(shown, self.lines, backs)
            if alone:  # versions have it on record how their requests ended; nobody has, of those of the Model's line
                known = {request.key for request in again.requests}
                ended = (each for each in stage.requests if each.ended and not each.key.startswith("line/"))
                again.requests += [each for each in ended if each.key not in known]

    def _owed(self) -> None:
        """Everything has come to rest, and nothing more is going to happen by itself."""
        for name, stage in self.stages.items():
            assert stage.pending is None, "a Rollback waits"
            service = self.cluster.objects.get(("Service", f"fraud-{name}"))
            if stage.current is None:
                assert service is None
            else:
                assert service
                assert service["spec"]["selector"]["modelyard.dev/revision"] == stage.current[1]
            paused = name == "production" and self.paused
            newest = max(stage.open, key=lambda request: request.place, default=None)
            if newest and newest.place > stage.place and not paused:
                self._waits_for_somebody(name, newest)
            wants = {obj["metadata"]["uid"]: obj["spec"].get("stage", "") for obj in self._of("ModelVersion")}
            if stage.is_withdrawn(wants, STAGES[STAGES.index(name) + 1 :]) and not paused:
                fit = [each for each in stage.successors() if each[0] not in self.broken_once]
                assert not fit, f"{fit} should have followed"
            if stage.undo:
                assert not [each for each in stage.targets() if each[0] not in self.broken_once], "not undone"
        if self.cluster.ledger:
            moves = [(r.stage, r.sequence) for r in self.cluster.ledger.records if r.type in MOVES]
            assert sorted(moves) == sorted(
                (n, s + 1) for n, stage in self.stages.items() for s in range(stage.sequence)
            )

    def _waits_for_somebody(self, name: str, newest: Request) -> None:
        """The newest request is not held up by anything but people."""
        if ("ModelVersion", f"fraud-{newest.version}") not in self.cluster.objects:
            assert newest.key.startswith("line/")
            return
        step, reason = self.cluster.request(newest.version)
        assert (name, self.required > 0, step) == ("production", True, "AwaitingApproval"), (newest, step, reason)

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [obj for (k, _), obj in self.cluster.objects.items() if k == kind]


def _request_key(shown: dict[str, Any], line: int) -> str:
    if shown["source"] == "Model":
        return f"line/{line}"
    return shown["id"] if shown["id"].count("/") == 2 else f"{shown['id']}/"


def _is_bound(stage: Stage, shown: dict[str, Any]) -> bool:
    """Whether a new request for the very version that serves stands behind it by now, and did so before any move."""
    if stage.pending:
        return False  # to another revision of that version it goes back first
    behind = [_find(stage, each) for each in shown.get("requests", ()) if each.get("served")]
    new = [request for request in behind if request and not request.served and not request.ended]
    return stage.current is not None and any(request.version == stage.current[0] for request in new)


def _moves(name: str, stage: Stage, status: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of the Model's history that are new to the reference."""
    lines: list[dict[str, Any]] = status.get("transitions", [])
    moves = (line for line in lines if line["stage"] == name and line["type"] in MOVES)
    return [line for line in moves if line["sequence"] > stage.sequence]


def _read(shown: dict[str, Any], line: int, backs: list[str]) -> Stage:
    """A stage as it is after its status was lost."""
    stage = Stage(sequence=shown.get("sequence", 0), last_place=shown.get("lastPlace", 0))
    for each in shown.get("requests", ()):
        key = _request_key(each, line)
        stage.requests.append(
            Request(key, each["version"], each["place"], each.get("served", False), each.get("ended", ""))
        )
        if each["id"] == shown.get("current", {}).get("requestID"):
            stage.request = stage.requests[-1]
    for each in shown.get("revisions", ()):
        if each.get("good"):
            stage.good[each["version"], each["hash"]] = (each.get("place", 0), each.get("sequence", 0))
    if current := shown.get("current"):
        stage.current, stage.place = (current["version"], current["revision"]), current.get("place", 0)
        stage.trial, stage.undo = current.get("onTrial", False), "undo" in current
    stage.backs = dict.fromkeys(backs, "Refused")
    return stage


def _told(seen: Snapshot) -> dict[str, tuple[str, int]]:
    """The stage and the place of the one request that each version has on record."""
    requests = {
        obj["spec"]["version"]: (obj.get("status") or {}).get("request") or {} for obj in seen.versions.values()
    }
    return {version: (request.get("stage", ""), int(request.get("place", 0))) for version, request in requests.items()}


def _highest_told(seen: Snapshot, stage: str) -> int:
    """The highest place at a stage that a version has on record."""
    return max((place for at, place in _told(seen).values() if at == stage), default=0)


def _stages(seen: Snapshot) -> list[dict[str, Any]]:
    assert seen.model is not None
    found: list[dict[str, Any]] = seen.model["spec"]["stages"]
    return found


def _good(shown: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["version"], each["hash"]) for each in shown.get("revisions", ()) if each.get("good")}


def _key(obj: Any) -> str:
    metadata = obj["metadata"]
    return f"{metadata['uid']}/{metadata['generation']}/{metadata['annotations'].get('modelyard.dev/request', '')}"


def _is_new(obj: Any) -> bool:
    return obj["metadata"]["generation"] == 1 and "modelyard.dev/request" not in obj["metadata"]["annotations"]


def _find(stage: Stage, shown: dict[str, Any]) -> Request | None:
    same = (
        request for request in stage.requests if (request.version, request.place) == (shown["version"], shown["place"])
    )
    return next(same, None)


def _back(obj: Any) -> Back:
    return Back(obj["metadata"]["uid"], obj["spec"].get("toVersion"))


def _age(obj: Any) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["uid"]


TestHistories = History.TestCase
TestHistories.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=25,
    deadline=None,
    derandomize="MODELYARD_HISTORIES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def test_requests_whose_places_were_lost_with_the_status_return_in_their_own_order() -> None:
    cluster = Laggard()
    cluster.model()
    for version in "321":
        cluster.version(version, stage="staging")
        cluster.settle(10)
    cluster.wipe_status("Model", "fraud")
    seen = cluster.snapshot()
    assert outline(decide(in_another_order(seen), cluster.now)) == outline(decide(seen, cluster.now))
