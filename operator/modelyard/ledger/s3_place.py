"""A ledger in a bucket of an S3 store.

Objects are created with `If-None-Match: *`, so none is ever replaced. Where the settings ask for retention, each is
locked until its time is over, which the store then enforces against everybody, the operator included. Whoever only
reads has `s3_reader`, which loads faster.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore import exceptions as aws

from modelyard.ledger.place import LedgerSettings
from modelyard.ledger.s3_errors import code_of, place_error
from modelyard.storage.s3 import connect

T = TypeVar("T")

ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
EXISTS = frozenset({"PreconditionFailed", "412"})
RACED = frozenset({"ConditionalRequestConflict", "OperationAborted"})
RACES = 3
"""How often a create that met another one in flight is tried; the other one ends meanwhile."""


class S3Place:
    """The prefix of an `s3://` URL."""

    def __init__(self, settings: LedgerSettings, bucket: str, prefix: str) -> None:
        self.url = settings.url
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._retention = settings.retention
        self._client = _calling(f"connect to {settings.url}", lambda: connect(settings.storage))

    def create(self, name: str, content: bytes) -> bool:
        """Store an object durably; False when one of that name is there already."""
        call = {
            "Bucket": self._bucket, "Key": self._prefix + name, "Body": content, "IfNoneMatch": "*",
            "ContentType": "application/json", **self._lock(),
        }  # fmt: skip
        for attempt in range(RACES):
            try:
                self._client.put_object(**call)
                return True
            except aws.ClientError as error:
                if code_of(error) in EXISTS:
                    return False
                if code_of(error) not in RACED or attempt == RACES - 1:
                    raise place_error(error, f"write {self._url_of(name)}") from error
            except Exception as error:
                raise place_error(error, f"write {self._url_of(name)}") from error
        raise AssertionError("unreachable")

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when there is none."""

        def get() -> bytes:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
            return body

        try:
            return get()
        except aws.ClientError as error:
            if code_of(error) in ABSENT:
                return None
            raise place_error(error, f"read {self._url_of(name)}") from error
        except Exception as error:
            raise place_error(error, f"read {self._url_of(name)}") from error

    def files(self, folder: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the objects in a folder, in order, beginning after that name."""
        prefix = f"{self._prefix}{folder}/"
        start = {"StartAfter": prefix + after} if after else {}
        for page in self._pages(folder, Prefix=prefix, **start):
            for item in page.get("Contents", ()):
                yield item["Key"][len(prefix) :], int(item["Size"])

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, in order."""
        prefix = self._prefix + (f"{folder}/" if folder else "")
        return [
            item["Prefix"][len(prefix) : -1]
            for page in self._pages(folder, Prefix=prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        ]

    def _pages(self, folder: str, **asked: str) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, **asked))
        while (page := _calling(f"list {self._url_of(folder)}", lambda: next(pages, None))) is not None:
            yield page

    def _lock(self) -> dict[str, Any]:
        if self._retention is None:
            return {}
        until = datetime.now(UTC) + timedelta(days=self._retention.days)
        return {"ObjectLockMode": self._retention.mode, "ObjectLockRetainUntilDate": until}

    def _url_of(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"


def _calling(doing: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        raise place_error(error, doing) from error
