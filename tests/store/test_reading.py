"""Reading while somebody writes, pinned versions, and connections that break: with the store's own client code."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import parse_uri
from modelyard.storage.reader import MIB, RANGE, WORKERS, read_all
from modelyard.storage.s3 import S3Store
from modelyard.storage.seekable import StoredFile
from modelyard.storage.store import StoredObject
from tests.store.conftest import Bucket

BIG = bytes(range(256)) * (2 * RANGE // 256 + 1000)


def test_ranges_add_up_to_the_file(bucket: Bucket, store: S3Store) -> None:
    contents = {"a": BIG, "b": b"", "c": BIG[: RANGE + 1], "d": b"x", "e": BIG[:RANGE]}
    bucket.put(contents)
    items = store.find(parse_uri(bucket.uri()))
    read = {file.path: (file.size, file.sha256) for file in read_all(store, bucket.name, items)}
    assert read == {path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in contents.items()}


def test_overwritten_between_two_ranges(bucket: Bucket, store: S3Store) -> None:
    """Every worker waits after its first range until the object is overwritten; the ranges left must notice."""
    big = BIG * 5
    assert len(big) > RANGE * WORKERS
    bucket.put({"m": big})
    items = store.find(parse_uri(bucket.uri("m")))
    first, overwritten = threading.Lock(), threading.Event()

    def overwrite(item: StoredObject, done: int, total: int) -> None:
        if first.acquire(blocking=False):
            bucket.put({"m": big[::-1]})
            overwritten.set()
        assert overwritten.wait(60)

    with pytest.raises(ArtifactError) as refused:
        read_all(store, bucket.name, items, progress=overwrite)
    assert (refused.value.reason, refused.value.transient) == (ArtifactReason.CHANGED_WHILE_READ, True)
    assert bucket.uri("m") in refused.value.message


def test_overwritten_between_listing_and_reading(bucket: Bucket, store: S3Store) -> None:
    bucket.put({"m/a": b"old bytes", "m/empty": b""})
    items = store.find(parse_uri(bucket.uri("m/")))
    bucket.put({"m/empty": b"no longer"})
    with pytest.raises(ArtifactError) as refused:
        read_all(store, bucket.name, items)
    assert refused.value.reason is ArtifactReason.CHANGED_WHILE_READ


def test_deleted_between_listing_and_reading(bucket: Bucket, store: S3Store) -> None:
    bucket.put({"m/a": b"bytes"})
    items = store.find(parse_uri(bucket.uri("m/")))
    bucket.client.delete_object(Bucket=bucket.name, Key="m/a")
    with pytest.raises(ArtifactError) as refused:
        read_all(store, bucket.name, items)
    assert refused.value.reason is ArtifactReason.OBJECT_NOT_FOUND


def test_a_pinned_version_outlives_an_overwrite(bucket: Bucket, store: S3Store) -> None:
    bucket.version()
    bucket.put({"m/a": b"old"})
    [first] = read_all(store, bucket.name, store.find(parse_uri(bucket.uri("m/"))))
    bucket.put({"m/a": b"newer"})
    item = store.stat(parse_uri(bucket.uri("m/")), "a", first.version_id)
    [again] = read_all(store, bucket.name, [item])
    assert (again.sha256, again.size, again.version_id) == (first.sha256, 3, first.version_id)


class Breaking(S3Store):
    """Cuts every connection once, in the middle of its range."""

    def __init__(self, store: S3Store) -> None:
        self._client = store._client
        self._cut: set[int] = set()

    def read(self, bucket: str, item: StoredObject, start: int, length: int):  # type: ignore[no-untyped-def]
        body = super().read(bucket, item, start, length)
        if length > MIB and start // RANGE not in self._cut:
            self._cut.add(start // RANGE)
            whole = body.chunks
            body.chunks = lambda size: _cut_short(whole(size))  # type: ignore[method-assign]
        return body


def _cut_short(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from islice(pieces, 1)
    raise ArtifactError(ArtifactReason.STORE_UNAVAILABLE, "connection reset", transient=True)


def test_a_broken_connection_is_resumed(bucket: Bucket, store: S3Store) -> None:
    bucket.put({"m": BIG})
    pauses: list[float] = []
    items = store.find(parse_uri(bucket.uri("m")))
    [file] = read_all(Breaking(store), bucket.name, items, pause=pauses.append)
    assert file.sha256 == hashlib.sha256(BIG).hexdigest()
    assert len(pauses) == 2  # the last range is one piece


def test_an_object_longer_than_listed_is_not_read_as_listed(bucket: Bucket, store: S3Store) -> None:
    bucket.put({"m": b"0123456789"})
    [item] = store.find(parse_uri(bucket.uri("m")))
    with pytest.raises(ArtifactError):
        read_all(store, bucket.name, [replace(item, size=20)], pause=lambda seconds: None)


def test_a_stored_file_seeks(bucket: Bucket, store: S3Store) -> None:
    bucket.put({"m": BIG[: 3 * MIB]})
    [item] = store.find(parse_uri(bucket.uri("m")))
    [read] = read_all(store, bucket.name, [item])
    file = StoredFile(store, bucket.name, item, read.marks)
    for position, length in ((0, 10), (2_500_000, 4000), (5, 1), (3 * MIB - 2, 100), (4 * MIB, 5)):
        file.seek(position)
        found = b""
        while len(found) < length and (piece := file.read(length - len(found))):
            found += piece
        assert found == BIG[: 3 * MIB][position : position + length]
