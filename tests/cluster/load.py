"""Clients that never stop asking while a test changes what serves, and count every answer and every failure."""

import http.client
import threading
import time
from collections import Counter
from types import TracebackType
from urllib.parse import urlsplit


class Load:
    """A few clients in threads; each opens a connection a request, or keeps one for as long as it lasts.

    A kept connection that the server closes between two requests is opened again and is no failure: HTTP clients
    do so. A request that gets no answer, or another than 200, is one.
    """

    def __init__(self, url: str, *, clients: int = 3, keep_alive: bool = False, limit: float = 300) -> None:
        self._address = urlsplit(url)
        self._keep_alive = keep_alive
        self._deadline = time.monotonic() + limit
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.last: dict[int, str] = {}

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=20)

    def until(self, version: str, seconds: float = 60) -> None:
        """Wait until every client gets its answers from a version."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if len(self.last) == len(self._threads) and set(self.last.values()) == {version}:
                return
            time.sleep(0.05)
        raise AssertionError(f"the clients are answered by {self.last}, not all by version {version}")

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stopping.is_set() and time.monotonic() < self._deadline:
            fresh = connection is None
            connection = connection or self._connect()
            try:
                self._ask(connection)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                closed = isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError)
                if fresh or not closed:
                    self.failures.append(f"{type(error).__name__}: {error}")
                continue
            if not self._keep_alive:
                connection.close()
                connection = None
            time.sleep(0.01)
        if connection:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        assert self._address.hostname
        return http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=10)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read().decode()
        if response.status != 200:
            self.failures.append(f"{response.status}: {body}")
            return
        version = body.split()[0]
        self.answers[version] += 1
        self.last[threading.get_ident()] = version
