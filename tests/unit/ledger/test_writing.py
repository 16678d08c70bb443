"""Appending: each entry once, in order, whatever dies or gets lost in between."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.ledger.errors import AdoptedError, BrokenChainError, ForeignRecordError, LedgerError
from modelyard.ledger.records import NOTHING_BEFORE, SCHEMA, START, Head, load_record
from modelyard.ledger.writing import Appended, append
from tests.tries import tries
from tests.unit.ledger.places import (
    CHAIN,
    DiedError,
    MemoryPlace,
    dying_at,
    entries,
    entry,
    losing_answers,
    once_at,
    times,
    told,
)


def test_a_record_says_where_it_belongs() -> None:
    place = MemoryPlace()
    first = append(place, CHAIN, [entry(1, stage="production")])
    second = append(place, CHAIN, [entry(2)], first.head)
    assert sorted(place.objects) == [f"prod/risk/fraud/records/00000000000{n}.json" for n in (1, 2)]
    record = load_record(append(place, CHAIN, [], first.head).foreign[0].document)
    assert (record.schema, record.cluster, record.namespace, record.model) == (SCHEMA, "prod", "risk", "fraud")
    assert (record.number, record.previous, second.head.number) == (2, first.head.sha256, 2)
    assert first.head == Head(1, first.head.sha256)
    assert NOTHING_BEFORE in place.objects["prod/risk/fraud/records/000000000001.json"].decode()


def test_one_write_for_each_entry() -> None:
    place = MemoryPlace()
    known = append(place, CHAIN, entries(1, 50)).head
    place.creates = place.reads = place.lists = 0
    append(place, CHAIN, [entry(51)], known)
    assert (place.creates, place.reads, place.lists) == (1, 1, 1)


def test_the_same_entries_again_change_nothing() -> None:
    place = MemoryPlace()
    done = append(place, CHAIN, entries(1, 3))
    before = dict(place.objects)
    assert append(place, CHAIN, entries(1, 3)) == done
    assert append(place, CHAIN, entries(2, 3), Head(1, _hash(place, 1))).heads == done.heads[1:]
    assert place.objects == before


def test_an_entry_that_got_its_effective_time_late_is_the_same() -> None:
    place = MemoryPlace()
    append(place, CHAIN, [entry(1)])
    append(place, CHAIN, [entry(1, effectiveAt="2026-01-01T00:00:09Z"), entry(2)])
    assert told(place) == times(1, 2)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_step(moment: str) -> None:
    """Five entries, the first two of which are known to be appended; the next process finishes the rest."""
    for step in range(100):
        place = MemoryPlace()
        known = append(place, CHAIN, entries(1, 2)).head
        setattr(place, moment, dying_at(step))
        try:
            append(place, CHAIN, entries(3, 7), known)
        except DiedError:
            place.calm()
            append(place, CHAIN, entries(3, 7), known)
            assert told(place) == times(1, 7)
        else:
            assert step >= 5  # it died at every create
            return
    raise AssertionError("it never ended")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["before", "after"]), st.integers(0, 6), st.booleans(), st.integers(1, 4)),
        min_size=1,
        max_size=12,
    )
)
@tries(60)
def test_nothing_is_lost_or_doubled_in_any_history(steps: list[tuple[str, int, bool, int]]) -> None:
    """An outbox grows, is appended by processes that die anywhere, and is sometimes emptied by the status write."""
    place, outbox, known, last = MemoryPlace(), [], START, 0
    for moment, at, prunes, more in steps:
        outbox += entries(last + 1, last + more)
        last += more
        setattr(place, moment, dying_at(at))
        try:
            done = append(place, CHAIN, outbox, known)
            assert not done.foreign
            if prunes:
                outbox, known = [], done.head
        except DiedError:
            pass
        place.calm()
    append(place, CHAIN, outbox, known)
    assert told(place) == times(1, last)


def test_a_lost_answer_is_recognised() -> None:
    place = MemoryPlace()
    place.after = losing_answers("create", 2)
    for _ in range(2):
        with pytest.raises(LedgerError) as lost:
            append(place, CHAIN, entries(1, 3))
        assert lost.value.transient
    append(place, CHAIN, entries(1, 3))
    assert told(place) == times(1, 3)


def test_a_create_that_was_retried_below_us_is_ours() -> None:
    """The store's client repeats a request whose answer was lost, and is told that the object exists."""
    place = MemoryPlace()
    real = place.create
    place.create = lambda name, content: real(name, content) and False  # type: ignore[method-assign]
    append(place, CHAIN, entries(1, 2))
    assert told(place) == times(1, 2)


def test_two_writers_never_share_a_number() -> None:
    """The other one, who still believes to hold the lease, writes at every step of ours."""
    raced = False
    for step in range(8):
        place = MemoryPlace()
        known = append(place, CHAIN, entries(1, 1)).head
        other: list[Appended] = []
        place.before = once_at(step, lambda: other.append(append(place, CHAIN, entries(100, 100), known)))  # noqa: B023
        try:
            append(place, CHAIN, entries(2, 4), known)
        except ForeignRecordError:
            raced = True
            append(place, CHAIN, entries(2, 4), known)
        found = told(place)
        assert found[0] == times(1, 1)[0]
        assert [at for at in found if at in times(2, 4)] == times(2, 4)
        assert found.count(times(100, 100)[0]) == len(other)
    assert raced


def test_two_writers_of_the_same_outbox_write_it_once() -> None:
    """The former and the present holder of the lease have the same entries to append."""
    for step in range(10):
        place = MemoryPlace()
        place.before = once_at(step, lambda: append(place, CHAIN, entries(1, 3)))  # noqa: B023
        append(place, CHAIN, entries(1, 3))
        assert told(place) == times(1, 3)


def test_foreign_records_are_told() -> None:
    place = MemoryPlace()
    known = append(place, CHAIN, entries(1, 1)).head
    append(place, CHAIN, entries(50, 51), known)
    done = append(place, CHAIN, entries(2, 2), known)
    assert [sealed.number for sealed in done.foreign] == [2, 3]
    assert (done.head.number, done.heads) == (4, (done.head,))


def test_each_entry_has_its_place() -> None:
    place = MemoryPlace()
    first = append(place, CHAIN, entries(1, 3))
    assert [head.number for head in first.heads] == [1, 2, 3]
    again = append(place, CHAIN, entries(2, 5), first.heads[0])
    assert [head.number for head in again.heads] == [2, 3, 4, 5]
    assert again.heads[:2] == first.heads[1:]
    assert again.head == again.heads[-1]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(lambda objects, name: objects.pop(name), "record 3 is missing", id="missing"),
        pytest.param(
            lambda objects, name: objects.update({name: objects[name].replace(b"Verified", b"Approved")}),
            "record 3 is not the one",
            id="altered",
        ),
    ],
)
def test_nothing_is_appended_to_a_chain_that_lost_its_end(spoil: Any, says: str) -> None:
    place = MemoryPlace()
    known = append(place, CHAIN, entries(1, 3)).head
    spoil(place.objects, CHAIN.record(3))
    before = dict(place.objects)
    with pytest.raises(BrokenChainError, match=says) as broken:
        append(place, CHAIN, entries(4, 4), known)
    assert place.objects == before
    assert not broken.value.transient


def test_a_chain_that_another_cluster_took_over() -> None:
    place = MemoryPlace()
    known = append(place, CHAIN, entries(1, 2)).head
    taken = append(place, CHAIN, [entry(3, type="Adopted"), entry(4)], known, cluster="dr").head
    for head in (known, taken):
        with pytest.raises(
            AdoptedError, match="cluster 'dr' has taken this chain over; cluster 'prod' appends no more"
        ):
            append(place, CHAIN, [entry(5)], head)
    append(place, CHAIN, [entry(5, type="Adopted"), entry(6)], taken)
    assert told(place) == times(1, 6)


def _hash(place: MemoryPlace, number: int) -> str:
    return append(place, CHAIN, []).foreign[number - 1].head.sha256
