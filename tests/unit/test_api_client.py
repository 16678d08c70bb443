"""The tests' own client of the API server waits as every client does, so that a busy one fails no test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest
import yaml

from tests.connections import COME_AGAIN, Api


@contextmanager
def answering(folder: Path, *answers: tuple[int, str | None]) -> Iterator[Api]:
    """A client of a server that gives these answers, each with its Retry-After, one after the other."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, again = left.pop(0)
            self.send_response(status)
            if again is not None:
                self.send_header("Retry-After", again)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump({
            "clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}], "current-context": "c",
        })
    )  # fmt: skip
    try:
        yield Api(kubeconfig)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert left == []


def test_it_comes_again_when_it_is_told_to(tmp_path: Path) -> None:
    with answering(tmp_path, (COME_AGAIN, "0"), (COME_AGAIN, "0"), (200, None)) as api:
        assert api.call("GET", "/version") == {}


@pytest.mark.parametrize("answer", [(COME_AGAIN, None), (COME_AGAIN, "3600"), (500, "0")])
def test_it_does_not_where_it_is_not_or_for_long(tmp_path: Path, answer: tuple[int, str | None]) -> None:
    with answering(tmp_path, answer) as api, pytest.raises(HTTPError) as raised:
        api.call("GET", "/version")
    raised.value.close()
    assert raised.value.code == answer[0]
