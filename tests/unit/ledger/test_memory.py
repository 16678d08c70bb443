"""What is remembered of a chain, and of one whose records say less than today's."""

from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.ledger.memory import REVISIONS_KEPT, Memory, StageMemory, remember
from modelyard.ledger.records import Head, load_record

START = datetime(2026, 1, 1, tzinfo=UTC)


def chain(*documents: dict[str, Any]) -> Memory:
    """The memory of a chain of these records at one stage."""
    records = []
    for number, document in enumerate(documents, 1):
        at = (START + timedelta(minutes=number)).isoformat()
        whole = {"at": at, "stage": "production", "cluster": "old", "number": number, **document}
        records.append((load_record(whole), Head(number, f"sha256:{number}")))
    return remember(Memory(chain="old"), records)


def move(type_: str, version: str, sequence: int, **more: Any) -> dict[str, Any]:
    to = {"version": version, "digest": f"sha256:{version}", "revision": f"r{version}"}
    return {"type": type_, "to": to, "sequence": sequence, **more}


def production(memory: Memory) -> StageMemory:
    return memory.stages["production"]


def ends(memory: Memory) -> dict[str, str]:
    return {version: fate.ended for version, fate in production(memory).fates.items()}


def test_an_empty_chain() -> None:
    assert chain() == Memory(chain="old")


def test_records_without_places_are_placed_in_their_order() -> None:
    memory = chain(*(move("Promoted", str(n), n) for n in (1, 2, 3)), move("Succeeded", "2", 4))
    assert [served.place for served in production(memory).revisions.values()] == [1, 3, 2]
    assert (production(memory).sequence, production(memory).last_place) == (4, 3)


def test_a_rollback_that_does_not_say_what_it_ended_ended_all_that_stood() -> None:
    back = move("RolledBack", "1", 4, request={"source": "Rollback/oops", "reason": "INC-1"})
    memory = chain(*(move("Promoted", str(n), n) for n in (1, 2, 3)), back)
    assert ends(memory) == {"1": "", "2": "RolledBack", "3": "RolledBack"}
    assert production(memory).rollbacks == ("oops",)
    assert production(memory).fates["3"].message == "Rollback 'oops' went back to version '1': INC-1"
    assert [served.to.version for served in production(memory).revisions.values() if served.good] == ["2", "1"]


def test_what_never_served_is_said_to_have_ended() -> None:
    ended = [{"version": "2", "outcome": "Superseded", "id": "u/1"}]
    assert ends(chain(move("Promoted", "1", 1), move("Promoted", "3", 2, ended=ended))) == {
        "1": "",
        "2": "Superseded",
        "3": "",
    }


def test_a_rejection_ends_what_asks_and_not_what_serves() -> None:
    approval = {"name": "no", "by": "bob", "decision": "Reject"}
    rejected = {"type": "Rejected", "approvals": [approval]}
    memory = chain(
        move("Promoted", "1", 1), {**rejected, "version": {"version": "1"}}, {**rejected, "version": {"version": "2"}}
    )
    assert ends(memory) == {"1": "", "2": "Rejected"}


def test_what_was_taken_back_or_deleted_asks_anew() -> None:
    failed = [{"type": "Failed", "version": {"version": version}} for version in "12"]
    gone = [{"type": "Withdrawn", "version": {"version": "1"}}, {"type": "Deleted", "version": {"version": "2"}}]
    assert ends(chain(*failed)) == {"1": "Failed", "2": "Failed"}
    assert ends(chain(*failed, *gone)) == {}


def test_a_trial() -> None:
    tried = move("Promoted", "1", 1, onTrial=True)
    passed = {"type": "Confirmed", "to": tried["to"]}
    assert production(chain(tried)).on_trial
    assert not production(chain(tried)).revisions["r1"].good
    assert not production(chain(tried, passed)).on_trial
    assert production(chain(tried, passed)).revisions["r1"].good


def test_a_model_that_was_deleted_leaves_nothing_but_its_place() -> None:
    memory = chain(move("Promoted", "1", 1), {"type": "Deleted", "stage": ""})
    assert (dict(memory.stages), memory.history, memory.head.number) == ({}, (), 2)


def test_what_serves_is_remembered_however_long_the_chain() -> None:
    moves = [move("Promoted", str(n), n) for n in range(1, 3 * REVISIONS_KEPT)]
    memory = chain(moves[0], *moves[1:], {**move("RolledBack", "1", 0)})
    assert len(production(memory).revisions) == REVISIONS_KEPT
    assert production(memory).revisions["r1"].to.version == "1"


def test_it_goes_on_from_where_it_was() -> None:
    first = chain(move("Promoted", "1", 1, template={"spec": {}}))
    again = remember(
        first,
        [
            (
                load_record({**move("Promoted", "2", 2), "at": "2026-01-02T00:00:00Z", "stage": "production"}),
                Head(2, "x"),
            )
        ],
    )
    assert [served.to.version for served in production(again).revisions.values()] == ["1", "2"]
    assert production(again).revisions["r1"].template == {"spec": {}}
