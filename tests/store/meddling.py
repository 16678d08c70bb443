"""What can be made to go wrong with an S3 store, decided by a seed, whichever order the calls come in."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from multidict import CIMultiDict

from tests.store.proxy import Hangup, PassOn, StoreAnswer, StoreCall

CODES = {
    "403": "AccessDenied", "409": "ConditionalRequestConflict", "500": "InternalError", "503": "SlowDown",
}  # fmt: skip
EVERYWHERE = ("500", "503", "reset", "unanswered", "late", "silent", "403")
OF_READS = ("cut", "trickle")
OF_WRITES = ("409",)
LATE = 0.3
SILENT = 60.0
"""Seconds: longer than any client waits."""


class Meddling:
    """Calls fail now and then. What happens to the nth call of a kind depends on the seed alone.

    500, 503, 403, 409   the store says no
    reset                the connection ends, and nothing was done
    unanswered           the connection ends, and all was done
    late                 the answer takes a moment
    silent               no answer ever comes, and nothing was done
    cut                  the answer's body breaks off somewhere
    trickle              the same at its very end: one byte is missing
    """

    def __init__(self, seed: int, share: float, kinds: Sequence[str] = (*EVERYWHERE, *OF_READS, *OF_WRITES)) -> None:
        self._seed, self._share, self._kinds = seed, share, frozenset(kinds)
        self._calls: Counter[str] = Counter()
        self.done: list[str] = []

    async def answer(self, call: StoreCall, pass_on: PassOn) -> StoreAnswer:
        fault, chance = self._next(call)
        if fault in CODES:
            return refusal(int(fault))
        if fault == "reset":
            raise Hangup
        if fault == "silent":
            await asyncio.sleep(SILENT)
            raise Hangup
        if fault == "late":
            await asyncio.sleep(LATE)
        answer = await pass_on()
        if fault == "unanswered":
            raise Hangup
        if fault == "cut":
            return replace(answer, sent=chance.randrange(len(answer.body) + 1))
        if fault == "trickle":
            return replace(answer, sent=max(0, len(answer.body) - 1))
        return answer

    def _next(self, call: StoreCall) -> tuple[str, random.Random]:
        what = f"{call.method} {call.key.partition('/')[2]}"  # buckets of tests have names of their own every time
        self._calls[what] += 1
        chance = random.Random(f"{self._seed} {what} {self._calls[what]}")
        possible = [*EVERYWHERE, *(OF_WRITES if call.is_write else OF_READS)]
        possible = [kind for kind in possible if kind in self._kinds]
        if not possible or chance.random() >= self._share:
            return "", chance
        fault = chance.choice(possible)
        self.done.append(f"{fault}: {call}")
        return fault, chance


def refusal(status: int) -> StoreAnswer:
    """The store says no, as S3 words it."""
    code = CODES[str(status)]
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
    return StoreAnswer(status, CIMultiDict({"Content-Type": "application/xml"}), text.encode())
