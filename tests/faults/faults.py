"""What can be made to go wrong, one class a fault."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable

from tests.faults.proxy import Answer, Call, Hangup, NoFaults, PassOn

UNCOUNTED = frozenset({"leases", "events"})
"""Nothing follows from these: the Lease is the process's own, and an Event is told after everything else."""
LATE = 0.4
"""Seconds: long enough for other events and turns to come between."""


class Counted(NoFaults):
    """Notes every write to what belongs to one Model that the API server has done."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.ended = asyncio.Event()
        """Whether the operator's process was ended."""
        self.writes: list[str] = []

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        answer = await pass_on()
        if call.is_write and self.concerns(call) and answer.status < 300:
            self.writes.append(str(call))
        return answer

    def concerns(self, call: Call) -> bool:
        """Whether it is about the Model and not one of those that nothing follows from."""
        named = call.name == self._model or call.name.startswith(f"{self._model}-")
        return named and call.collection not in UNCOUNTED


class StopAfter(Counted):
    """End the process after its Nth write: done by the API server, never answered."""

    def __init__(self, model: str, nth: int, end: Callable[[], None]) -> None:
        super().__init__(model)
        self._nth = nth
        self._end = end

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        await self.watch(call)
        answer = await super().handle(call, pass_on)
        if len(self.writes) == self._nth and not self.ended.is_set():
            self.ended.set()
            self._end()
        await self.watch(call)
        return answer

    async def watch(self, call: Call) -> None:
        if self.ended.is_set():
            raise Hangup


class Errors(Counted):
    """Calls fail now and then: refused for the moment, answered late, or done without an answer.

    What happens to the nth call of a kind depends on the seed alone, in whatever order calls arrive.
    """

    def __init__(self, model: str, seed: int, share: float = 0.25) -> None:
        super().__init__(model)
        self._seed = seed
        self._share = share
        self._calls: Counter[str] = Counter()
        self.done: list[str] = []

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        fault = self._next(call) if self.concerns(call) else ""
        if fault.isdecimal():
            return _refusal(int(fault))
        if fault == "late":
            await asyncio.sleep(LATE)
        answer = await super().handle(call, pass_on)
        if fault == "unanswered":
            raise Hangup
        return answer

    def _next(self, call: Call) -> str:
        what = str(call).replace(self._model, "model")
        self._calls[what] += 1
        chance = random.Random(f"{self._seed} {what} {self._calls[what]}")
        if chance.random() >= self._share:
            return ""
        fault = chance.choice(["late", "unanswered", "409", "429", "500", "503"])
        self.done.append(f"{fault}: {call}")
        return fault


def _refusal(status: int) -> Answer:
    reason = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}[status]
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": "on purpose"}
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if status == 429 else {})
    return Answer(status, json.dumps({**said, "code": status}).encode(), headers)
