"""The API server over connections that stay open: a run makes hundreds of calls, and a handshake costs more than one.

A call takes a connection that nobody uses, and leaves it for the next. Watches have connections of their own, as in
`Api`.
"""

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from tests.bench.sightings import Api, Obj

TIMEOUT = 30
IDLE = 30
"""Seconds after which a connection is not used again: the API server closes those that are idle for longer."""


class KeptOpen(Api):
    """Calls as those of `Api`, errors included."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._unused: list[tuple[float, http.client.HTTPSConnection]] = []
        """Since when, and which; the last used is the last."""

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self._drop_those_unused_since(time.monotonic())

    def call(self, method: str, path: str, body: Obj | None = None, kind: str = "application/json") -> Obj:
        """One request; the object answered."""
        status, text = self.exchange(method, path, json.dumps(body) if body is not None else None, kind)
        if status >= 400:
            reason = http.client.responses.get(status, "")
            raise HTTPError(path, status, reason, http.client.HTTPMessage(), io.BytesIO(text))
        answered: Obj = json.loads(text)
        return answered

    def exchange(
        self, method: str, path: str, text: str | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """One request with whatever text; the status code and the text answered, be it an error or not."""
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            with self._connection() as connection:
                connection.request(method, path, text.encode() if text is not None else None, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
        except (http.client.HTTPException, OSError) as error:
            raise URLError(error) from error

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPSConnection]:
        """One that nobody else uses meanwhile; left open if all went well."""
        self._drop_those_unused_since(time.monotonic() - IDLE)
        with self._lock:
            connection = self._unused.pop()[1] if self._unused else self._new()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._unused.append((time.monotonic(), connection))

    def _new(self) -> http.client.HTTPSConnection:
        where = urlsplit(self.server)
        assert where.hostname
        return http.client.HTTPSConnection(where.hostname, where.port, context=self.context, timeout=TIMEOUT)

    def _drop_those_unused_since(self, moment: float) -> None:
        with self._lock:
            dropped = [connection for since, connection in self._unused if since <= moment]
            self._unused = [(since, connection) for since, connection in self._unused if since > moment]
        for connection in dropped:
            connection.close()
