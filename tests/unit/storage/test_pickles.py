"""Attacks are called dangerous, and what cannot be read is said to be unread. Nothing here is ever loaded.

That real models pass is tested in tests/store/test_real_models.py, with the libraries that make them.
"""

import io
import itertools
import os
import pickle
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.reasons import ArtifactNote, ArtifactReason
from modelyard.storage.digest import FileDigest
from modelyard.storage.errors import ArtifactError
from modelyard.storage.formats import inflate, pickle_walk
from modelyard.storage.formats.inflate import Budget
from modelyard.storage.formats.pickle_files import scan
from modelyard.storage.verification import PicklePolicy, judge_pickles
from tests.pickles import Runs, scanned

ATTACKS = {
    "os.system": pickle.dumps(Runs(os.system, "true")),
    "eval, deep inside": pickle.dumps({"model": [1, {"x": Runs(eval, "1")}]}),
    "exec, old protocol": pickle.dumps(Runs(exec, "1"), protocol=0),
    "by name only": b"cos\nsystem\n.",
    "through getattr": b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR(S'true'\ntR.",
    "calling what getattr gave": b"cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntR(S'true'\ntR.",
    "calling it through a memo": b"cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntRp0\n0g0\n(S'true'\ntR.",
    "altering what getattr gave": b"cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntR}S'a'\nI1\nsb.",
    "an old way to call": b"(cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntRS'true'\no.",
    "altering a module": b"ccloudpickle.cloudpickle\nsubimport\n(S'json'\ntR}S'loads'\nNsb.",
    "handing it to a call": b"cfunctools\npartial\n(cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntRtR.",
    "handing it to a call by INST": b"(cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntRifunctools\npartial\n.",
    "handing it on in a list": b"cfunctools\npartial\n](cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntReR.",
    "through a partial's state": (
        b"cfunctools\npartial\n(cbuiltins\nint\ntRp0\n(cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntR(t}Ntbg0\n(tR."
    ),
    "as a metaclass": (
        b"ccloudpickle.cloudpickle\n_make_skeleton_class\n(cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntRS'n'\n(t}NNtR."
    ),
    "behind a large array": pickle.dumps([b"\0" * 3_000_000, Runs(os.system, "true")]),
    "as a second pickle": pickle.dumps(1) + pickle.dumps(Runs(os.system, "true")),
    "cut short after the call": pickle.dumps(Runs(os.system, "true"))[:-1],
    "followed by rubbish": pickle.dumps([Runs(os.system, "true"), 1])[:-1] + b"\xff\xff",
}


@pytest.mark.parametrize("content", ATTACKS.values(), ids=ATTACKS.keys())
def test_attacks_are_dangerous(content: bytes) -> None:
    assert scanned(content).dangerous


@pytest.mark.parametrize("policy", list(PicklePolicy))
def test_dangerous_is_refused_whatever_the_policy(policy: PicklePolicy) -> None:
    with pytest.raises(ArtifactError) as refused:
        judge_pickles([scanned(ATTACKS["os.system"], "data/model.pkl")], policy)
    assert refused.value.reason is ArtifactReason.PICKLE_DANGEROUS
    assert "data/model.pkl" in refused.value.message
    assert "posix.system" in refused.value.message


def test_policies() -> None:
    harmless = [scanned(pickle.dumps({"a": 1}))]
    assert judge_pickles(harmless, PicklePolicy.ALLOW) == []
    assert [note.reason for note in judge_pickles(harmless, PicklePolicy.WARN)] == [ArtifactNote.PICKLE_FOUND]
    with pytest.raises(ArtifactError) as refused:
        judge_pickles(harmless, PicklePolicy.REFUSE)
    assert refused.value.reason is ArtifactReason.PICKLE_REFUSED
    assert judge_pickles([], PicklePolicy.REFUSE) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x80\x04rubbish", id="rubbish"),
        pytest.param(pickle.dumps([1, 2, 3])[:-2], id="cut short"),
        pytest.param(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", id="bytes of 2^60 bytes"),
        pytest.param(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", id="a string of 2^60 bytes"),
        pytest.param(b"\x80\x04\x8b" + struct.pack("<i", (1 << 31) - 1) + b".", id="an endless number"),
        pytest.param(b"x\x9cnot zlib", id="damaged compression"),
    ],
)
def test_what_cannot_be_read_is_said_to_be_unread(content: bytes) -> None:
    found = scanned(content, "model.joblib")
    assert not found.complete
    assert judge_pickles([found], PicklePolicy.WARN)[0].reason is ArtifactNote.PICKLE_NOT_SCANNED


def test_a_walk_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_walk, "MAX_OPCODES", 1000)
    assert not scanned(b"\x80\x04" + b"N0" * 600 + b"N.").complete


@given(st.binary(max_size=300))
def test_no_bytes_break_the_walk(content: bytes) -> None:
    for joblib in (True, False):
        pickle_walk.walk(io.BytesIO(b"\x80\x04" + content), joblib=joblib)


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary() | st.floats(), st.lists, max_leaves=20))
def test_a_walk_keeps_all_but_the_data(value: Any) -> None:
    for protocol in range(2, 6):
        program = pickle_walk.walk(io.BytesIO(pickle.dumps(value, protocol)), joblib=True)
        assert program.complete
        assert len(program.streams) == 1
        assert not program.has_arrays


def torch_like(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def test_pickles_in_a_zip() -> None:
    weights = ("archive/data/0", b"\0" * 100)
    attack = torch_like(("archive/data.pkl", ATTACKS["os.system"]), weights)
    assert scanned(attack, "model.pt").dangerous
    assert scanned(attack, "renamed").dangerous
    assert scanned(torch_like(("archive/data.pkl", pickle.dumps({"a": 1})), weights), "model.pt").complete
    assert not scanned(attack[:-30], "model.pt").complete


def test_a_bomb_in_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = torch_like(*((f"{number}.pkl", pickle.dumps(bytes(100_000))) for number in range(20)))
    assert scanned(bomb, "model.pt").complete
    monkeypatch.setattr(inflate, "MAX_INFLATED", 1_000_000)
    assert not scanned(bomb, "model.pt").complete


def test_a_scan_has_its_time() -> None:
    bomb = torch_like(*((f"{number}.pkl", ATTACKS["os.system"]) for number in range(100)))
    moments = itertools.chain([0.0] * 10, itertools.repeat(inflate.SCAN_SECONDS + 1))
    found = scanned(bomb, "model.pt", Budget(lambda: next(moments)))
    assert (found.complete, bool(found.dangerous)) == (False, True)  # what was found in time counts
    assert next(moments) > inflate.SCAN_SECONDS


def test_a_zip_without_pickles_is_none() -> None:
    content = torch_like(("a.txt", b"x"))
    file = FileDigest("data.zip", len(content), "", content[:64])
    assert scan(file, lambda path: io.BytesIO(content), Budget()) is None
