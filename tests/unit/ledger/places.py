"""A place in memory that can lose answers, die between any two steps, and let a test act in between; and entries."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import Place, ReadPlace
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.writing import append

CHAIN = ChainName("prod", "risk", "fraud")
START = datetime(2026, 1, 1, tzinfo=UTC)


class DiedError(Exception):
    """The process was killed here."""


class MemoryPlace:
    """Objects in a dict."""

    def __init__(self) -> None:
        self.url = "memory:"
        self.objects: dict[str, bytes] = {}
        self.reads = 0
        self.lists = 0
        self.creates = 0
        self.before: Callable[[str, str], None] = lambda verb, name: None
        """Called before each step, with the verb and the name; what it raises is what the caller gets."""
        self.after: Callable[[str, str], None] = lambda verb, name: None
        """Called after each step, before its answer is given."""

    def create(self, name: str, content: bytes) -> bool:
        self.before("create", name)
        self.creates += 1
        if created := name not in self.objects:
            self.objects[name] = content
        self.after("create", name)
        return created

    def read(self, name: str) -> bytes | None:
        self.before("read", name)
        self.reads += 1
        return self.objects.get(name)

    def files(self, folder: str, after: str = "") -> Iterator[tuple[str, int]]:
        self.before("list", folder)
        self.lists += 1
        below = [name.removeprefix(f"{folder}/") for name in sorted(self.objects) if name.startswith(f"{folder}/")]
        yield from ((name, len(self.objects[f"{folder}/{name}"])) for name in below if "/" not in name and name > after)

    def folders(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        below = (name.removeprefix(prefix) for name in self.objects if name.startswith(prefix))
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def calm(self) -> None:
        """Nothing happens between the steps any more."""
        self.before = self.after = lambda verb, name: None


def dying_at(step: int) -> Callable[[str, str], None]:
    """Dies at the step of that number, from 0, and at each after it."""
    left = step

    def tick(verb: str, name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise DiedError(f"{verb} {name}")

    return tick


def once_at(step: int, act: Callable[[], object]) -> Callable[[str, str], None]:
    """Lets somebody else act before the step of that number, from 0; his own steps are not counted."""
    left = step

    def tick(verb: str, name: str) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            act()

    return tick


def losing_answers(verb: str, times: int = 1) -> Callable[[str, str], None]:
    """Loses the answers to the first steps of a kind."""
    left = times

    def tick(done: str, name: str) -> None:
        nonlocal left
        if done == verb and left:
            left -= 1
            raise PlaceError(f"{done} {name}: connection reset", transient=True)

    return tick


def entry(number: int, **more: Any) -> dict[str, Any]:
    """An entry as it is committed."""
    at = START + timedelta(minutes=number)
    return {"type": "Verified", "at": at.isoformat().replace("+00:00", "Z"), "uid": "u", **more}


def entries(first: int, last: int) -> list[dict[str, Any]]:
    return [entry(number) for number in range(first, last + 1)]


def told(place: ReadPlace, chain: ChainName = CHAIN) -> list[str]:
    """When each of the chain's records was, in the order of the chain; the chain is checked on the way."""
    return [sealed.document["at"] for sealed in checked(walk(place, chain))]


@cache
def racing_to_create(place: Place, name: str) -> list[bytes]:
    """What was written by those of eight who create a file at the same time and are told that they did."""
    start, created = threading.Barrier(8), list[bytes]()

    def race(content: bytes) -> None:
        start.wait()
        if place.create(name, content):
            created.append(content)

    racers = [threading.Thread(target=race, args=(str(number).encode(),)) for number in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    return created


def _appended(count: int) -> dict[str, bytes]:
    place = MemoryPlace()
    append(place, CHAIN, entries(1, count))
    return place.objects


def chain_of(count: int) -> MemoryPlace:
    """A place with one chain of that many records."""
    place = MemoryPlace()
    place.objects = dict(_appended(count))
    return place


def times(first: int, last: int) -> list[str]:
    return [each["at"] for each in entries(first, last)]
