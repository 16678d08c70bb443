"""Which chain a Model's state is taken up from."""

import pytest

from modelyard.ledger.errors import AdoptedError, BrokenChainError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.recalling import recall
from modelyard.ledger.writing import append
from tests.unit.ledger.places import MemoryPlace, entry

NEW = ChainName("new", "risk", "fraud")


def place(*writers: str, chain: str = "old") -> MemoryPlace:
    """A chain with a record of each of these clusters, in order; each takes it over from the one before."""
    made = MemoryPlace()
    add(made, chain, *writers)
    return made


def add(made: MemoryPlace, chain: str, *writers: str) -> None:
    for number, writer in enumerate(writers):
        taken = {"type": "Adopted"} if number else {}
        append(made, ChainName(chain, "risk", "fraud"), [entry(number, **taken)], cluster=writer)


def test_there_is_none() -> None:
    found = recall(place("old"), NEW)
    assert (found.chain, found.writer, found.head.number) == ("new", "", 0)


def test_that_of_a_cluster_that_it_is_told_to_recover_from() -> None:
    found = recall(place("old"), NEW, ("older", "old"))
    assert (found.chain, found.writer, found.head.number) == ("old", "old", 1)


def test_its_own_comes_first() -> None:
    both = place("old")
    add(both, "new", "new")
    assert recall(both, NEW, ("old",)).chain == "new"


def test_what_it_took_over_before_is_its_own() -> None:
    found = recall(place("old", "new"), NEW, taken="old")
    assert (found.chain, found.writer, found.head.number) == ("old", "new", 2)


@pytest.mark.parametrize(
    ("told", "taken"), [pytest.param(("old",), "", id="without a status"), pytest.param((), "old", id="with one")]
)
def test_what_a_third_one_went_on_with_is_not_taken(told: tuple[str, ...], taken: str) -> None:
    with pytest.raises(AdoptedError, match=r"cluster 'third' has taken this chain over.*ledger.recoverFrom"):
        recall(place("old", "third"), NEW, told, taken)


def test_what_was_taken_over_by_one_that_is_named_too() -> None:
    assert recall(place("older", "old", chain="older"), NEW, ("old", "older")).writer == "old"


def test_what_does_not_hold_together_is_not_taken_up() -> None:
    broken = place("old", "old")
    name = ChainName("old", "risk", "fraud").record(1)
    broken.objects[name] = broken.objects[name].replace(b"Verified", b"Approved")
    with pytest.raises(BrokenChainError, match="does not follow"):
        recall(broken, NEW, ("old",))
