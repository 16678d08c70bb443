"""Whether the watches still deliver: a watch can die without an error, and then nothing ever happens again.

Every write of the operator, and every change that a sweep finds, is an event that the watch of that kind must
deliver too. One that stays away for long proves the watch silent. The probes ask; the sweep gives expectations
that cannot be met any more (the object is gone) a chance to be dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass

from modelyard.decide.snapshot import Obj
from modelyard.observe.cache import Address, address_of, version_of


@dataclass(frozen=True)
class _Expected:
    address: Address
    version: int
    since: float


class Canary:
    """One outstanding expectation per kind."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._expected: dict[str, _Expected] = {}

    def expect(self, obj: Obj) -> None:
        """The watch must deliver this state of the object, or a later one."""
        address = address_of(obj)
        self._expected.setdefault(address.kind, _Expected(address, version_of(obj), self._clock()))

    def delivered(self, obj: Obj) -> None:
        """The watch delivered this."""
        expected = self._expected.get(obj["kind"])
        if expected and expected.address == address_of(obj) and version_of(obj) >= expected.version:
            del self._expected[obj["kind"]]

    def gone(self, address: Address) -> None:
        """The object is gone, and the watch may have missed that: nothing can be expected of it."""
        expected = self._expected.get(address.kind)
        if expected and expected.address == address:
            del self._expected[address.kind]

    def overdue(self, seconds: float) -> list[str]:
        """The kinds whose watch has owed an event for longer than this."""
        horizon = self._clock() - seconds
        return sorted(kind for kind, expected in self._expected.items() if expected.since < horizon)
