"""What was done to a chain is found, and named by the number of the record."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.ledger.canonical import canonical, parse, sha256_of
from modelyard.ledger.judging import Fault
from modelyard.ledger.layout import ChainName
from modelyard.ledger.records import Head
from modelyard.ledger.segments import compact
from modelyard.ledger.verifying import verify
from modelyard.ledger.writing import append
from tests.tries import tries
from tests.unit.ledger.places import CHAIN, MemoryPlace, chain_of, entries, entry

COUNT = 25
Spoil = Callable[[MemoryPlace], None]


def a_chain(*, segments: bool = False) -> MemoryPlace:
    place = chain_of(COUNT)
    if segments:
        compact(place, CHAIN, COUNT)
    return place


def findings(place: MemoryPlace, *anchors: Head) -> list[tuple[int, Fault]]:
    return [(finding.number, finding.fault) for finding in verify(place, CHAIN, anchors).findings]


def alter(number: int, **fields: object) -> Spoil:
    def spoil(place: MemoryPlace) -> None:
        name = CHAIN.record(number)
        place.objects[name] = canonical({**parse(place.objects[name]), **fields})

    return spoil


def remove(*numbers: int) -> Spoil:
    def spoil(place: MemoryPlace) -> None:
        for number in numbers:
            del place.objects[CHAIN.record(number)]

    return spoil


def swap(one: int, other: int) -> Spoil:
    def spoil(place: MemoryPlace) -> None:
        first, second = CHAIN.record(one), CHAIN.record(other)
        place.objects[first], place.objects[second] = place.objects[second], place.objects[first]

    return spoil


def replace(number: int, raw: bytes) -> Spoil:
    return lambda place: place.objects.update({CHAIN.record(number): raw})


def foreign(number: int) -> Spoil:
    def spoil(place: MemoryPlace) -> None:
        other = ChainName("prod", "risk", "churn")
        append(place, other, entries(1, number))
        place.objects[CHAIN.record(number)] = place.objects[other.record(number)]

    return spoil


def rewrite_from(number: int) -> Spoil:
    """What somebody with write access and this library can do."""

    def spoil(place: MemoryPlace) -> None:
        remove(*range(number, COUNT + 1))(place)
        append(place, CHAIN, [*entries(1, number - 1), *entries(number + 100, COUNT + 100)])

    return spoil


def test_an_untouched_chain_is_intact() -> None:
    for segments in (False, True):
        place = a_chain(segments=segments)
        report = verify(place, CHAIN)
        assert report.intact
        assert report.head == Head(COUNT, sha256_of(place.objects[CHAIN.record(COUNT)]))
        assert verify(place, CHAIN, [report.head, Head(0, "")]).intact


@pytest.mark.parametrize("segments", [False, True], ids=["records alone", "with segments"])
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        pytest.param(alter(1, at="2020-01-01T00:00:00Z"), (1, Fault.ALTERED), id="the first altered"),
        pytest.param(alter(7, type="Approved"), (7, Fault.ALTERED), id="altered"),
        pytest.param(alter(7, previous="sha256:" + "1" * 64), (7, Fault.ALTERED), id="its link altered"),
        pytest.param(alter(1, previous="sha256:" + "1" * 64), (1, Fault.ALTERED), id="the first one's link altered"),
        pytest.param(alter(24, type="Approved"), (24, Fault.ALTERED), id="the last but one altered"),
        pytest.param(replace(7, b"not json"), (7, Fault.ALTERED), id="overwritten with something else"),
        pytest.param(replace(7, b""), (7, Fault.ALTERED), id="emptied"),
        pytest.param(alter(7, cluster="other"), (7, Fault.MISPLACED), id="written by another cluster"),
        pytest.param(remove(1), (1, Fault.MISSING), id="the first missing"),
        pytest.param(remove(7), (7, Fault.MISSING), id="missing"),
        pytest.param(remove(7, 8, 9), (7, Fault.MISSING), id="several missing"),
        pytest.param(swap(7, 8), (7, Fault.REORDERED), id="neighbours swapped"),
        pytest.param(swap(3, 19), (3, Fault.REORDERED), id="swapped"),
        pytest.param(foreign(7), (7, Fault.MISPLACED), id="a record of another chain"),
    ],
)
def test_the_first_bad_record_is_named(spoil: Spoil, expected: tuple[int, Fault], segments: bool) -> None:
    place = a_chain(segments=segments)
    spoil(place)
    assert findings(place)[0] == expected


def test_what_only_an_anchor_shows() -> None:
    noted = verify(a_chain(), CHAIN).head
    for spoil, expected in (
        (remove(COUNT), (COUNT, Fault.CUT)),
        (remove(*range(20, COUNT + 1)), (20, Fault.CUT)),
        (rewrite_from(20), (COUNT, Fault.REWRITTEN)),
        (rewrite_from(1), (COUNT, Fault.REWRITTEN)),
        (alter(COUNT, type="Approved"), (COUNT, Fault.REWRITTEN)),
    ):
        place = a_chain()
        spoil(place)
        assert findings(place) == []
        assert findings(place, noted) == [expected]


def test_a_segment_shows_what_was_cut_off_the_records() -> None:
    place = a_chain(segments=True)
    remove(*range(19, COUNT + 1))(place)
    report = verify(place, CHAIN)
    assert [(each.number, each.fault) for each in report.findings] == [(19, Fault.MISSING), (20, Fault.MISSING)]
    assert report.findings[0].message == "record 19 is missing; a segment holds its bytes"


def test_a_spoiled_segment_is_told_from_spoiled_records() -> None:
    place = a_chain(segments=True)
    name = CHAIN.segment(20, 1)
    lines = place.objects[name].split(b"\n")
    lines[6] = lines[6].replace(b"Verified", b"Approved")
    place.objects[name] = b"\n".join(lines)
    assert findings(place) == [(7, Fault.SEGMENT)]
    place.objects[name] = b"\n".join(lines[:10])
    [finding] = verify(place, CHAIN).findings
    assert (finding.number, finding.fault, finding.object) == (1, Fault.SEGMENT, name)


def test_two_neighbours_altered() -> None:
    """Their links cannot tell which of the two it began with; the copies in a segment can."""
    for segments, first in ((True, 7), (False, 8)):
        place = a_chain(segments=segments)
        alter(7, type="Approved")(place)
        alter(8, type="Approved")(place)
        assert findings(place)[0] == (first, Fault.ALTERED)


def test_a_chain_that_was_adopted_is_intact() -> None:
    place = MemoryPlace()
    append(place, CHAIN, entries(1, 3))
    append(place, CHAIN, [entry(4, type="Adopted"), entry(5)], append(place, CHAIN, []).head, cluster="dr")
    assert verify(place, CHAIN).intact


@given(number=st.integers(1, COUNT - 1), byte=st.integers(0, 10_000), value=st.integers(0, 255), segments=st.booleans())
@tries(80)
def test_any_changed_byte_is_found(number: int, byte: int, value: int, segments: bool) -> None:
    place = a_chain(segments=segments)
    name = CHAIN.record(number)
    raw = bytearray(place.objects[name])
    before = bytes(raw)
    raw[byte % len(raw)] = value
    place.objects[name] = bytes(raw)
    found = findings(place)
    assert (found == []) == (bytes(raw) == before)
    assert not found or found[0][0] == number


@given(data=st.data())
@tries(60)
def test_any_removal_and_any_order_is_found(data: st.DataObject) -> None:
    place = a_chain()
    kept = data.draw(st.lists(st.sampled_from(range(1, COUNT + 1)), unique=True, max_size=COUNT))
    records = {number: place.objects.pop(CHAIN.record(number)) for number in range(1, COUNT + 1)}
    places = sorted(data.draw(st.permutations(kept)))
    place.objects |= {CHAIN.record(spot): records[number] for spot, number in zip(places, kept, strict=True)}
    whole = kept == list(range(1, len(kept) + 1))
    wrong = next((spot for spot, (at, number) in enumerate(zip(places, kept, strict=True), 1) if at != spot), None)
    assert (findings(place) == []) == whole
    assert findings(place, Head(COUNT, "sha256:x")) != []
    if wrong and kept[: wrong - 1] == list(range(1, wrong)):
        assert findings(place)[0] == (wrong, Fault.MISSING)
