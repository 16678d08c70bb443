"""The API server over connections that stay open: a run makes hundreds of calls, and a handshake costs more than one.

One connection a thread. Watches have connections of their own, as in `Api`.
"""

import http.client
import io
import json
import threading
import time
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
        self._of_thread = threading.local()
        self._opened: list[http.client.HTTPSConnection] = []

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._opened:
            connection.close()

    def call(self, method: str, path: str, body: Obj | None = None, kind: str = "application/json") -> Obj:
        """One request; the object answered."""
        try:
            status, reason, text = self._exchange(method, path, body, kind)
        except (http.client.HTTPException, OSError) as error:
            self._connection().close()
            raise URLError(error) from error
        if status >= 400:
            raise HTTPError(path, status, reason, http.client.HTTPMessage(), io.BytesIO(text))
        answered: Obj = json.loads(text)
        return answered

    def _exchange(self, method: str, path: str, body: Obj | None, kind: str) -> tuple[int, str, bytes]:
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        connection = self._connection()
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.read()

    def _connection(self) -> http.client.HTTPSConnection:
        found: http.client.HTTPSConnection | None = getattr(self._of_thread, "connection", None)
        idle = time.monotonic() - getattr(self._of_thread, "used", 0.0)
        self._of_thread.used = time.monotonic()
        if found is not None and idle > IDLE:
            found.close()  # and opens by itself
        if found is None:
            where = urlsplit(self.server)
            assert where.hostname
            found = http.client.HTTPSConnection(where.hostname, where.port, context=self.context, timeout=TIMEOUT)
            self._of_thread.connection = found
            self._opened.append(found)
        return found
