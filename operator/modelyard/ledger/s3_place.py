"""A ledger in a bucket of an S3 store.

Objects are created with `If-None-Match: *`, so none is ever replaced. Where the settings ask for retention, each is
locked until its time is over, which the store then enforces against everybody, the operator included.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore import exceptions as aws

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.place import LedgerSettings
from modelyard.storage.s3 import connect

T = TypeVar("T")

ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
EXISTS = frozenset({"PreconditionFailed", "412"})
RACED = frozenset({"ConditionalRequestConflict", "OperationAborted"})
RACES = 3
"""How often a create that met another one in flight is tried; the other one ends meanwhile."""
TEMPORARY = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException",
     "TooManyRequests", "RequestLimitExceeded", *RACED}
)  # fmt: skip
REMEDY = {
    "NoSuchBucket": "create the bucket or correct the ledger's url",
    "AccessDenied": "allow these credentials s3:ListBucket on the bucket, s3:GetObject and s3:PutObject below the "
    "ledger's prefix, and s3:PutObjectRetention where retention is set",
    "InvalidRequest": "if retention is set, the bucket needs Object Lock, which has to be enabled when it is made",
}


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
                if _code(error) in EXISTS:
                    return False
                if _code(error) not in RACED or attempt == RACES - 1:
                    raise _place_error(error, f"write {self._url_of(name)}") from error
            except Exception as error:
                raise _place_error(error, f"write {self._url_of(name)}") from error
        raise AssertionError("unreachable")

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when there is none."""

        def get() -> bytes:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
            return body

        try:
            return get()
        except aws.ClientError as error:
            if _code(error) in ABSENT:
                return None
            raise _place_error(error, f"read {self._url_of(name)}") from error
        except Exception as error:
            raise _place_error(error, f"read {self._url_of(name)}") from error

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
        raise _place_error(error, doing) from error


def _code(error: aws.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _place_error(error: Exception, doing: str) -> PlaceError:
    """What a failed call means: whether to try again, and otherwise what a person is to do."""
    if isinstance(error, aws.ClientError):
        code = _code(error)
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        said = str(error.response.get("Error", {}).get("Message", "")).strip()
        temporary = code in TEMPORARY or status >= 500 or status in (408, 429)
        remedy = "tried again" if temporary else REMEDY.get(code, "check the ledger's settings and credentials")
        return PlaceError(f"{doing}: the store answered {status} {code} ({said}); {remedy}", transient=temporary)
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return PlaceError(f"{doing}: {error}; give the process credentials or a cloud identity")
    if isinstance(error, ValueError | aws.ParamValidationError):
        return PlaceError(f"{doing}: {error}; correct the ledger's url and endpoint")
    return PlaceError(f"{doing}: {str(error).strip() or type(error).__name__}", transient=True)
