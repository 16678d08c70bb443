"""How tests reach the API server: without any client library, and over connections that stay open.

`Api` makes one connection for each call, and is what the floor of `tests.bench` is measured with. `KeptOpen` takes a
connection that nobody uses and leaves it for the next call: a run makes hundreds of them, and a handshake costs more
than one. Watches have connections of their own.
"""

import base64
import http.client
import io
import json
import ssl
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import yaml

from tests.checkout import find_kubeconfig

Obj = dict[str, Any]
Headers = Sequence[tuple[str, str]]
"""Names may repeat, as those of groups that a person is impersonated in do."""

TIMEOUT = 30
COME_AGAIN = 429
IDLE = 30
"""Seconds after which a connection is not used again: the API server closes those that are idle for longer."""


class Api:
    """The API server that a kubeconfig's present context names; by default the tests' own."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        config = yaml.safe_load((kubeconfig or find_kubeconfig()).read_text())
        context = _named(config, "context", config.get("current-context"))
        cluster = _named(config, "cluster", context.get("cluster"))
        user = _named(config, "user", context.get("user"))
        self.server: str = cluster["server"]
        self.headers: list[tuple[str, str]] = []
        if "token" in user:
            self.headers.append(("Authorization", f"Bearer {user['token']}"))
        if "as" in user:
            self.headers += impersonating(user["as"], user.get("as-groups", ()))
        self.context = _tls(cluster, user)

    def request(
        self, method: str, path: str, body: Obj | None = None, kind: str = "application/json", timeout: float = 300
    ) -> Any:
        """One request; the answer's body, open for reading. `timeout`: seconds without a byte.

        When the API server says to come again, that is done, as every client does: its cache of a new kind is not
        filled at once.
        """
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": kind, **dict(self.headers)}
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                return urllib.request.urlopen(request, context=self.context, timeout=timeout)
            except HTTPError as error:
                if not _is_to_come_again(error.code, error.headers, deadline):
                    raise

    def call(self, method: str, path: str, body: Obj | None = None, kind: str = "application/json") -> Obj:
        """One request; the object answered."""
        with self.request(method, path, body, kind) as response:
            found: Obj = json.load(response)
            return found


def _is_to_come_again(status: int, headers: Mapping[str, str], deadline: float) -> bool:
    """Wait as long as an answer says, if it says so; whether to ask once more."""
    again = headers.get("Retry-After") if status == COME_AGAIN else None
    if again is None or time.monotonic() + float(again) > deadline:
        return False
    time.sleep(float(again))
    return True


def impersonating(user: str, groups: Sequence[str]) -> list[tuple[str, str]]:
    """The headers with which somebody acts as somebody else."""
    return [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]


def _named(config: Obj, kind: str, name: str | None) -> Obj:
    found: Obj = next(each[kind] for each in config[f"{kind}s"] if name in (None, each["name"]))
    return found


def _tls(cluster: Obj, user: Obj) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=_file(cluster, "certificate-authority"))
    certificate, key = _file(user, "client-certificate"), _file(user, "client-key")
    if certificate and key:
        context.load_cert_chain(certificate, key)
    return context


def _file(settings: Obj, name: str) -> str | None:
    if name in settings:
        return str(settings[name])
    if f"{name}-data" not in settings:
        return None
    with tempfile.NamedTemporaryFile(delete=False) as kept:
        kept.write(base64.b64decode(settings[f"{name}-data"]))
    return kept.name


class KeptOpen(Api):
    """Calls as those of `Api`, errors included."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        super().__init__(kubeconfig)
        self._lock = threading.Lock()
        self._unused: list[tuple[float, http.client.HTTPSConnection]] = []
        """Since when, and which; the last used is the last."""

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self._drop_those_unused_since(time.monotonic())

    def call(
        self, method: str, path: str, body: Obj | None = None, kind: str = "application/json", headers: Headers = ()
    ) -> Obj:
        """One request; the object answered."""
        status, text = self.exchange(method, path, json.dumps(body) if body is not None else None, kind, headers)
        if status >= 400:
            reason = http.client.responses.get(status, "")
            raise HTTPError(path, status, reason, http.client.HTTPMessage(), io.BytesIO(text))
        answered: Obj = json.loads(text)
        return answered

    def exchange(
        self, method: str, path: str, text: str | None = None, kind: str = "application/json", headers: Headers = ()
    ) -> tuple[int, bytes]:
        """One request with whatever text; the status code and the text answered, be it an error or not."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                with self._connection() as connection:
                    self._send(connection, method, path, text, [("Content-Type", kind), *headers])
                    answer = connection.getresponse()
                    status, body = answer.status, answer.read()
            except (http.client.HTTPException, OSError) as error:
                raise URLError(error) from error
            if not _is_to_come_again(status, answer.headers, deadline):
                return status, body

    @contextmanager
    def lines(self, path: str, timeout: float, headers: Headers = ()) -> Iterator[http.client.HTTPResponse]:
        """An answer that comes in lines, over a connection of its own. `timeout`: seconds without a byte."""
        connection = self._new(timeout)
        try:
            self._send(connection, "GET", path, None, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise HTTPError(path, answer.status, answer.reason, answer.headers, answer)
            yield answer
        finally:
            connection.close()

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, path: str, text: str | None, headers: Headers
    ) -> None:
        data = text.encode() if text is not None else None
        connection.putrequest(method, path, skip_accept_encoding=True)
        given = {name for name, _ in headers}
        for name, value in (*(each for each in self.headers if each[0] not in given), *headers):
            connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPSConnection]:
        """One that nobody else uses meanwhile; left open if all went well."""
        self._drop_those_unused_since(time.monotonic() - IDLE)
        with self._lock:
            connection = self._unused.pop()[1] if self._unused else self._new(TIMEOUT)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._unused.append((time.monotonic(), connection))

    def _new(self, timeout: float) -> http.client.HTTPSConnection:
        where = urlsplit(self.server)
        assert where.hostname
        return http.client.HTTPSConnection(where.hostname, where.port, context=self.context, timeout=timeout)

    def _drop_those_unused_since(self, moment: float) -> None:
        with self._lock:
            dropped = [connection for since, connection in self._unused if since <= moment]
            self._unused = [(since, connection) for since, connection in self._unused if since > moment]
        for connection in dropped:
            connection.close()
