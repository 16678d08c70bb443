"""The questions people ask, against a ledger in a folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.ledger.asof import window
from modelyard.ledger.errors import BrokenChainError, LedgerError, UnknownChainError
from modelyard.ledger.judging import Fault
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, open_place, prepare
from modelyard.ledger.queries import Reader, as_json, asof, export, find_chains, history, verify_chains
from modelyard.ledger.records import START, Head
from modelyard.ledger.segments import compact
from modelyard.ledger.writing import append
from tests.unit.ledger.places import MemoryPlace

FRAUD = ChainName("prod", "risk", "fraud")
CHURN = ChainName("prod", "risk", "churn")
ELSEWHERE = ChainName("dr", "risk", "fraud")


def promoted(day: int, version: str, stage: str = "production") -> dict[str, Any]:
    to = {"version": version, "digest": f"sha256:{version}", "revision": "r"}
    approvals = [{"name": "a", "by": "alice@example.com", "decision": "Approve"}]
    about = {"version": version, "spec": {"datasets": [{"name": f"payments-{version}"}]}}
    return {
        "type": "Promoted", "at": f"2025-11-{day:02}T12:00:00Z", "stage": stage, "to": to, "approvals": approvals,
        "version": about,
    }  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    place = open_place(LedgerSettings(f"file://{folder}"))
    prepare(place)
    moves = [promoted(day, str(day), "production" if day % 5 else "staging") for day in range(1, 28)]
    head = append(place, FRAUD, moves).head
    compact(place, FRAUD, head.number)
    append(place, CHURN, [promoted(3, "1")])
    return folder


@pytest.fixture
def ledger(written: Path, tmp_path: Path) -> LedgerSettings:
    shutil.copytree(written, tmp_path / "ledger")
    return LedgerSettings(f"file://{tmp_path}/ledger")


def test_what_was_in_production(ledger: LedgerSettings) -> None:
    [answer] = asof(ledger, "risk/fraud", "production", "2025-11-14")
    assert [(p.serves.version, p.since.day, p.until and p.until.day) for p in answer.periods] == [
        ("13", 13, 14),
        ("14", 14, 16),
    ]
    told = as_json(answer)
    assert told["chain"] == {"cluster": "prod", "namespace": "risk", "model": "fraud"}
    period = told["periods"][1]
    assert period["origin"]["approvals"][0]["by"] == "alice@example.com"
    assert period["version"]["spec"]["datasets"] == [{"name": "payments-14"}]
    assert (period["since"], told["records"]) == ("2025-11-14T12:00:00Z", 27)
    json.dumps(told)


def test_before_the_first_and_at_a_stage_that_never_was(ledger: LedgerSettings) -> None:
    assert asof(ledger, "risk/fraud", "production", "2024-01-01")[0].periods == ()
    assert asof(ledger, "risk/fraud", "canary", "2025-11-14")[0].periods == ()


def test_each_cluster_that_has_recorded_the_model_answers(ledger: LedgerSettings) -> None:
    append(open_place(ledger), ELSEWHERE, [promoted(2, "9")])
    answers = asof(ledger, "risk/fraud", "production", "2025-11-20T00:00:00Z")
    assert {str(a.chain): [p.serves.version for p in a.periods] for a in answers} == {
        "dr/risk/fraud": ["9"], "prod/risk/fraud": ["19"],
    }  # fmt: skip
    assert [str(a.chain) for a in asof(ledger, "dr/risk/fraud", "production", "2025-11-20")] == ["dr/risk/fraud"]


def test_history(ledger: LedgerSettings) -> None:
    assert [record.number for record in history(ledger, "risk/fraud", last=2)] == [26, 27]
    assert [record.number for record in history(ledger, "risk/fraud", stage="staging")] == [5, 10, 15, 20, 25]
    assert len(history(ledger, "risk/churn", last=50)) == 1


def test_export_is_the_chain_itself(ledger: LedgerSettings) -> None:
    exported = list(export(ledger))
    assert [str(chain) for chain, _ in exported] == ["prod/risk/churn"] + ["prod/risk/fraud"] * 27
    place = MemoryPlace()
    place.objects = {FRAUD.record(n): raw for n, (_, raw) in enumerate(export(ledger, "risk/fraud"), 1)}
    assert next(iter(verify_chains(place, "risk/fraud"))).intact


def test_verify_says_which_chain(ledger: LedgerSettings, tmp_path: Path) -> None:
    record = tmp_path / "ledger" / FRAUD.record(7)
    raw = record.read_bytes().replace(b"alice", b"mallo")
    record.unlink()
    record.write_bytes(raw)
    churn, fraud = verify_chains(ledger)
    assert (churn.intact, churn.head.number) == (True, 1)
    assert [(finding.number, finding.fault) for finding in fraud.findings] == [(7, Fault.ALTERED)]
    [report] = verify_chains(ledger, "risk/churn", [Head(2, "sha256:x")])
    assert [finding.fault for finding in report.findings] == [Fault.CUT]


@pytest.mark.parametrize("ask", [
    pytest.param(lambda ledger: asof(ledger, "risk/churn", "production", "2025-11-20"), id="asof"),
    pytest.param(lambda ledger: history(ledger, "risk/churn"), id="history"),
    pytest.param(lambda ledger: list(export(ledger)), id="export"),
])  # fmt: skip
def test_a_broken_chain_gives_no_answer(
    ledger: LedgerSettings, tmp_path: Path, ask: Callable[[LedgerSettings], object]
) -> None:
    record = tmp_path / "ledger" / CHURN.record(1)
    record.unlink()
    record.write_bytes(b'{"number": 1}')
    with pytest.raises(BrokenChainError, match="modelyard ledger verify"):
        ask(ledger)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("fraud", "expected namespace/model or cluster/namespace/model"),
        ("a/b/c/d", "expected namespace/model or cluster/namespace/model"),
        ("risk/", "expected namespace/model"),
        ("risk/unheard-of", "has no record of it"),
        ("../etc/passwd", "expected 1-63 letters"),
    ],
)
def test_models_that_nothing_is_known_of(ledger: LedgerSettings, model: str, says: str) -> None:
    with pytest.raises(UnknownChainError, match=says):
        asof(ledger, model, "production", "2025-11-20")


def test_a_reader_reads_only_what_is_new() -> None:
    place = MemoryPlace()
    known = append(place, FRAUD, [promoted(day, str(day)) for day in range(1, 25)]).head
    compact(place, FRAUD, known.number)
    reader, asked = Reader(place), window("2025-11-28")
    assert [p.serves.version for p in reader.asof(FRAUD, "production", asked).periods] == ["24"]
    append(place, FRAUD, [promoted(26, "26")], known)
    place.reads = place.lists = 0
    answer = reader.asof(FRAUD, "production", asked)
    assert ([p.serves.version for p in answer.periods], answer.records) == (["26"], 25)
    assert (place.reads, place.lists) == (1, 1)
    assert find_chains(place, "risk/fraud") == [FRAUD]


def test_a_reader_does_not_answer_from_what_was_broken_since() -> None:
    place = MemoryPlace()
    known = append(place, FRAUD, [promoted(1, "1")]).head
    reader = Reader(place)
    reader.asof(FRAUD, "production", window("2025-11-28"))
    append(place, FRAUD, [promoted(2, "2")], known)
    place.objects[FRAUD.record(2)] = place.objects[FRAUD.record(2)].replace(
        known.sha256.encode(), START.sha256.encode()
    )
    for _ in range(2):
        with pytest.raises(LedgerError):
            reader.asof(FRAUD, "production", window("2025-11-28"))
