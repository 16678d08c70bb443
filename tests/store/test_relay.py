"""A relay that ends leaves no connection behind, however the other side behaves."""

import gc
import socket
import ssl
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from tests.relay import Relay
from tests.signing import Certificate

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"


class Silent:
    """A server over TLS that begins every answer, and after that neither ends nor hears anything."""

    def __init__(self, folder: Path) -> None:
        certificate = Certificate("silent", signs=None)
        (folder / "tls.pem").write_bytes(certificate.key.pem + certificate.pem.encode())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "tls.pem")
        self.trusting = ssl.create_default_context(cadata=certificate.pem)
        self.trusting.check_hostname = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.held: list[ssl.SSLSocket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listener.getsockname()[1]}/"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        for each in (*self.held, self.listener):
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:  # closed
                return
            connection = self._context.wrap_socket(accepted, server_side=True)
            self.held.append(connection)
            connection.recv(65536)
            connection.sendall(ANSWER)


class Passing(Relay):
    """Passes on an answer as it comes."""

    def __init__(self, silent: Silent) -> None:
        super().__init__(silent.trusting)
        self._url = silent.url

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        async with self._session.get(self._url) as upstream:
            response = web.StreamResponse()
            await response.prepare(request)
            async for part in upstream.content.iter_any():
                await response.write(part)
            return response


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    with closing(Silent(tmp_path)) as server:
        yield server


def test_nothing_stays_open_when_the_other_side_does_not_say_goodbye(silent: Silent) -> None:
    gc.collect()  # what others left is theirs
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        with Passing(silent) as relay, urllib.request.urlopen(f"http://127.0.0.1:{relay.port}/") as answer:
            assert answer.read(5) == b"begun"
        del relay
        gc.collect()
    assert [str(each.message) for each in complaints] == []
