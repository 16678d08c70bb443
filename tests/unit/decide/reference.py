"""What stages do, written from the design's semantics alone and not from the code: the judge of `test_histories`.

It is told what an operator could see at each decision, which pointer moved and what failed, says whether that was
allowed, and what follows: who serves, and which requests have ended and how. It knows nothing of Jobs, pods, Services
or times; when all of them have come to rest, it says what should have happened and did not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelyard.api.ordering import natural_key


@dataclass
class Request:
    """A standing wish."""

    key: str
    version: str
    place: int
    served: bool = False
    ended: str = ""


@dataclass(frozen=True)
class Wish:
    """What is asked of a stage now; `key` changes when it is asked anew."""

    key: str
    version: str
    at_creation: bool = False


@dataclass(frozen=True)
class Back:
    """A Rollback."""

    uid: str
    to: str | None


Revision = tuple[str, str]
"""A version and what it was made with."""


@dataclass
class Stage:
    """One stage."""

    current: Revision | None = None
    place: int = 0
    request: Request | None = None
    sequence: int = 0
    last_place: int = 0
    requests: list[Request] = field(default_factory=list)
    good: dict[Revision, tuple[int, int]] = field(default_factory=dict)
    """With place and sequence of when it last took the stage."""
    backs: dict[str, str] = field(default_factory=dict)
    """Rollbacks that were handled."""
    pending: Back | None = None
    pending_place: int = 0
    trial: bool = False
    undo: bool = False

    @property
    def open(self) -> list[Request]:
        """Requests that can still carry the stage."""
        return [request for request in self.requests if not request.ended]

    def look(self, wishes: Iterable[Wish], backs: Iterable[Back], *, fresh: bool = False, told: int = 0) -> set[str]:
        """Take in what is asked now (4, 8); the versions whose approvals are void from now on.

        `told`: the highest place that a version has on record, which a stage whose status was lost may not know.
        """
        asked = {wish.key: wish for wish in wishes}
        for request in self.open:
            if request.key not in asked:
                request.ended = "Withdrawn"
        known = {request.key for request in self.requests}
        new = [wish for wish in asked.values() if wish.key not in known]
        self.last_place = max(self.last_place, told) if new else self.last_place
        for wish in sorted(new, key=lambda wish: natural_key(wish.version)):
            self.last_place += 1
            request = Request(wish.key, wish.version, self.last_place)
            older = self.current and natural_key(wish.version) < natural_key(self.current[0])
            request.ended = "Superseded" if older and wish.at_creation else ""
            self.requests.append(request)
        if new and not self.sequence:
            places = sorted(request.place for request in self.open)
            ordered = sorted(self.open, key=lambda request: natural_key(request.version))
            for request, place in zip(ordered, places, strict=True):
                request.place = place
        return {version for back in backs if back.uid not in self.backs for version in self._accept(back, fresh)}

    def _accept(self, back: Back, fresh: bool) -> set[str]:
        if self.pending and self.pending.uid == back.uid:
            return set()
        targets = self.targets(back)
        if fresh or self.current is None or back.to == self.current[0] or not targets:
            self.backs[back.uid] = "Refused"
            return set()
        if self.pending:
            self.backs[self.pending.uid] = "Refused"
        left = {request.version for request in self.open} | {self.current[0]}
        self.last_place += 1
        self.pending, self.pending_place = back, self.last_place
        for request in self.open:
            if request.version != targets[0][0]:
                request.ended = "RolledBack"
        return left - {targets[0][0]}

    def targets(self, back: Back | None = None) -> list[Revision]:
        """What a stage can go back to, best first: placed before the incumbent, or named."""
        at = self.good.get(self.current or ("", ""), (self.place, self.sequence))
        others = [each for each in self.good if each != self.current]
        fit = [
            each for each in others if (self.good[each] < at if back is None or back.to is None else each[0] == back.to)
        ]
        return sorted(
            fit,
            key=lambda each: self.good[each] if back is None or back.to is None else self.good[each][1:],
            reverse=True,
        )

    def move(self, cause: str, to: Revision, *, tried: bool) -> None:
        """The pointer moves (5 to 10). `tried`: AfterTraffic gates are asked about what is new."""
        before = self.current
        standing = [request for request in self.open if request.version == to[0]]
        request = max(standing, key=lambda request: request.place, default=None)
        place = request.place if request else self.good.get(to, (0, 0))[0]
        if cause == "Promoted":
            assert request, f"nobody asks for {to}"
            assert request.place > self.place, f"{to} is placed before what serves"
        if cause == "RolledBack":
            assert self.pending, "no Rollback"
            assert to in self.targets(self.pending), f"{to} was not good here"
        if cause == "Succeeded":
            assert self.successors()[:1] == [to], f"{to} does not follow: {self.successors()}"
        if cause == "Undone":
            assert self.undo, "nothing said no"
            assert to in self.targets(), f"{to} was not good here"
        if cause == "Reconfigured":
            assert before, "nothing serves"
            assert before[0] == to[0], "another version"
            place, request = self.place, self.request
        if before and cause not in ("Promoted", "Reconfigured"):
            self.good.pop(before, None)
        if self.pending and (cause == "RolledBack" or place > self.pending_place):
            self.backs[self.pending.uid] = "Applied" if cause == "RolledBack" else "Refused"
            self.pending = None
        self.sequence += 1
        self.current, self.place, self.request = to, place, request if request and not request.ended else None
        self.trial, self.undo = tried and cause in ("Promoted", "Reconfigured"), False
        self.good.pop(to, None)
        if not self.trial:
            self.good[to] = (place, self.sequence)
        self._stand_behind()

    def bind(self) -> None:
        """The newest request for the very version that serves stands behind it."""
        assert not self.pending, "the stage goes back from it"
        same = [each for each in self.open if self.current and each.version == self.current[0]]
        newest = max(same, key=lambda request: request.place, default=None)
        if newest and self.current:
            self.request, self.place = newest, max(self.place, newest.place)
            if self.undo and not self.targets():
                self.undo, self.trial = False, True  # asked for anew, it is tried anew
            if self.current in self.good:
                self.good[self.current] = (self.place, self.good[self.current][1])
            self._stand_behind()

    def _stand_behind(self) -> None:
        if self.request:
            self.request.served = True
        for request in self.open:
            if request.place < self.place and not request.served:
                request.ended = "Superseded"

    def is_withdrawn(self, wants: Mapping[str, str], later: Iterable[str]) -> bool:
        """Whether nobody asks any more for what serves, and it has not moved on to a later stage (6, 7)."""
        if self.current is None or self.request is None or self.request.ended != "Withdrawn":
            return False
        moved_on = wants.get(self.request.key.partition("/")[0], "") in later
        return not moved_on and all(request.version != self.current[0] for request in self.open)

    def successors(self) -> list[Revision]:
        """Good revisions whose request stands, the one placed last first."""
        standing = {request.version: request.place for request in sorted(self.open, key=lambda each: each.place)}
        fit = [each for each in self.good if each != self.current and each[0] in standing]
        return sorted(fit, key=lambda each: (standing[each[0]], self.good[each][1]), reverse=True)
