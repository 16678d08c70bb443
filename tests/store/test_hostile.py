"""Hostile artifacts and hostile stores, against the programs as pods run them, in as much memory as they get there.

Each is refused with a reason of its own, in little memory and within its time, and nothing is written but below the
target folder. docs/security.md says of whom each of these is to be expected.
"""

import bz2
import io
import itertools
import lzma
import os
import pickle
import struct
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pickles import Runs
from tests.store.confined import MIB, Confined, Ended
from tests.store.conftest import Bucket, digest_of
from tests.store.gateway import Gateway
from tests.store.hostile import Asked, HostileStore, Misbehaviour, Reply, listing, part

STALLED = "2"
URI = "s3://bucket/m/"


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    confined = Confined(tmp_path_factory.mktemp("confined"))
    yield confined
    confined.stop()


@pytest.fixture
def hostile() -> Iterator[Callable[..., HostileStore]]:
    """Starts stores that misbehave."""
    stores: list[HostileStore] = []

    def start(misbehave: Misbehaviour = lambda asked: None, **files: bytes | Path) -> HostileStore:
        stores.append(HostileStore(misbehave, **files))
        return stores[-1]

    yield start
    for store in stores:
        store.stop()


Start = Callable[..., HostileStore]


# -- artifacts ---------------------------------------------------------------------------------------------------------


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def claiming(directory: int) -> bytes:
    """A zip file that claims a directory of that many bytes, and is that long."""
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 9, 9, directory, 4, 0)
    return b"PK\x03\x04" + bytes(directory) + end


def merged(levels: int) -> bytes:
    """YAML whose merge keys multiply by ten on every line."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, levels)]
    return "\n".join(lines).encode()


LAUGHS = b"\n".join(b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10) if n else b"lol") for n in range(30))
XZ_OF_4_GIB = bytearray(lzma.compress(pickle.dumps(1), format=lzma.FORMAT_ALONE))
XZ_OF_4_GIB[1:5] = struct.pack("<I", 0xFFFFFFFF)  # the dictionary that it asks for
DUPLICATED = (  # tuples of the same two tuples, 60 deep: 2^60 values to whoever looks at each
    b"\x80\x04cbuiltins\ngetattr\n(cnumpy\nzeros\nS'x'\ntR0cbuiltins\nlen\n" + b"N\x85" + b"2\x86" * 60 + b"\x85R."
)
LONG_SHAPE = (  # an array of 300,000 dimensions, each of 255
    b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)R}(S'shape'\n(" + b"K\xff" * 300_000
    + b"tS'dtype'\ncnumpy\ndtype\n(S'f8'\nK\x00K\x01tR(K\x03S'<'\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbub."
)  # fmt: skip
HUGE_STRING = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60)

Make = Callable[[], bytes]
"""Contents are made for the test alone: some take seconds, or hundreds of megabytes."""

REFUSED: dict[str, tuple[str, Make, str, str]] = {
    "safetensors: a header of 2^60 bytes": (
        "model.safetensors", lambda: struct.pack("<Q", 1 << 60) + b"{}", "FormatMismatch", f"claims {1 << 60} bytes",
    ),
    "safetensors: millions of empty lists": (
        "model.safetensors", lambda: struct.pack("<Q", 15_000_003) + b"[" + b"[]," * 5_000_000 + b"1]" + bytes(9),
        "FormatMismatch", "header",
    ),
    "safetensors: nested a million deep": (
        "model.safetensors", lambda: struct.pack("<Q", 10**6) + b"[" * 10**6, "FormatMismatch", "not JSON",
    ),
    "gguf: 2^60 tensors": (
        "model.gguf", lambda: b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60),
        "FormatMismatch", f"claims {1 << 60} tensors",
    ),
    "onnx: a graph of 2^63 bytes": (
        "model.onnx", lambda: b"\x08\x08\x3a" + b"\xff" * 9 + b"\x01", "FormatMismatch", "a field at byte",
    ),
    "onnx: a million fields": ("model.onnx", lambda: b"\x08\x00" * 500_000, "FormatMismatch", "outermost fields"),
    "MLmodel: a billion laughs": ("MLmodel", lambda: LAUGHS, "FormatMismatch", "names no flavors"),
    "MLmodel: merge keys": ("MLmodel", lambda: merged(12), "FormatMismatch", "names no flavors"),
    "MLmodel: nested a million deep": ("MLmodel", lambda: b"[" * 10**6, "FormatMismatch", "nested more than"),
    "MLmodel: a number of a million digits": (
        "MLmodel", lambda: b"flavors: " + b"1:" * 400_000 + b"1", "FormatMismatch", "names no flavors",
    ),
    "MLmodel: an object of Python": (
        "MLmodel", lambda: b"!!python/object/apply:os.mkdir [MARKER]", "FormatMismatch", "names no flavors",
    ),
    "MLmodel: too large": ("MLmodel", lambda: b"#" * (MIB + 1), "FormatMismatch", "more than"),
}  # fmt: skip
UNSCANNED: dict[str, tuple[str, Make]] = {
    "zlib: 300 MB of a string of 2^60 bytes": (
        "model.joblib",
        lambda: zlib.compress(HUGE_STRING + bytes(300 * MIB), 9),
    ),
    "xz: asks for a dictionary of 4 GiB": ("model.joblib", lambda: bytes(XZ_OF_4_GIB)),
    "zip: a directory of 200 MB": ("model.pt", lambda: claiming(200_000_000)),
    "zip: packed with LZMA": ("model.pt", lambda: zipped(("a.pkl", pickle.dumps(1)), method=zipfile.ZIP_LZMA)),
    "zip: a string of 2^60 bytes": ("model.pt", lambda: zipped(("a.pkl", HUGE_STRING + bytes(50_000_000)))),
    "pickle: a string of 2^60 bytes": ("model.pkl", lambda: HUGE_STRING),
    "pickle: an array of 300,000 dimensions": ("model.joblib", lambda: LONG_SHAPE),
    "bz2: damaged": ("model.joblib", lambda: bz2.compress(pickle.dumps(list(range(1000))))[:-20]),
}


def run_verify(confined: Confined, store: HostileStore, **task: Any) -> Ended:
    return confined("verify", store.env, {"uri": URI, **task})


@pytest.mark.parametrize(("path", "content", "reason", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_hostile_file_is_refused(
    confined: Confined, hostile: Start, path: str, content: Make, reason: str, words: str
) -> None:
    ended = run_verify(confined, hostile(**{f"m/{path}": content()}))
    assert (ended.code, ended.reason, ended.transient) == (1, reason, False)
    assert words in ended.message
    assert path in ended.message


@pytest.mark.parametrize(("path", "content"), UNSCANNED.values(), ids=UNSCANNED.keys())
def test_a_bomb_is_said_to_be_unscanned(confined: Confined, hostile: Start, path: str, content: Make) -> None:
    ended = run_verify(confined, hostile(**{f"m/{path}": content()}))
    assert ended.code == 0, ended.message
    assert [note["reason"] for note in ended.result["warnings"]] == ["PickleNotScanned"]


def test_a_bomb_is_refused_where_pickles_are(confined: Confined, hostile: Start) -> None:
    store = hostile(**{"m/model.pt": claiming(20_000_000)})
    assert run_verify(confined, store, pickle="Refuse").reason == "PickleRefused"


def test_a_pickle_that_multiplies_is_looked_through(confined: Confined, hostile: Start) -> None:
    assert run_verify(confined, hostile(**{"m/model.pkl": DUPLICATED})).code == 0


def test_archives_that_no_format_consists_of_are_not_opened(confined: Confined, hostile: Start) -> None:
    """A tar or an ordinary zip file is bytes: what it would unpack to is nobody's business here."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        bomb = tarfile.TarInfo("../../bomb")
        bomb.size = 300 * MIB
        archive.addfile(bomb, io.BytesIO(bytes(bomb.size)))
    zips = {"m/data.npz": zipped(("a.npy", bytes(100 * MIB))), "m/model.keras": zipped(("config.json", b"{}"))}
    ended = run_verify(confined, hostile(**{"m/model.tar.gz": packed.getvalue(), **zips}))
    assert (ended.code, ended.result["format"], ended.result["warnings"]) == (0, "other", [])


@pytest.mark.parametrize("policy", ["Allow", "Warn", "Refuse"])
def test_pickles_are_never_loaded(confined: Confined, hostile: Start, tmp_path: Path, policy: str) -> None:
    marker = tmp_path / "marker"
    attack = Runs(os.mkdir, str(marker))
    files = {
        "m/a.pkl": pickle.dumps(attack),
        "m/b.joblib": zlib.compress(pickle.dumps(attack)),
        "m/c.pt": zipped(("archive/data.pkl", pickle.dumps(attack))),
        "m/renamed": pickle.dumps(attack),
        "m/MLmodel": f"flavors: {{x: !!python/object/apply:os.mkdir ['{marker}']}}".encode(),
    }
    run_verify(confined, hostile(**files), pickle=policy)
    task = {"uri": URI, "digest": digest_of({path.removeprefix("m/"): content for path, content in files.items()})}
    assert confined("fetch", hostile(**files).env, task, str(tmp_path / "target")).code == 0
    assert not marker.exists()
    pickle.loads(files["m/a.pkl"])
    assert marker.exists()  # loading one would have shown


# -- keys --------------------------------------------------------------------------------------------------------------

KEYS: dict[str, tuple[str, ...]] = {
    "out of the folder": ("m/../escaped",),
    "further out": ("m/a/../../../escaped",),
    "absolute": ("m//etc/escaped",),
    "a dot": ("m/./a",),
    "an empty segment": ("m/a//b",),
    "a folder that is not empty": ("m/a/",),
    "a line that forges the digest": (f"m/a\n{'0' * 64}  b",),
    "a carriage return": ("m/a\rb",),
    "a backslash": ("m/..\\escaped",),
    "a NUL": ("m/a\0b",),
    "a long name": (f"m/{'a' * 256}",),
    "a long path": ("m/" + "a/" * 600 + "a",),
    "a file and its folder": ("m/a", "m/a/b"),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("program", ["verify", "fetch"])
def test_a_key_that_is_no_path_is_refused(
    confined: Confined, hostile: Start, tmp_path: Path, program: str, keys: tuple[str, ...]
) -> None:
    store = hostile(lambda asked: listing(dict.fromkeys(keys, 1)) if asked.lists else Reply(b"x"))
    target = tmp_path / "outer" / "target"
    target.mkdir(parents=True)
    ended = confined(program, store.env, {"uri": URI, "digest": "sha256:" + "0" * 64}, str(target))
    assert (ended.reason, ended.transient) == ("InvalidPath", False)
    assert list((tmp_path / "outer").rglob("*")) == [target]
    assert not any("Range" in asked.headers for asked in store.asked)


def test_a_key_in_the_place_of_arrival_is_refused(confined: Confined, hostile: Start, tmp_path: Path) -> None:
    store = hostile(**{"m/.modelyard-incoming/a": b"x"})
    ended = confined("fetch", store.env, {"uri": URI, "digest": "sha256:" + "0" * 64}, str(tmp_path / "target"))
    assert ended.reason == "InvalidPath"
    assert list((tmp_path / "target").iterdir()) == []


def test_names_that_differ_in_case_are_two_files(
    bucket: Bucket, confined: Confined, gateway: Gateway, tmp_path: Path
) -> None:
    files = {"Model.bin": b"1", "model.bin": b"2"}
    bucket.put(files, "m/")
    task = {"uri": bucket.uri("m/"), "digest": digest_of(files)}
    assert confined("fetch", gateway.env, task, str(tmp_path / "target")).code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "target").iterdir()} == files


def test_ten_thousand_tiny_files(confined: Confined, gateway: Gateway, bucket: Bucket, tmp_path: Path) -> None:
    files = {f"{number % 100:02}/{number}": b"%d" % number for number in range(10_000)}
    folder = gateway.folder / "data" / bucket.name / "m"
    for path, content in files.items():  # where the real store keeps them: uploading takes longer than all the rest
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    ended = confined("verify", gateway.env, {"uri": bucket.uri("m/")})
    assert (ended.code, ended.result.get("fileCount")) == (0, 10_000), ended.message
    assert ended.result["digest"] == digest_of(files)


def test_five_gibibytes_of_nothing(confined: Confined, hostile: Start, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(5 << 30)
    ended = run_verify(confined, hostile(**{"m/weights.bin": sparse}))
    assert (ended.code, ended.result["sizeBytes"]) == (0, 5 << 30)
    assert ended.memory < 400 * MIB


# -- stores ------------------------------------------------------------------------------------------------------------


def lists(reply: Callable[[Asked], Reply]) -> Misbehaviour:
    return lambda asked: reply(asked) if asked.lists else None


def reads(reply: Callable[[Asked], Reply]) -> Misbehaviour:
    return lambda asked: reply(asked) if "Range" in asked.headers else None


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


PAGE = b"<ListBucketResult><IsTruncated>false</IsTruncated>"
ENTITIES = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha" * 100) for n in range(12))
pages = itertools.count()

STORES: dict[str, tuple[Misbehaviour, str, str]] = {
    "a listing without end": (
        lists(lambda asked: Reply(itertools.chain([PAGE], endless(b"<Contents></Contents>" * 1000)))),
        "InvalidAnswer", "longer than",
    ),
    "an error without end": (
        lambda asked: Reply(endless(b"<Error>" * 1000), 503), "InvalidAnswer", "longer than",
    ),
    "pages without end": (
        lists(lambda asked: listing(dict.fromkeys((f"m/{next(pages)}" for _ in range(1000)), 1), f"t{next(pages)}")),
        "TooManyFiles", "more than 100000 files",
    ),
    "empty pages without end": (
        lists(lambda asked: listing({}, more=f"t{next(pages)}")), "TooManyFiles", "1000 pages",
    ),
    "the same page for ever": (lists(lambda asked: listing({"m/a": 1}, more="t")), "InvalidAnswer", "not one of"),
    "a key of another folder": (
        lists(lambda asked: listing({"m/a": 1, "other/b": 1})), "InvalidAnswer", "'other/b', which was not asked for",
    ),
    "a negative size": (lists(lambda asked: listing({"m/a": -5})), "InvalidAnswer", "-5 bytes"),
    "a size beyond numbers": (lists(lambda asked: listing({"m/a": 1 << 70})), "InvalidAnswer", str(1 << 70)),
    "a size that is none": (lists(lambda asked: listing({"m/a": "many"})), "InvalidAnswer", "not one of"),
    "a listing of nothing known": (lists(lambda asked: Reply(PAGE + b"<Contents/></ListBucketResult>")),
        "InvalidAnswer", "the key None"),
    "no XML": (lists(lambda asked: Reply(b'{"AccessKeyId": "PLANTED"}')), "StoreUnavailable", "answered 500"),
    "entities that multiply": (
        lists(lambda asked: Reply(b"<!DOCTYPE l [" + ENTITIES + b"]>" + PAGE + b"&e11;</ListBucketResult>")),
        "StoreUnavailable", "answered 500",
    ),
    "an entity of the pod's files": (
        lists(lambda asked: Reply(b'<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + PAGE
              + b"<Contents><Key>m/&e;</Key><Size>1</Size></Contents></ListBucketResult>")),
        "StoreUnavailable", "answered 500",
    ),
    "shorter than it says": (
        reads(lambda asked: Reply(iter([b"abc"]), 206, {"Content-Length": "5"})), "StoreUnavailable", "2 bytes at 3",
    ),
    "longer than asked for": (
        reads(lambda asked: Reply(b"0123456789", 206)), "StoreUnavailable", "asked for 5 bytes at 0, got 10",
    ),
    "of no length": (
        reads(lambda asked: Reply(iter([b"abcde"]), 206)), "StoreUnavailable", "got None",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("misbehave", "reason", "words"), STORES.values(), ids=STORES.keys())
def test_a_store_that_lies(
    confined: Confined, hostile: Start, misbehave: Misbehaviour, reason: str, words: str
) -> None:
    ended = run_verify(confined, hostile(misbehave, **{"m/a": b"abcde"}))
    assert ended.reason == reason, ended.log
    assert words in ended.message
    assert ended.transient == (reason == "StoreUnavailable")
    assert "PLANTED" not in ended.log  # whatever answers may be no store, and its answer a secret


def drip(pause: threading.Event, text: bytes) -> Iterator[bytes]:
    for byte in text:
        if pause.wait(1.0):
            return
        yield bytes([byte])


SLOW: dict[str, Callable[[threading.Event], Misbehaviour]] = {
    "no answer": lambda pause: lambda asked: Reply() if pause.wait(60) else None,
    "a listing, byte by byte": lambda pause: lists(lambda asked: Reply(drip(pause, PAGE * 100))),
    "a file, byte by byte": lambda pause: reads(
        lambda asked: Reply(drip(pause, b"abcde" * 100), 206, {"Content-Length": "500"})
    ),
    "a file that ends in silence": lambda pause: reads(
        lambda asked: Reply(itertools.chain([b"abc"], drip(pause, b"d" * 497)), 206, {"Content-Length": "500"})
    ),
}


@pytest.mark.parametrize("misbehave", SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("program", ["verify", "fetch"])
def test_a_store_that_keeps_waiting_is_given_up(
    confined: Confined,
    hostile: Start,
    tmp_path: Path,
    program: str,
    misbehave: Callable[[threading.Event], Misbehaviour],
) -> None:
    store = hostile(**{"m/a": b"abcde" * 100})
    store.misbehave = misbehave(store.ended)
    env = {**store.env, "MODELYARD_STALLED_SECONDS": STALLED}
    started = time.monotonic()
    ended = confined(program, env, {"uri": URI, "digest": "sha256:" + "0" * 64}, str(tmp_path / "target"))
    assert (ended.code, ended.reason, ended.transient) == (1, "StoreUnavailable", True), ended.log
    assert f"nothing came for {STALLED} s" in ended.message
    assert time.monotonic() - started < 20
    left = {path.name for path in (tmp_path / "target").rglob("*")} if program == "fetch" else set()
    assert left <= {".modelyard-incoming", "a"}
    assert not (tmp_path / "target" / "a").exists()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("folder", [True, False], ids=["a folder", "an object"])
def test_redirects_are_not_followed(confined: Confined, hostile: Start, status: int, folder: bool) -> None:
    """Neither to another server nor to the address at which clouds hand out credentials."""
    elsewhere = hostile(**{"m/a": b"stolen"})
    for target in (f"http://{elsewhere.host}/bucket/m/a", "http://169.254.169.254/latest/meta-data/"):
        store = hostile(lambda asked, target=target: Reply(b"", status, {"Location": target}))
        ended = run_verify(confined, store, uri=URI if folder else f"{URI}a")
        assert (ended.reason, ended.transient) == ("InvalidAnswer", False)
        assert f"redirects to http://{target.split('/')[2]}, and redirects are not followed" in ended.message
    assert elsewhere.asked == []


def test_a_redirect_to_another_region_is_told_and_not_followed(confined: Confined, hostile: Start) -> None:
    elsewhere = hostile(**{"m/a": b"stolen"})
    headers = {"Location": f"http://{elsewhere.host}/", "x-amz-bucket-region": "eu-west-1"}
    text = f"<Error><Code>PermanentRedirect</Code><Endpoint>{elsewhere.host}</Endpoint></Error>"
    ended = run_verify(confined, hostile(lambda asked: Reply(text.encode(), 301, headers)))
    assert ended.reason == "StoreUnavailable"
    assert "region" in ended.message
    assert elsewhere.asked == []


def test_what_a_store_says_of_its_bytes_counts_for_nothing(confined: Confined, hostile: Start, tmp_path: Path) -> None:
    """Checksums and ETags of other bytes: the digest is that of what came, and what came is not what was pinned."""
    said = {
        "ETag": '"d41d8cd98f00b204e9800998ecf8427e"',
        "x-amz-checksum-sha256": "A" * 43 + "=",
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    store = hostile(**{"m/a": b"good"})
    store.misbehave = reads(lambda asked: Reply(b"evil", 206, said))
    assert run_verify(confined, store).result["digest"] == digest_of({"a": b"evil"})
    ended = confined("fetch", store.env, {"uri": URI, "digest": digest_of({"a": b"good"})}, str(tmp_path / "target"))
    assert ended.reason == "DigestMismatch"
    assert list((tmp_path / "target").iterdir()) == []


def test_other_bytes_at_the_second_reading_are_noticed(confined: Confined, hostile: Start) -> None:
    """What is scanned is what was hashed: a store cannot show a harmless pickle to the scan alone."""
    harmless, attack = pickle.dumps(["harmless"] * 3), pickle.dumps(Runs(os.system, "true"))
    length = max(len(harmless), len(attack))
    shown = itertools.chain([attack.ljust(length, b".")], itertools.repeat(harmless.ljust(length, b".")))
    store = hostile(**{"m/model.pkl": bytes(length)})
    store.misbehave = reads(lambda asked: part(next(shown), asked))
    ended = run_verify(confined, store)
    assert ended.reason == "ChangedWhileRead", ended.result
    assert "model.pkl" in ended.message
