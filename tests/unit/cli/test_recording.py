"""The auditor's questions at the command line: no cluster, no version, nothing but the ledger and one's own rights."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelyard.cli.main import main
from modelyard.ledger.heads import note
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, open_place, prepare
from modelyard.ledger.signing import Signer
from modelyard.ledger.writing import append

Obj = dict[str, Any]
DIGEST = "sha256:" + "6a" * 32


def promoted(day: int, version: str) -> Obj:
    return {
        "type": "Promoted", "at": f"2025-11-{day}T12:00:00Z", "stage": "production",
        "to": {"version": version, "digest": DIGEST, "revision": "r"},
        "request": {"by": "alice@example.com", "reason": "better recall", "ticket": "CHG-1", "change": "3f2a"},
        "approvals": [{"name": "a", "by": "bob@example.com", "decision": "Approve", "comment": "fine"}],
        "gates": [{"stage": "production", "name": "quality", "result": "Passed"}],
        "version": {
            "version": version, "digest": DIGEST, "uri": "s3://models/fraud/6/",
            "spec": {
                "source": {"repository": "https://git.example.com/risk", "revision": "3f2a9c1"},
                "datasets": [{"name": "payments", "digest": "d1"}], "metrics": {"auc": 0.91},
            },
        },
    }  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Version 6 from the 10th, version 7 from the 15th; no kubeconfig anywhere."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    place = open_place(LedgerSettings(f"file://{folder}"))
    prepare(place)
    append(place, ChainName("prod", "risk", "fraud"), [promoted(10, "6"), promoted(15, "7")])
    monkeypatch.setenv("MODELYARD_LEDGER", f"file://{folder}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return folder


def test_what_served_on_a_date_on_which_data_approved_by_whom(ledger: Path, capsys: Any) -> None:
    assert main(["asof", "risk/fraud@production", "2025-11-12"]) == 0
    text = capsys.readouterr().out
    assert "version 6 served from 2025-11-10T12:00:00Z until 2025-11-15T12:00:00Z" in text
    told = " ".join(text.split())
    assert "asked by alice@example.com, better recall, ticket CHG-1, change 3f2a" in told
    for fact in (DIGEST, "approved by bob@example.com fine", "data payments d1", "git.example.com/risk 3f2a9c1"):
        assert fact in told
    assert "gate production/quality Passed" in told


def test_a_day_on_which_it_changed_has_two_answers(ledger: Path, capsys: Any) -> None:
    assert main(["asof", "risk/fraud@production", "2025-11-15", "-o", "json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert [period["serves"]["version"] for period in answer["periods"]] == ["6", "7"]


def test_before_anything_served(ledger: Path, capsys: Any) -> None:
    assert main(["asof", "risk/fraud@production", "2025-01-01"]) == 0
    assert "nothing served" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["asof", "risk/fraud@production", "yesterday"], 2, "expected 2025-11-15"),
        (["asof", "risk/fraud", "2025-11-15"], 2, "names no stage"),
        (["asof", "risk/other@production", "2025-11-15"], 3, "has no record of it"),
        (["asof", "fraud@production", "2025-11-15"], 4, "KUBECONFIG"),
        (["asof", "risk/fraud@production", "2025-11-15", "--ledger", "gs://x"], 1, "expected s3://"),
        (["ledger", "verify", "--head", "2:sha256:00"], 2, "name the MODEL"),
        (["ledger", "verify", "risk/fraud", "--head", "two"], 2, "NUMBER:sha256"),
    ],
)
def test_what_cannot_be_answered(ledger: Path, capsys: Any, words: list[str], code: int, says: str) -> None:
    assert main(words) == code
    done = capsys.readouterr()
    assert done.out == ""
    assert says in done.err


def test_no_ledger_is_named(ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("MODELYARD_LEDGER")
    assert main(["asof", "risk/fraud@production", "2025-11-15"]) == 4
    assert "--ledger" in capsys.readouterr().err


def test_history_from_the_ledger(ledger: Path, capsys: Any) -> None:
    assert main(["history", "risk/fraud@production", "--ledger", f"file://{ledger}"]) == 0
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[:5] == ["2025-11-15T12:00:00Z", "production", "Promoted", "-", "7"]
    assert "CHG-1" in last


def test_an_intact_ledger_tells_its_heads(ledger: Path, capsys: Any) -> None:
    assert main(["ledger", "verify"]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith("prod/risk/fraud: 2 records, intact; head 2:")
    head = line.rpartition(" ")[2]
    assert main(["ledger", "verify", "risk/fraud", "--head", head]) == 0


def test_a_record_that_was_altered_is_named(ledger: Path, capsys: Any) -> None:
    (record,) = ledger.glob("prod/risk/fraud/records/*1.json")
    record.chmod(0o644)
    record.write_bytes(record.read_bytes().replace(b"bob@", b"eve@"))
    assert main(["ledger", "verify"]) == 1
    said = capsys.readouterr().err
    assert "record 1: Altered" in said
    assert "not as it was written: prod/risk/fraud" in said


def test_an_end_that_was_cut_off_is_found_by_a_noted_head(ledger: Path, capsys: Any) -> None:
    main(["ledger", "verify"])
    head = capsys.readouterr().out.strip().rpartition(" ")[2]
    (last,) = ledger.glob("prod/risk/fraud/records/*2.json")
    last.unlink()
    assert main(["ledger", "verify", "risk/fraud"]) == 0
    assert main(["ledger", "verify", "risk/fraud", "--head", head]) == 1
    assert "Cut" in capsys.readouterr().err


def test_an_export_can_be_checked_with_a_hash_alone(ledger: Path, capfdbinary: Any) -> None:
    assert main(["ledger", "export", "risk/fraud"]) == 0
    first, second = capfdbinary.readouterr().out.splitlines()
    assert json.loads(second)["previous"] == "sha256:" + hashlib.sha256(first).hexdigest()


def test_a_signed_ledger_is_verified_with_a_key(ledger: Path, tmp_path: Path, capsys: Any) -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(pem)
    with_key = ["ledger", "verify", "risk/fraud", "--key", str(tmp_path / "public.pem")]
    assert main(with_key) == 1
    assert "record 1: Unsigned: neither record 1 nor any after it is signed" in capsys.readouterr().err
    place, chain = open_place(LedgerSettings(f"file://{ledger}")), ChainName("prod", "risk", "fraud")
    head = append(place, chain, [promoted(16, "8")], append(place, chain, []).head, signer=Signer(private)).head
    assert main(with_key) == 0
    assert capsys.readouterr().out.strip().endswith("; signed; no signed head")
    note(place, chain, head, datetime(2025, 11, 17, 3, tzinfo=UTC), Signer(private))
    assert main(with_key) == 0
    assert capsys.readouterr().out.strip().endswith("; signed; last signed head: record 3, 2025-11-17T03:00:00Z")
    (tmp_path / "public.pem").write_text("nonsense")
    assert main(with_key) == 1
    assert "no public key in PEM" in capsys.readouterr().err
