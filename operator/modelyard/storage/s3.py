"""Reads artifacts from S3 and the stores that speak its protocol.

Implements ObjectStore with boto3. Every ranged read carries If-Match with the ETag the object was listed with, and the
VersionId where it is known. Checksums that the store offers are ignored. Nothing is written here.
"""

import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import JSONFileLoader
from botocore.session import get_session

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location
from modelyard.storage.s3_answers import limit_answers
from modelyard.storage.s3_errors import classify, has_code
from modelyard.storage.settings import DEFAULT_REGION, StorageSettings
from modelyard.storage.store import StoredObject

T = TypeVar("T")

CONNECT_TIMEOUT = 5
READ_TIMEOUT = 30
"""Seconds without a byte, not for a request as a whole."""
ATTEMPTS = 3
CONNECTIONS = 16
MAX_FILES = 100_000
"""Of one artifact. Sharded checkpoints have thousands; an endpoint can list for ever."""
MAX_PAGES = 1000
"""Of one listing: most pages of a store hold a thousand keys, and all of them some."""
ADDRESSING = {None: "auto", True: "path", False: "virtual"}


def connect(settings: StorageSettings) -> Any:
    """A client of the store, with the credentials that it finds by itself. Safe to use from several threads."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": ADDRESSING[settings.force_path_style]},
        response_checksum_validation="when_required",  # we hash every byte ourselves
    )
    core = get_session()
    core.get_component("data_loader").file_loader = _Descriptions()
    session = boto3.session.Session(botocore_session=core)
    client = session.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region or session.region_name or DEFAULT_REGION,
        verify=_ca_file(settings.ca_bundle) if settings.ca_bundle else None,
        config=config,
    )
    limit_answers(client)
    return client


class _Descriptions(JSONFileLoader):  # type: ignore[misc]
    """What is read about the services of AWS for every client, as plain dicts.

    botocore makes ordered ones, which take 4 MiB more and a third of the time until the first call.
    """

    def load_file(self, file_path: str) -> Any:
        for ending, opened in ((".json", open), (".json.gz", gzip.open)):
            if os.path.isfile(file_path + ending):
                with opened(file_path + ending, "rb") as file:
                    return json.load(file)
        return None


def _ca_file(pem: str) -> str:
    """The client wants a path, and the pod's file system is read-only: keep the text in memory, as long as we run."""
    descriptor = os.memfd_create("ca-bundle")
    os.write(descriptor, pem.encode())
    return f"/proc/self/fd/{descriptor}"


class S3Body:
    """The body of one GetObject answer."""

    def __init__(self, response: dict[str, Any], length: int, doing: str) -> None:
        self._body = response["Body"]
        self._length = length
        self._doing = doing
        self.version_id = _version_of(response)

    def chunks(self, size: int) -> Iterator[bytes]:
        """The bytes, at most `size` at a time; an answer shorter than asked for is an error, not an end."""
        left = self._length
        while left:
            try:
                piece: bytes = self._body.read(min(size, left))
            except Exception as error:
                raise classify(error, self._doing) from error
            if not piece:
                raise classify(ConnectionError(f"the answer ended {left} bytes early"), self._doing)
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Drop the connection unless the body was read to its end."""
        self._body.close()


class S3Store:
    """One endpoint with one set of credentials. Safe to use from several threads."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = self._calling(f"connect to {settings.endpoint or 'S3'}", lambda: connect(settings))

    def find(self, location: Location) -> list[StoredObject]:
        """Every file below a folder, or the one object. Folder markers (0-byte keys ending in '/') are not files."""
        if not location.is_folder:
            return [self.stat(location, location.path_of(location.key), None)]
        found = self._calling(f"list {location.uri}", lambda: list(self._list(location)))
        if not found:
            message = f"list {location.uri}: nothing lies in this folder; correct spec.artifact.uri or upload the files"
            raise ArtifactError(ArtifactReason.PREFIX_EMPTY, message)
        return found

    def _list(self, location: Location) -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.key)
        files = 0
        for number, page in enumerate(pages, 1):
            for item in page.get("Contents", ()):
                key, size = _checked(item, location)
                if size == 0 and key.endswith("/"):
                    continue
                files += 1
                yield StoredObject(location.path_of(key), key, size, item.get("ETag"))
            if files > MAX_FILES or number > MAX_PAGES:
                message = f"list {location.uri}: more than {MAX_FILES} files or {MAX_PAGES} pages"
                raise ArtifactError(
                    ArtifactReason.TOO_MANY_FILES, f"{message}; pack the artifact into fewer, larger files"
                )

    def stat(self, location: Location, path: str, version_id: str | None) -> StoredObject:
        """One object's size and ETag. A HEAD that fails is asked again as a GET, whose answer says why."""
        key = location.key_of(path)
        wanted = {"Bucket": location.bucket, "Key": key, **({"VersionId": version_id} if version_id else {})}

        def ask() -> Any:
            try:
                return self._client.head_object(**wanted)
            except ClientError as error:
                if has_code(error):
                    raise
                answer = self._client.get_object(**wanted)
                answer["Body"].close()
                return answer

        answer = self._calling(f"look up s3://{location.bucket}/{key}", ask)
        _, size = _checked({"Key": key, "Size": answer.get("ContentLength")}, location)
        return StoredObject(path, key, size, answer.get("ETag"), version_id)

    def read(self, bucket: str, item: StoredObject, start: int, length: int) -> S3Body:
        """A range of an object, pinned by ETag and, where known, by version."""
        wanted: dict[str, str] = {"Bucket": bucket, "Key": item.key}
        if length:
            wanted["Range"] = f"bytes={start}-{start + length - 1}"
        if item.etag:
            wanted["IfMatch"] = item.etag
        if item.version_id:
            wanted["VersionId"] = item.version_id
        doing = f"read s3://{bucket}/{item.key}"
        response = self._calling(doing, lambda: self._client.get_object(**wanted))
        offered = response.get("ContentLength")
        if length and offered != length:
            response["Body"].close()
            message = f"{doing}: asked for {length} bytes at {start}, got {offered}"
            raise ArtifactError(ArtifactReason.STORE_UNAVAILABLE, message, transient=True)
        return S3Body(response, length, doing)

    def _calling(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            raise classify(error, doing) from error


def _checked(item: Mapping[str, Any], location: Location) -> tuple[str, int]:
    """Key and size of a listed object. A store that lists what was not asked for is not believed in anything else."""
    key, size = item.get("Key"), item.get("Size")
    if not isinstance(key, str) or not key.startswith(location.key):
        raise _nonsense(location, f"the store answered with the key {key!r:.200}, which was not asked for")
    if not isinstance(size, int) or not 0 <= size < 1 << 63:
        raise _nonsense(location, f"the store says that {key!r:.200} has {size!r:.40} bytes")
    return key, size


def _nonsense(location: Location, said: str) -> ArtifactError:
    message = f"look up {location.uri}: {said}; check that storage.endpoint is an S3 store"
    return ArtifactError(ArtifactReason.INVALID_ANSWER, message)


def _version_of(response: dict[str, Any]) -> str | None:
    """The version of an object, if its bucket keeps versions ("null": written before it did, so not pinnable)."""
    version = response.get("VersionId")
    return None if version in (None, "", "null") else str(version)
