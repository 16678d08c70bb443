"""A ledger in a real S3 store: what every place has to do, stores that go away, lost answers, killed writers."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, Place, Retention, open_place, open_to_read, prepare
from modelyard.ledger.records import START, Head
from modelyard.ledger.segments import compact
from modelyard.ledger.verifying import verify
from modelyard.ledger.writing import append
from modelyard.storage.settings import StorageSettings
from tests.store.conftest import Bucket
from tests.store.gateway import Gateway, free_port
from tests.unit.ledger.places import CHAIN, entries, racing_to_create, times, told


@pytest.fixture(autouse=True)
def credentials(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


@pytest.fixture
def place(gateway: Gateway, bucket: Bucket) -> Place:
    return open_place(LedgerSettings(bucket.uri("the/ledger"), gateway.settings))


def test_an_object_is_created_once(place: Place, bucket: Bucket) -> None:
    assert place.read("a/b/1.json") is None
    assert place.create("a/b/1.json", b"first")
    assert not place.create("a/b/1.json", b"second")
    assert place.read("a/b/1.json") == b"first"
    assert bucket.client.get_object(Bucket=bucket.name, Key="the/ledger/a/b/1.json")["Body"].read() == b"first"


def test_files_and_folders_are_listed_in_order(place: Place) -> None:
    for name in ("top.json", "a/2", "a/1", "a/10", "c/4"):
        assert place.create(name, name.encode())
    assert list(place.files("a")) == [("1", 3), ("10", 4), ("2", 3)]
    assert list(place.files("a", after="10")) == [("2", 3)]
    assert list(place.files("nothing")) == []
    assert (place.folders(""), place.folders("nothing")) == (["a", "c"], [])


def test_of_many_who_create_it_one_does(place: Place) -> None:
    assert racing_to_create(place, "a/1.json") == [place.read("a/1.json")]


def test_a_chain_is_appended_compacted_read_and_verified(place: Place) -> None:
    prepare(place)
    prepare(place)
    known = START
    for first in range(1, 42, 4):
        known = append(place, CHAIN, entries(first, first + 3), known).head
    assert compact(place, CHAIN, known.number) == 2
    assert told(place) == times(1, 44)
    report = verify(place, CHAIN, [known])
    assert (report.intact, report.head) == (True, known)


def test_a_bucket_that_does_not_exist(gateway: Gateway) -> None:
    place = open_place(LedgerSettings("s3://not-there-at-all/x", gateway.settings))
    with pytest.raises(PlaceError, match=r"write s3://not-there-at-all/x/a: .*create the bucket") as refused:
        place.create("a", b"")
    assert not refused.value.transient


def test_credentials_that_may_not_write(
    gateway: Gateway, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gateway.add_user("reader-only", "reader-secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader-only")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "reader-secret")
    place = open_place(LedgerSettings(bucket.uri(), gateway.settings))
    with pytest.raises(PlaceError, match="allow these credentials s3:ListBucket") as refused:
        append(place, CHAIN, entries(1, 1))
    assert not refused.value.transient


def test_what_only_reads_reads_the_same(place: Place, gateway: Gateway, bucket: Bucket) -> None:
    settings = LedgerSettings(bucket.uri("the/ledger"), gateway.settings)
    known = append(place, CHAIN, entries(1, 41)).head
    compact(place, CHAIN, known.number)
    for reader in (open_to_read(settings), place):
        assert told(reader) == times(1, 41)
        assert verify(reader, CHAIN, [known]).intact
        assert (reader.folders(""), reader.folders("nothing"), reader.read("nothing")) == (["prod"], [], None)
        assert [file for file, _ in reader.files(CHAIN.records, after="000000000039.json")] == [
            "000000000040.json", "000000000041.json",
        ]  # fmt: skip


def test_a_reader_says_what_to_do(gateway: Gateway, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (lambda place: place.read("a"), lambda place: list(place.files("a")), lambda place: place.folders("a")):
        with pytest.raises(PlaceError, match=r" s3://not-there-at-all/x/a: .*404 NoSuchBucket .*; create the bucket"):
            call(open_to_read(LedgerSettings("s3://not-there-at-all/x", gateway.settings)))
    gateway.add_user("without-rights", "secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "without-rights")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(PlaceError, match=r"403 AccessDenied .*allow these credentials s3:ListBucket") as refused:
        open_to_read(LedgerSettings(bucket.uri(), gateway.settings)).read("a")
    assert not refused.value.transient
    nobody_there = StorageSettings(f"http://127.0.0.1:{free_port()}", "us-east-1")
    with pytest.raises(PlaceError) as down:
        open_to_read(LedgerSettings(bucket.uri(), nobody_there)).read("a")
    assert down.value.transient


def test_credentials_of_a_profile(
    gateway: Gateway, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a person has on a laptop: nothing in the environment but a profile's name."""
    append(open_place(LedgerSettings(bucket.uri(), gateway.settings)), CHAIN, entries(1, 2))
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    lines = ["[auditor]", *(f"{key.lower()} = {gateway.env[key]}" for key in keys)]
    (tmp_path / "credentials").write_text("\n".join(lines))
    for key in keys:
        monkeypatch.delenv(key)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    settings = LedgerSettings(bucket.uri(), gateway.settings)
    with pytest.raises(PlaceError, match="no credentials were found; set AWS_ACCESS_KEY_ID"):
        open_to_read(settings)
    monkeypatch.setenv("AWS_PROFILE", "auditor")
    assert told(open_to_read(settings)) == times(1, 2)


def test_a_store_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    server = Gateway(tmp_path, tls=True)
    server.start()
    try:
        with pytest.raises(PlaceError, match="error sending request"):
            open_to_read(LedgerSettings("s3://ledger", server.settings)).read("nothing")
        trusting = replace(server.settings, ca_bundle=server.certificate.read_text())
        with pytest.raises(PlaceError, match="create the bucket"):  # the server was believed, and answered
            open_to_read(LedgerSettings("s3://ledger", trusting)).read("nothing")
    finally:
        server.stop()


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://store", "http://"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    with pytest.raises(PlaceError, match=r"endpoint '.*': expected http\(s\)://host"):
        open_to_read(LedgerSettings("s3://ledger", StorageSettings(endpoint)))


def test_a_store_that_is_down_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Gateway(tmp_path)
    server.start()
    try:
        server.client().create_bucket(Bucket="ledger")
        place = open_place(LedgerSettings("s3://ledger", server.settings))
        known = append(place, CHAIN, entries(1, 2)).head
        server.stop()
        with pytest.raises(PlaceError) as down:
            append(place, CHAIN, entries(3, 4), known)
        assert down.value.transient
        server.start()
        append(place, CHAIN, entries(3, 4), known)
        assert told(place) == times(1, 4)
    finally:
        server.stop()


class Lossy:
    """Passes connections on to a server, and hangs up instead of passing back the first answers to a PUT."""

    def __init__(self, port: int, losses: int) -> None:
        self._target = port
        self._left = losses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    @property
    def lost_all(self) -> bool:
        return self._left == 0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            puts = [False]
            threading.Thread(target=self._forward, args=(client, server, puts), daemon=True).start()
            while answer := server.recv(65536):
                if puts[0] and self._left and b" 200 " in answer[:20]:
                    self._left -= 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)

    @staticmethod
    def _forward(client: socket.socket, server: socket.socket, puts: list[bool]) -> None:
        try:
            while asked := client.recv(65536):
                puts[0] = puts[0] or asked.startswith(b"PUT ")
                server.sendall(asked)
        except OSError:
            pass


@pytest.fixture
def lossy(gateway: Gateway) -> Iterator[Lossy]:
    proxy = Lossy(gateway.port, losses=2)
    yield proxy
    proxy.close()


def test_answers_that_get_lost(lossy: Lossy, bucket: Bucket) -> None:
    """The client repeats the PUT and hears that the object exists: it is ours, and nothing is written twice."""
    through = StorageSettings(endpoint=f"http://127.0.0.1:{lossy.port}", region="us-east-1", force_path_style=True)
    place = open_place(LedgerSettings(bucket.uri(), through))
    append(place, CHAIN, entries(1, 5))
    assert lossy.lost_all
    assert told(place) == times(1, 5)


WRITER = """
import json, sys
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, open_place
from modelyard.ledger.writing import append
from modelyard.storage.settings import StorageSettings
import os
place = open_place(LedgerSettings(sys.argv[1], StorageSettings.from_env(os.environ)))
print("ready", flush=True)
append(place, ChainName("prod", "risk", "fraud"), json.loads(sys.stdin.read()))
"""


def test_a_writer_killed_again_and_again(place: Place, bucket: Bucket, gateway: Gateway) -> None:
    """SIGKILL at whatever point it has reached after another record; the next one takes the same entries."""
    wanted = entries(1, 30)
    environment = {**os.environ, **gateway.env}
    kills = 0
    for stop_after in (1, 5, 11, 18, 26, 31):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, bucket.uri("the/ledger")],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.stdin.write(json.dumps(wanted).encode())
        writer.stdin.close()
        while place.read(CHAIN.record(stop_after)) is None and writer.poll() is None:
            pass
        writer.send_signal(signal.SIGKILL)
        kills += writer.wait() == -signal.SIGKILL
        writer.stdout.close()
    assert kills >= 3
    append(place, CHAIN, wanted)
    assert told(place) == times(1, 30)
    assert verify(place, CHAIN).intact


def test_records_are_locked_where_retention_is_asked_for(gateway: Gateway) -> None:
    client = gateway.client()
    client.create_bucket(Bucket="locked-ledger", ObjectLockEnabledForBucket=True)
    settings = LedgerSettings("s3://locked-ledger/x", gateway.settings, Retention("GOVERNANCE", 30))
    place = open_place(settings)
    head = append(place, CHAIN, entries(1, 2)).head
    assert verify(place, CHAIN, [head]).intact
    answer = client.get_object_retention(Bucket="locked-ledger", Key=f"x/{CHAIN.record(1)}")
    assert answer["Retention"]["Mode"] == "GOVERNANCE"


def test_retention_on_a_bucket_without_object_lock(gateway: Gateway, bucket: Bucket) -> None:
    place = open_place(LedgerSettings(bucket.uri(), gateway.settings, Retention("COMPLIANCE", 30)))
    with pytest.raises(PlaceError, match="Object Lock"):
        append(place, CHAIN, entries(1, 1))


def test_chains_of_one_ledger_do_not_meet(place: Place) -> None:
    other = ChainName("prod", "risk", "fraud-2")
    append(place, CHAIN, entries(1, 3))
    head = append(place, other, entries(7, 8)).head
    assert (told(place), told(place, other)) == (times(1, 3), times(7, 8))
    assert head == Head(2, head.sha256)
