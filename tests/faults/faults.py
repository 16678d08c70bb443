"""What can be made to go wrong between an operator process and the API server, one class a fault.

What happens to the nth call or event of its kind depends on the seed alone, in whatever order they arrive. `lift` ends
it; what is lost or hangs by then stays lost and goes on to hang.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from tests.faults.proxy import Answer, Call, Hangup, NoFaults, PassOn

UNCOUNTED = frozenset({"leases", "events"})
"""Nothing follows from these: the Lease is the process's own, and an Event is told after everything else."""
LATE = 0.4
"""Seconds: long enough for other events and turns to come between."""
TOO_LATE = (0.5, 3.0)
"""Seconds after which a write arrives that its sender has given up."""
REASONS = {
    409: "Conflict", 410: "Expired", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError",
    503: "ServiceUnavailable",
}  # fmt: skip


class Counted(NoFaults):
    """Nothing goes wrong. Notes every write to what belongs to one Model: tried, and done by the API server."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.ended = asyncio.Event()
        """Whether the operator's process was ended."""
        self.writes: list[str] = []
        self.tried = 0
        self.watches = 0
        self.done: list[str] = []
        """What went wrong."""
        self.lifted = False

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        counts = call.is_write and self.concerns(call) and call.collection not in UNCOUNTED
        self.tried += counts
        answer = await pass_on(call)
        if counts and answer.status < 300:
            self.writes.append(str(call))
        return answer

    async def refuse_watch(self, call: Call) -> Answer | None:
        self.watches += 1
        return None

    def concerns(self, call: Call) -> bool:
        """Whether it is about the Model."""
        return self.is_its(call.name)

    def is_its(self, name: str) -> bool:
        """Whether an object of that name belongs to the Model."""
        return name == self._model or name.startswith((f"{self._model}-", f"{self._model}."))

    def lift(self) -> None:
        """Let nothing go wrong any more."""
        self.lifted = True


class StopAfter(Counted):
    """End the process after its Nth write: done by the API server, never answered."""

    def __init__(self, model: str, nth: int, end: Callable[[], None]) -> None:
        super().__init__(model)
        self._nth = nth
        self._end = end

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        self._hang_up_when_ended()
        answer = await super().handle(call, pass_on)
        if len(self.writes) == self._nth and not self.ended.is_set():
            self.ended.set()
            self.done.append(f"died after write {self._nth}: {self.writes[-1]}")
            self._end()
        self._hang_up_when_ended()
        return answer

    async def refuse_watch(self, call: Call) -> Answer | None:
        self._hang_up_when_ended()
        return await super().refuse_watch(call)

    def _hang_up_when_ended(self) -> None:
        if self.ended.is_set():
            raise Hangup


class Seeded(Counted):
    """Faults that a seed chooses."""

    def __init__(self, model: str, seed: int, share: float) -> None:
        super().__init__(model)
        self.seed = seed
        self._share = share
        self._counts: Counter[str] = Counter()

    def draw(self, what: str, faults: list[str], share: float | None = None) -> str:
        """What happens to this one; nothing, most of the time."""
        what = what.replace(self._model, "model")
        self._counts[what] += 1
        chance = random.Random(f"{self.seed} {what} {self._counts[what]}")
        if self.lifted or chance.random() >= (self._share if share is None else share):
            return ""
        fault = chance.choice(faults)
        self.done.append(f"{fault}: {what}")
        return fault


class Answers(Seeded):
    """Calls fail: refused, answered late, by half or not at all, before or after they have taken effect."""

    WRITES = ("late", "unanswered", "unheard", "half", "409", "410", "422", "429", "500", "503")
    READS = ("late", "unheard", "half", "410", "429", "500", "503")

    def __init__(self, model: str, seed: int, share: float = 0.3) -> None:
        super().__init__(model, seed, share)

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        match self._next(call):
            case "unheard":
                raise Hangup
            case "unanswered":
                await super().handle(call, pass_on)
                raise Hangup
            case "half":
                return replace(await super().handle(call, pass_on), half=True)
            case "late":
                await asyncio.sleep(LATE)
            case status if status:
                return refusal(int(status))
        return await super().handle(call, pass_on)

    def _next(self, call: Call) -> str:
        if call.is_write:
            return self.draw(str(call), list(self.WRITES)) if self.concerns(call) else ""
        if call.collection in UNCOUNTED or not (call.is_list or self.concerns(call)):
            return ""
        return self.draw(str(call), list(self.READS), self._share / 3)


class Hanging(Seeded):
    """Calls hang until the operator gives them up: before they have taken effect, or after."""

    def __init__(self, model: str, seed: int, share: float = 0.15) -> None:
        super().__init__(model, seed, share)

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        if self.concerns(call) or call.is_list:
            fault = self.draw(str(call), ["hangs before", "hangs after"])
            if fault == "hangs after":
                await super().handle(call, pass_on)
            if fault:
                await asyncio.Event().wait()
        return await super().handle(call, pass_on)


class Overtaken(Seeded):
    """Writes take effect long after their sender has been told that the connection broke, and has gone on."""

    def __init__(self, model: str, seed: int, share: float = 0.3) -> None:
        super().__init__(model, seed, share)
        self._under_way: set[asyncio.Task[Answer]] = set()

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        if call.is_write and self.concerns(call) and self.draw(str(call), ["overtaken"]):
            after = random.Random(f"{self.seed} {call}").uniform(*TOO_LATE)
            task = asyncio.ensure_future(self._later(call, pass_on, after))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            raise Hangup
        return await super().handle(call, pass_on)

    async def _later(self, call: Call, pass_on: PassOn, after: float) -> Answer:
        await asyncio.sleep(after)
        return await super().handle(call, pass_on)


class Events(Seeded):
    """Events are dropped, held back, repeated, swapped, summed up; and deletions fall into a gap that ends with 410."""

    FAULTS = ("drop", "delay", "repeat", "swap", "sum up")

    def __init__(self, model: str, seed: int, share: float = 0.4) -> None:
        super().__init__(model, seed, share)

    async def events(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        held: list[bytes] = []
        async with _queue_of(lines) as queue:
            while True:
                try:
                    line = await asyncio.wait_for(queue.get(), LATE if held else None)
                except TimeoutError:
                    yield held.pop()
                    continue
                if line is None:
                    for each in held:
                        yield each
                    return
                event = json.loads(line)
                if held:
                    before = held.pop()
                    if not (_same(json.loads(before), event)):
                        yield line
                        line, event = before, {}
                if event and event["type"] == "DELETED" and self._is_mine(event) and self._falls_into_gap(event):
                    yield gone()
                    return
                fault = self._next(event) if event else ""
                if fault in ("swap", "sum up"):
                    held.append(line)
                    continue
                if fault == "delay":
                    await asyncio.sleep(LATE)
                if fault != "drop":
                    yield line
                if fault == "repeat":
                    yield line

    def _next(self, event: dict[str, Any]) -> str:
        if not self._is_mine(event):
            return ""
        return self.draw(_told(event), list(self.FAULTS))

    def _falls_into_gap(self, event: dict[str, Any]) -> bool:
        return bool(self.draw(f"{_told(event)} across a 410", ["lost"], 0.5))

    def _is_mine(self, event: dict[str, Any]) -> bool:
        return self.is_its(event["object"].get("metadata", {}).get("name", ""))


class Endings(Seeded):
    """Watches end in every way there is, and are refused when they are asked for again."""

    ENDS = ("410", "closed", "cut", "broken off", "500")
    REFUSALS = ("429", "500", "503", "unheard", "late")

    def __init__(self, model: str, seed: int, share: float = 0.2) -> None:
        super().__init__(model, seed, share)

    async def refuse_watch(self, call: Call) -> Answer | None:
        self.watches += 1
        match self.draw(f"watch {call.collection}", list(self.REFUSALS)):
            case "unheard":
                raise Hangup
            case "late":
                await asyncio.sleep(LATE)
            case status if status:
                return refusal(int(status))
        return None

    async def events(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for line in lines:
            match self.draw(f"event of {call.collection}", list(self.ENDS)):
                case "410":
                    yield gone()
                    return
                case "500":
                    yield _error(500)
                    return
                case "closed":
                    return
                case "cut":  # as a proxy that speaks HTTP/1.0 would
                    yield line[: len(line) // 2]
                    return
                case "broken off":
                    yield line[: len(line) // 2]
                    raise Hangup
            yield line


class Silent(Seeded):
    """Watches fall silent: nothing comes any more, and nothing ends them."""

    def __init__(self, model: str, seed: int, share: float = 0.3) -> None:
        super().__init__(model, seed, share)

    async def refuse_watch(self, call: Call) -> Answer | None:
        self.watches += 1
        if self.draw(f"watch {call.collection}", ["never answered"]):
            await asyncio.Event().wait()
        return None

    async def events(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for line in lines:
            if self.draw(f"event of {call.collection}", ["silence"]):
                await asyncio.Event().wait()
            yield line


class Stale(Seeded):
    """Lists of some kinds show an older moment, as a cache that lags would, and what came since comes late."""

    def __init__(self, model: str, seed: int, moment: str, share: float = 0.6) -> None:
        super().__init__(model, seed, share)
        self._moment = moment
        self._kinds: dict[str, bool] = {}

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        if call.is_list and "continue" not in call.query and self._is_stale(call) and not self.lifted:
            older = {"resourceVersion": self._moment, "resourceVersionMatch": "Exact"}
            call = replace(call, query={**call.query, **older})
        return await super().handle(call, pass_on)

    async def refuse_watch(self, call: Call) -> Answer | None:
        if self._is_stale(call) and not self.lifted:
            await asyncio.sleep(3 * LATE)
        return await super().refuse_watch(call)

    def _is_stale(self, call: Call) -> bool:
        kind = call.collection
        if kind not in self._kinds:
            self._kinds[kind] = bool(self.draw(kind, ["stale"]))
        return self._kinds[kind]


class CutOff(Seeded):
    """The first process cannot renew its Lease, while its other writes get through, slowly."""

    def __init__(self, model: str, seed: int, share: float = 0.5) -> None:
        super().__init__(model, seed, share)

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        if not self.lifted and not call.caller:
            if call.collection == "leases":
                self.done.append(f"held back: {call}")
                await asyncio.Event().wait()
            if call.is_write and self.draw(str(call), ["slow"]):
                await asyncio.sleep(random.Random(f"{self.seed} {call}").uniform(*TOO_LATE))
        return await super().handle(call, pass_on)


class Together(Counted):
    """Several faults at once."""

    def __init__(self, model: str, *parts: Counted) -> None:
        super().__init__(model)
        self._parts = parts

    @property
    def everything(self) -> list[str]:
        """What went wrong, whichever part did it."""
        return [what for part in self._parts for what in part.done]

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        async def through_all(call: Call, parts: tuple[Counted, ...] = self._parts) -> Answer:
            if not parts:
                return await pass_on(call)
            return await parts[0].handle(call, lambda inner: through_all(inner, parts[1:]))

        return await super().handle(call, through_all)

    async def refuse_watch(self, call: Call) -> Answer | None:
        self.watches += 1
        for part in self._parts:
            if refused := await part.refuse_watch(call):
                return refused
        return None

    def events(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        passed = super().events(call, lines)
        for part in self._parts:
            passed = part.events(call, passed)
        return passed

    def lift(self) -> None:
        super().lift()
        for part in self._parts:
            part.lift()
        self.done = self.everything


def refusal(status: int) -> Answer:
    """An answer of the API server that something cannot be done."""
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if status == 429 else {})
    return Answer(status, json.dumps(_status(status)).encode(), headers)


def gone() -> bytes:
    """The event by which a watch ends whose position is too old."""
    return _error(410)


def _error(status: int) -> bytes:
    return json.dumps({"type": "ERROR", "object": _status(status)}).encode() + b"\n"


def _status(status: int) -> dict[str, Any]:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": REASONS[status]}
    return {**said, "message": "on purpose", "code": status}


def _told(event: dict[str, Any]) -> str:
    obj = event["object"]
    return f"{event['type']} {obj['kind']}/{obj['metadata']['name']}"


def _same(before: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether both are about one object, so that the later sums up the earlier."""
    return bool(before["object"]["metadata"].get("uid") == event["object"]["metadata"].get("uid"))


@asynccontextmanager
async def _queue_of(lines: AsyncIterator[bytes]) -> AsyncIterator["asyncio.Queue[bytes | None]"]:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def fill() -> None:
        try:
            async for line in lines:
                queue.put_nowait(line)
        finally:
            queue.put_nowait(None)

    task = asyncio.ensure_future(fill())
    try:
        yield queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
