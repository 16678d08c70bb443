"""Reading with few requests, through segments and around those that are missing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.ledger.errors import BrokenChainError
from modelyard.ledger.layout import LEVELS, complete_segments, record_file, segment_file
from modelyard.ledger.reading import chains, checked, pieces, walk
from modelyard.ledger.records import START, Head
from modelyard.ledger.segments import compact
from tests.tries import tries
from tests.unit.ledger.places import CHAIN, DiedError, MemoryPlace, chain_of, dying_at, times, told


def named(place: MemoryPlace) -> list[tuple[int, int]]:
    return [(piece.first, piece.last) for piece in pieces(place, CHAIN)]


def test_segments_hold_the_very_bytes_of_the_records() -> None:
    place = chain_of(45)
    records = [place.objects[CHAIN.record(number)] for number in range(1, 46)]
    assert compact(place, CHAIN, 45) == 2
    assert place.objects["prod/risk/fraud/segments/20/000000000021-000000000040.jsonl"].splitlines() == records[20:40]
    assert named(place) == [(1, 20), (21, 40), *((n, n) for n in range(41, 46))]
    assert told(place) == times(1, 45)
    assert compact(place, CHAIN, 45) == 0


def test_a_long_chain_takes_some_tens_of_requests() -> None:
    """Only names matter to what is read. The worst length below 100,000 has all but one of every level."""
    for count in (100_000, 95_999):
        place = MemoryPlace()
        for level in LEVELS:
            for first in complete_segments(level, 0, count):
                place.objects[CHAIN.segment(level, first)] = b""
        tail = count // LEVELS[0] * LEVELS[0]
        place.objects |= {CHAIN.record(number): b"" for number in range(tail + 1, count + 1)}
        found = list(pieces(place, CHAIN))
        assert all(after.first == before.last + 1 for before, after in itertools.pairwise(found))
        assert (found[0].first, found[-1].last) == (1, count)
        assert len(found) + place.lists <= 75


@given(
    count=st.integers(1, 130),
    missing=st.sets(st.integers(0, 8)),
    levels=st.sampled_from([(5,), (5, 25), (5, 25, 50)]),
    after=st.integers(0, 130),
)
@tries(100)
def test_whatever_segments_there_are_every_record_is_read_once(
    count: int, missing: set[int], levels: tuple[int, ...], after: int
) -> None:
    place = MemoryPlace()
    place.objects = {f"{CHAIN.records}/{record_file(number)}": b"" for number in range(1, count + 1)}
    made = [(level, first) for level in levels for first in complete_segments(level, 0, count)]
    for index, (level, first) in enumerate(made):
        if index not in missing:
            place.objects[f"{CHAIN.segments(level)}/{segment_file(first, level)}"] = b""
    found = [n for piece in pieces(place, CHAIN, after, levels=levels) for n in range(piece.first, piece.last + 1)]
    assert found == list(range(after + 1, count + 1))


def test_killed_while_compacting() -> None:
    for step in itertools.count():
        place = chain_of(410)
        place.before = dying_at(step * 97)
        try:
            compact(place, CHAIN, 410)
        except DiedError:
            place.calm()
            assert told(place) == times(1, 410)
            compact(place, CHAIN, 410)
            assert named(place)[0] == (1, 400)
            assert len(named(place)) == 11
            assert told(place) == times(1, 410)
        else:
            assert step > 3
            return


def test_only_what_was_completed_since_is_compacted() -> None:
    place = chain_of(61)
    place.reads = 0
    assert compact(place, CHAIN, 41, after=39) == 1
    assert place.reads == 21
    assert compact(place, CHAIN, 59, after=41) == 0
    assert [name for name in place.objects if "segments" in name] == [CHAIN.segment(20, 21)]


@pytest.mark.parametrize("gone", [2, 30])
def test_no_segment_is_made_of_a_chain_that_is_broken(gone: int) -> None:
    place = chain_of(40)
    del place.objects[CHAIN.record(gone)]
    with pytest.raises(BrokenChainError, match=f"record {gone} is missing"):
        compact(place, CHAIN, 40)
    assert not any("segments" in name and f"0{gone}-" in name for name in place.objects)


def test_checked_stops_where_a_record_does_not_follow() -> None:
    place = chain_of(5)
    name = CHAIN.record(3)
    place.objects[name] = place.objects[name].replace(b"Verified", b"Approved")
    read = checked(walk(place, CHAIN))
    assert [next(read).number for _ in range(3)] == [1, 2, 3]
    with pytest.raises(BrokenChainError, match=r"record 4 in .*0004\.json: it does not follow from record 3"):
        next(read)


def test_a_missing_record_is_named() -> None:
    place = chain_of(5)
    del place.objects[CHAIN.record(3)]
    with pytest.raises(BrokenChainError, match="record 3 is missing"):
        list(walk(place, CHAIN))


def test_chains_are_found_by_their_folders() -> None:
    place = chain_of(1)
    place.objects["modelyard-ledger.json"] = b"{}"
    place.objects["dr/risk/fraud/records/000000000001.json"] = b"{}"
    assert list(map(str, chains(place))) == ["dr/risk/fraud", "prod/risk/fraud"]
    assert Head(0, "sha256:" + "0" * 64) == START
