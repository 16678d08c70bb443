"""Signed records and heads: what somebody with every right in the store, and without the key, cannot do unseen."""

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from modelyard.ledger.canonical import canonical, parse
from modelyard.ledger.errors import KeyFileError
from modelyard.ledger.heads import note
from modelyard.ledger.judging import Fault
from modelyard.ledger.layout import ChainName
from modelyard.ledger.records import START, Head, load_record
from modelyard.ledger.signing import Keys, Signer, load_keys, load_signer
from modelyard.ledger.verifying import Report, verify
from modelyard.ledger.writing import append
from tests.unit.ledger.places import CHAIN, MemoryPlace, entries, times, told

TODAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
Spoil = Callable[[MemoryPlace], object]


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN)
    return pem


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


@cache
def signer_of(key: Ed25519PrivateKey) -> Signer:
    return load_signer(private_pem(key), "key.pem")


def keys_of(*keys: Ed25519PrivateKey) -> Keys:
    return load_keys({f"{number}.pem": public_pem(key) for number, key in enumerate(keys)})


def extended(place: MemoryPlace, first: int, last: int, key: Ed25519PrivateKey | None = OURS) -> Head:
    """The chain with these entries appended as well; its head noted on as many days later."""
    signer = signer_of(key) if key else None
    known = append(place, CHAIN, []).head
    head = append(place, CHAIN, entries(first, last), known, signer=signer).head
    if signer:
        note(place, CHAIN, head, TODAY + timedelta(days=last), signer)
    return head


def a_chain() -> MemoryPlace:
    """24 signed records; heads were noted at 10 and 24."""
    place = MemoryPlace()
    extended(place, 1, 10)
    extended(place, 11, 24)
    return place


def checked(place: MemoryPlace, *keys: Ed25519PrivateKey) -> Report:
    return verify(place, CHAIN, keys=keys_of(*(keys or (OURS,))))


def faults(place: MemoryPlace, *keys: Ed25519PrivateKey) -> list[tuple[int, Fault]]:
    return [(finding.number, finding.fault) for finding in checked(place, *keys).findings]


def cut(after: int, *, heads: bool = False) -> Spoil:
    """The records after that one are removed; with them the heads that tell of them."""

    def spoil(place: MemoryPlace) -> None:
        for number in range(after + 1, 25):
            del place.objects[CHAIN.record(number)]
        for name in [name for name in place.objects if heads and name.startswith(CHAIN.heads)]:
            if json.loads(place.objects[name])["number"] > after:
                del place.objects[name]

    return spoil


def rewritten(first: int, key: Ed25519PrivateKey | None) -> Spoil:
    """From that record on it says something else, and fits together."""

    def spoil(place: MemoryPlace) -> None:
        cut(first - 1, heads=True)(place)
        known = append(place, CHAIN, []).head
        append(place, CHAIN, entries(first + 100, 124), known, signer=signer_of(key) if key else None)

    return spoil


def test_what_the_operator_signed_is_intact() -> None:
    report = checked(a_chain())
    assert report.intact
    assert report.noted is not None
    assert (report.noted.number, report.noted.head) == (24, report.head)
    assert verify(a_chain(), CHAIN).intact


@pytest.mark.parametrize(
    ("spoil", "first"),
    [
        pytest.param(rewritten(1, None), (1, Fault.UNSIGNED), id="written anew without signatures"),
        pytest.param(rewritten(1, THEIRS), (1, Fault.UNSIGNED), id="written anew with another key"),
        pytest.param(rewritten(15, None), (15, Fault.UNSIGNED), id="the end written anew"),
        pytest.param(rewritten(24, THEIRS), (24, Fault.UNSIGNED), id="the last written anew"),
        pytest.param(cut(23), (24, Fault.CUT), id="the last cut off"),
        pytest.param(cut(5), (6, Fault.CUT), id="much cut off"),
        pytest.param(cut(15, heads=True), None, id="cut off with the heads: the last head is old"),
    ],
)
def test_what_a_store_admin_can_do(spoil: Spoil, first: tuple[int, Fault] | None) -> None:
    place = a_chain()
    spoil(place)
    assert verify(place, CHAIN).intact  # without a key all of this fits together
    report = checked(place)
    assert [(finding.number, finding.fault) for finding in report.findings][:1] == ([first] if first else [])
    if first is None:
        assert report.noted is not None
        assert report.noted.at == TODAY + timedelta(days=10)


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2020-01-01T00:00:00Z"},
        {"signature": "AAAA"},
        {"signature": "no base64"},
        {"key": "another"},
        {"more": 1},
    ],
    ids=str,
)
def test_the_last_record_altered(change: dict[str, Any]) -> None:
    """Nothing comes after it that would tell; the signature does, and so does the signed head."""
    place = a_chain()
    place.objects[CHAIN.record(24)] = canonical({**parse(place.objects[CHAIN.record(24)]), **change})
    assert verify(place, CHAIN).intact
    assert faults(place) == [(24, Fault.REWRITTEN), (24, Fault.UNSIGNED)]


def test_signing_begins_late_and_keys_change() -> None:
    """The newest key vouches for all before; the old one for what came before the change."""
    place = MemoryPlace()
    extended(place, 1, 5, None)
    extended(place, 6, 10, OURS)
    extended(place, 11, 15, THEIRS)
    assert faults(place, THEIRS) == faults(place, OURS, THEIRS) == []
    assert faults(place, OURS) == [(11, Fault.UNSIGNED)]
    extended(place, 16, 17, None)
    assert faults(place, OURS, THEIRS) == [(16, Fault.UNSIGNED)]


def test_heads_that_were_tampered_with() -> None:
    place = a_chain()
    newest = f"{CHAIN.heads}/{(TODAY + timedelta(days=24)).date()}.json"
    noted = parse(place.objects[newest])
    place.objects[newest] = canonical({**noted, "number": 20})
    assert faults(place) == [(20, Fault.HEAD)]
    place.objects[newest] = b"nonsense"
    assert faults(place) == [(0, Fault.HEAD)]
    place.objects[newest] = canonical({**noted, "key": "ed25519:another"})  # as after a change of keys
    assert faults(place) == []
    other = ChainName("prod", "risk", "other")
    append(place, other, entries(1, 1), signer=signer_of(OURS))
    note(place, other, Head(99, "sha256:x"), TODAY, signer_of(OURS))
    place.objects[newest] = place.objects[f"{other.heads}/{TODAY.date()}.json"]
    assert faults(place) == [(99, Fault.HEAD)]


def test_a_head_is_noted_once_a_day() -> None:
    place, signer = MemoryPlace(), signer_of(OURS)
    head = append(place, CHAIN, entries(1, 2), signer=signer).head
    assert note(place, CHAIN, head, TODAY, signer)
    assert not note(place, CHAIN, head, TODAY + timedelta(hours=3), signer)
    assert note(place, CHAIN, head, TODAY + timedelta(days=1), signer)


def test_signing_costs_no_write_and_tells_nothing_twice() -> None:
    """Entries that stand in the chain without a signature are the same entries."""
    place = MemoryPlace()
    append(place, CHAIN, entries(1, 2))
    assert place.creates == 2
    known = append(place, CHAIN, entries(1, 3), signer=signer_of(OURS)).head
    assert place.creates == 3
    append(place, CHAIN, entries(2, 4), START, signer=signer_of(OURS))
    assert place.creates == 4
    assert told(place) == times(1, 4)
    assert known.number == 3
    assert load_record(parse(place.objects[CHAIN.record(3)])).key == signer_of(OURS).key


def test_openssl_verifies_a_record(tmp_path: Path) -> None:
    """With nothing of ours at hand but canonical JSON."""
    record = parse(a_chain().objects[CHAIN.record(7)])
    (tmp_path / "signature").write_bytes(base64.b64decode(record.pop("signature")))
    (tmp_path / "record").write_bytes(json.dumps(record, sort_keys=True, separators=(",", ":")).encode())
    (tmp_path / "public.pem").write_bytes(public_pem(OURS))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "record"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Signature Verified Successfully" in done.stdout


@pytest.mark.parametrize("load", [load_signer, lambda pem, source: load_keys({source: pem})], ids=["private", "public"])
@pytest.mark.parametrize("pem", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\n!"], ids=["empty", "none", "broken"])
def test_files_that_hold_no_key(load: Any, pem: bytes) -> None:
    with pytest.raises(KeyFileError, match=r"read (signing|public) key key\.pem: no .*openssl"):
        load(pem, "key.pem")


def test_keys_of_another_kind() -> None:
    other = generate_private_key(SECP256R1())
    with pytest.raises(KeyFileError, match="expected an Ed25519 key"):
        load_signer(private_pem(other), "key.pem")
    with pytest.raises(KeyFileError, match="expected Ed25519"):
        load_keys({"key.pem": public_pem(other)})
    with pytest.raises(KeyFileError, match="no public key in PEM"):
        load_keys({"key.pem": private_pem(OURS)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_whatever_is_signed_is_known_again(document: dict[str, Any]) -> None:
    signed = parse(signer_of(OURS).signed(document))
    assert keys_of(OURS).vouch_for(signed)
    assert not keys_of(THEIRS).vouch_for(signed)
    assert not keys_of(OURS).vouch_for({**signed, "more": 1})
