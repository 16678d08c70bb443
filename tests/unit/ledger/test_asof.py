"""What was in production then? Told as stories, and compared with a replay that is too simple to be wrong."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.ledger.asof import Period, Window, replay, served, window
from modelyard.ledger.records import MOVES, Approval, Entry, Gate, Pointed, Record, RecordType, Request, Version

START = datetime(2025, 11, 14, tzinfo=UTC)


def record(type_: str, hours: float, *, version: str = "", stage: str = "production", **more: Any) -> Record:
    at = START + timedelta(hours=hours)
    if version:
        more["to"] = Pointed(version, f"sha256:{version}", f"r{version}")
    return Record(type=type_, at=at, stage=stage, **more)


def about(type_: str, hours: float, version: Version, **more: Any) -> Record:
    return Record(type=type_, at=START + timedelta(hours=hours), version=version, **more)


def at(periods: Sequence[Period], hours: float) -> list[str]:
    moment = START + timedelta(hours=hours)
    return [p.serves.version for p in served(periods, Window(moment, moment + timedelta(microseconds=1)))]


def test_the_auditors_question() -> None:
    """Two versions registered, the second promoted, rolled back; all objects deleted since."""
    first = Version("6", uid="u6", spec={"source": {"revision": "aaa"}, "datasets": [{"name": "payments-2025q2"}]})
    approvals = (Approval("a1", "alice@example.com", comment="fine"), Approval("a2", "bob@example.com"))
    gates = (Gate("production", "quality", "Passed", candidate={"auc": 0.91}),)
    asked = Request(by="carol@example.com", at=START, reason="quarterly", change="3f2a")
    records = [
        about("Registered", 0, first),
        about("Verified", 0.5, Version("6", uid="u6", digest="sha256:6", size_bytes=12, uri="s3://m/6/")),
        record("Promoted", 1, version="6", approvals=approvals, gates=gates, request=asked),
        about("Registered", 2, Version("7", uid="u7", spec={"source": {"revision": "bbb"}})),
        record("Promoted", 30, version="7", approvals=(Approval("a3", "alice@example.com"),)),
        record("RolledBack", 36, version="6", request=Request(by="dave@example.com", reason="INC-1", ticket="INC-1")),
        about("Deleted", 50, Version("6", uid="u6")),
    ]
    periods = replay(records).periods("production")
    day = served(periods, window("2025-11-15"))
    assert [(p.serves.version, p.until and p.until - p.since) for p in day] == [
        ("6", timedelta(hours=29)), ("7", timedelta(hours=6)), ("6", None),
    ]  # fmt: skip
    again = day[2]
    assert (again.move.request and again.move.request.by, again.move.type) == ("dave@example.com", "RolledBack")
    assert again.origin is not None
    assert [approval.by for approval in again.origin.approvals] == ["alice@example.com", "bob@example.com"]
    assert again.origin.gates == gates
    assert again.origin.request == asked
    assert again.version.spec == first.spec
    assert (again.version.digest, again.version.size_bytes, again.version.uri) == ("sha256:6", 12, "s3://m/6/")
    assert day[1].version.spec == {"source": {"revision": "bbb"}}
    assert at(periods, 0.5) == []


def test_traffic_moved_later_than_it_was_decided() -> None:
    moved = START + timedelta(hours=2, seconds=40)
    records = [record("Promoted", 1, version="1"), record("Promoted", 2, version="2", effective_at=moved)]
    periods = replay(records).periods()
    assert periods[0].until == periods[1].since == moved
    assert at(periods, 2.01) == ["1"]


def test_clocks_that_disagree_do_not_reorder() -> None:
    records = [
        record("Promoted", 5, version="1"),
        record("Promoted", 4.9, version="2"),
        record("Promoted", 6, version="3"),
    ]
    assert [(p.serves.version, p.since.hour) for p in replay(records).periods()] == [("2", 5), ("3", 6)]


def test_a_suspended_stage_carries_its_version_and_serves_nothing() -> None:
    records = [record("Promoted", 1, version="1"), record("Suspended", 2), record("Resumed", 3), record("Paused", 4)]
    periods = replay(records).periods()
    assert [(p.serves.version, p.suspended) for p in periods] == [("1", False), ("1", True), ("1", False)]
    assert {p.move.at for p in periods} == {START + timedelta(hours=1)}


def test_stages_do_not_meet() -> None:
    records = [record("Promoted", 1, version="1", stage="staging"), record("Promoted", 2, version="2")]
    done = replay(records)
    assert [p.serves.version for p in done.periods("staging")] == ["1"]
    assert [(p.stage, p.serves.version) for p in done.periods()] == [("staging", "1"), ("production", "2")]


def test_a_deleted_model_serves_nothing_and_may_come_back() -> None:
    records = [record("Promoted", 1, version="1"), record("Deleted", 3, stage=""), record("Promoted", 5, version="1")]
    periods = replay(records).periods()
    assert [(p.since.hour, p.until and p.until.hour) for p in periods] == [(1, 3), (5, None)]


def test_a_version_made_anew_under_the_same_name() -> None:
    """What is told of each is its own, though both were called 1."""
    records = [
        about("Registered", 0, Version("1", uid="old", spec={"author": "alice"})),
        about("Verified", 1, Version("1", uid="old", digest="sha256:a")),
        Record(type="Promoted", at=START + timedelta(hours=2), stage="production", to=Pointed("1", "sha256:a")),
        about("Registered", 3, Version("1", uid="new", spec={"author": "bob"})),
        about("Verified", 4, Version("1", uid="new", digest="sha256:b")),
        Record(type="Promoted", at=START + timedelta(hours=5), stage="production", to=Pointed("1", "sha256:b")),
    ]
    assert [p.version.spec for p in replay(records).periods()] == [{"author": "alice"}, {"author": "bob"}]


def test_a_version_of_which_nothing_was_recorded() -> None:
    [period] = replay([record("Promoted", 1, version="1")]).periods()
    assert period.version == Version("1", digest="sha256:1")


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        ("2025-11-15", "2025-11-15T00:00:00+00:00", timedelta(days=1)),
        ("2025-11-15T10:30:00Z", "2025-11-15T10:30:00+00:00", timedelta(microseconds=1)),
        ("2025-11-15T10:30", "2025-11-15T10:30:00+00:00", timedelta(microseconds=1)),
        ("2025-11-15T10:30:00+02:00", "2025-11-15T08:30:00+00:00", timedelta(microseconds=1)),
    ],
)
def test_times_people_write(text: str, start: str, length: timedelta) -> None:
    assert window(text).start == datetime.fromisoformat(start)
    assert window(text).end - window(text).start == length


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01", "15.11.2025", "2025-11-15T99"])
def test_times_nobody_understands(text: str) -> None:
    with pytest.raises(ValueError, match="expected 2025-11-15 or 2025-11-15T10:30:00Z"):
        window(text)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*MOVES, RecordType.SUSPENDED, RecordType.RESUMED, RecordType.PAUSED, RecordType.REGISTERED]),
        st.integers(0, 20),  # minutes since the one before
        st.sampled_from(["staging", "production"]),
        st.sampled_from("1234"),
    ),
    max_size=30,
)


@given(events=EVENTS, asked=st.lists(st.integers(0, 700), max_size=20))
def test_as_a_naive_replay_says(events: list[tuple[RecordType, int, str, str]], asked: list[int]) -> None:
    records: list[Entry] = []
    minutes = 0
    for type_, more, stage, version in events:
        minutes += more
        moves = type_ in MOVES
        records.append(record(type_, minutes / 60, version=version if moves else "", stage=stage))
    periods = {stage: replay(records).periods(stage) for stage in ("staging", "production")}  # type: ignore[arg-type]
    for minute in asked:
        moment = START + timedelta(minutes=minute)
        for stage, found in periods.items():
            serves, suspended = None, False
            for each in records:
                if each.at > moment or each.stage != stage:
                    continue
                serves = each.to.version if each.to else serves
                suspended = {"Suspended": True, "Resumed": False}.get(each.type, suspended)
            then = served(found, Window(moment, moment + timedelta(microseconds=1)))
            assert [(p.serves.version, p.suspended) for p in then] == ([(serves, suspended)] if serves else [])


@given(events=EVENTS)
def test_periods_of_a_stage_follow_each_other(events: list[tuple[RecordType, int, str, str]]) -> None:
    minutes = 0
    records = []
    for type_, more, _, version in events:
        minutes += more
        records.append(record(type_, minutes / 60, version=version if type_ in MOVES else ""))
    periods = replay(records).periods("production")
    for before, after in pairwise(periods):
        assert before.since < (before.until or before.since) == after.since
    assert all(period.until for period in periods[:-1])
    assert not periods or periods[-1].until is None
