"""A ledger in a bucket of an S3 store, for somebody who asks it something and goes.

obstore instead of boto3, which takes twenty times as long to load: more than all else that a question takes. It cannot
ask for retention, and its TLS refuses some certificates that others take, so it neither writes nor goes where a
certificate authority of one's own is to be trusted.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.place import LedgerSettings
from modelyard.ledger.s3_errors import code_of, place_error
from modelyard.storage.settings import DEFAULT_REGION

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

T = TypeVar("T")

TIMEOUTS: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "120s"}
RETRY_WITHIN = timedelta(seconds=30)
LENT_FOR = timedelta(minutes=5)
"""For how long credentials are used until they are asked for again: those of a cloud identity change."""
PAGE = 1000


class S3Reader:
    """The prefix of an `s3://` URL."""

    def __init__(self, settings: LedgerSettings, bucket: str, prefix: str) -> None:
        self.url = settings.url
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._store = _open(bucket, settings)

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when there is none."""

        def get() -> bytes | None:
            try:
                return bytes(obstore.get(self._store, self._prefix + name).bytes())
            except FileNotFoundError as error:
                if code_of(error) == "NoSuchBucket":
                    raise
                return None

        return self._reading("read", name, get)

    def files(self, folder: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the objects in a folder, in order, beginning after that name."""
        prefix = f"{self._prefix}{folder}/"
        start = {"offset": prefix + after} if after else {}
        pages = iter(obstore.list(self._store, prefix, chunk_size=PAGE, **start))
        while (page := self._reading("list", folder, lambda: next(pages, None))) is not None:
            for item in page:
                yield item["path"].removeprefix(prefix), item["size"]

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, in order."""
        prefix = self._prefix + (f"{folder}/" if folder else "")
        found = self._reading("list", folder, lambda: obstore.list_with_delimiter(self._store, prefix or None))
        return sorted(path.removeprefix(prefix).removesuffix("/") for path in found["common_prefixes"])

    def _reading(self, doing: str, name: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            raise place_error(error, f"{doing} {self._url_of(name)}") from error

    def _url_of(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"


def _open(bucket: str, settings: LedgerSettings) -> S3Store:
    storage = settings.storage
    parts = urlsplit(storage.endpoint or "https://s3.amazonaws.com")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise PlaceError(f"open ledger {settings.url}: endpoint {storage.endpoint!r}: expected http(s)://host[:port]")
    by_path = bool(storage.endpoint) if storage.force_path_style is None else storage.force_path_style
    credentials, region = _identity(settings)
    client: ClientConfig = {**TIMEOUTS, "allow_http": parts.scheme == "http"}
    config: S3Config = {"region": region, "virtual_hosted_style_request": not by_path}
    if storage.endpoint:
        config["endpoint"] = storage.endpoint
    retries: RetryConfig = {"max_retries": 2, "retry_timeout": RETRY_WITHIN}
    try:
        return S3Store(
            bucket, config=config, client_options=client, retry_config=retries, credential_provider=credentials
        )
    except Exception as error:
        raise place_error(error, f"open ledger {settings.url}") from error


def _identity(settings: LedgerSettings) -> tuple[Callable[[], "S3Credential"], str]:
    """Where credentials come from, and the region.

    Keys in the environment go before everything else, as they do for botocore, which finds the rest: profiles, single
    sign-on, the identity of a pod.
    """
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        token = os.environ.get("AWS_SESSION_TOKEN")
        return lambda: _lent(key, secret, token), settings.storage.region or DEFAULT_REGION
    from botocore.session import Session

    session = Session()
    try:
        found = session.get_credentials()
        region = settings.storage.region or session.get_config_variable("region") or DEFAULT_REGION
    except Exception as error:  # of a profile that does not exist, of files that cannot be read
        raise place_error(error, f"open ledger {settings.url}") from error
    if found is None:
        raise PlaceError(
            f"open ledger {settings.url}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "AWS_PROFILE, or give the process a cloud identity"
        )
    return lambda: _lent(*found.get_frozen_credentials()[:3]), region


def _lent(key: str, secret: str, token: str | None) -> "S3Credential":
    return {
        "access_key_id": key, "secret_access_key": secret, "token": token,
        "expires_at": datetime.now(UTC) + LENT_FOR,
    }  # fmt: skip
