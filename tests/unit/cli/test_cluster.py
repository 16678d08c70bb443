"""What a command makes of an API server's answers, and of watches that break: a server of a few lines says them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from modelyard.cli.cluster import Cluster
from modelyard.cli.errors import CommandError
from modelyard.cli.kubeconfig import Identity, Login
from modelyard.kube.errors import ForbiddenError, UnauthorizedError, UnreachableError
from modelyard.kube.kinds import MODEL, MODEL_VERSION

Obj = dict[str, Any]
Answer = tuple[int, bytes]


class Server:
    """Answers each request in turn as it was told to, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], Answer]] = []
        self.asked: list[tuple[str, dict[str, str], str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                outer.asked.append((parts.path, query, self.headers.get("Authorization", "")))
                status, body = outer.answers.pop(0)()
                self.send_response(status)
                self.send_header("Connection", "close")
                self.end_headers()
                with suppress(BrokenPipeError):  # who asked has given up
                    self.wfile.write(body)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def says(self, status: int, body: Obj | str) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.answers.append(lambda: (status, text.encode()))

    def tells(self, *events: Obj) -> None:
        """A watch that ends after these."""
        self.says(200, "".join(json.dumps(event) + "\n" for event in events))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def cluster(server: Server, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Logs in with another token each time, and pauses briefly."""
    monkeypatch.setattr("modelyard.cli.cluster.PAUSE", 0.01)
    tokens = iter(("first", "second", "third"))
    address = f"http://127.0.0.1:{server.http.server_port}"
    return Cluster(lambda: Login(address, "risk", Identity(token=next(tokens))))


def obj(version: str) -> Obj:
    return {"metadata": {"name": "fraud-7", "resourceVersion": version}}


def page(*items: Obj, version: str = "1") -> Obj:
    return {"items": list(items), "metadata": {"resourceVersion": version}}


def event(kind: str, version: str) -> Obj:
    return {"type": kind, "object": obj(version)}


def test_a_token_that_ran_out_is_renewed(server: Server, cluster: Cluster) -> None:
    server.says(401, {"kind": "Status", "message": "Unauthorized"})
    server.says(200, obj("1"))
    assert cluster.get(MODEL, "fraud")["metadata"]["resourceVersion"] == "1"
    assert [authorization for _, _, authorization in server.asked] == ["Bearer first", "Bearer second"]


def test_a_token_that_nobody_takes(server: Server, cluster: Cluster) -> None:
    for _ in range(2):
        server.says(401, {"kind": "Status", "message": "Unauthorized"})
    with pytest.raises(UnauthorizedError):
        cluster.get(MODEL, "fraud")


def test_what_is_not_there_and_what_nobody_knows(server: Server, cluster: Cluster) -> None:
    server.says(404, {"kind": "Status", "message": "not found"})
    assert cluster.find(MODEL, "fraud") is None
    server.says(404, "404 page not found\n")
    with pytest.raises(CommandError, match="install the chart"):
        cluster.find(MODEL, "fraud")


def test_refusals_have_types(server: Server, cluster: Cluster) -> None:
    server.says(403, {"kind": "Status", "reason": "Forbidden", "message": "alice cannot"})
    with pytest.raises(ForbiddenError, match="list models in risk: alice cannot"):
        cluster.list(MODEL)
    server.says(200, "<html>a proxy</html>")
    with pytest.raises(UnreachableError, match="does not answer like an API server"):
        cluster.list(MODEL)


def test_a_list_is_read_page_by_page(server: Server, cluster: Cluster) -> None:
    first = page(obj("1"))
    first["metadata"]["continue"] = "here"
    server.says(200, first)
    server.says(200, page(obj("2")))
    assert [item["metadata"]["resourceVersion"] for item in cluster.list(MODEL, everywhere=True)] == ["1", "2"]
    assert server.asked[1][1]["continue"] == "here"


def test_a_watch_that_ends_goes_on_where_it_was(server: Server, cluster: Cluster) -> None:
    server.says(200, page(obj("1")))
    server.tells(event("MODIFIED", "2"), event("BOOKMARK", "5"))
    server.tells(event("DELETED", "6"))
    states = cluster.follow(MODEL_VERSION, "fraud-7", time.monotonic() + 30)
    assert [state and state["metadata"]["resourceVersion"] for state in (next(states), next(states), next(states))] == [
        "1", "2", None,
    ]  # fmt: skip
    assert [query.get("resourceVersion") for _, query, _ in server.asked] == [None, "1", "5"]


def test_a_position_that_is_too_old_starts_over_and_tells_nothing_twice(server: Server, cluster: Cluster) -> None:
    server.says(200, page(obj("1")))
    server.tells({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})
    server.says(200, page(obj("1"), version="9"))
    server.tells(event("MODIFIED", "10"))
    states = cluster.follow(MODEL_VERSION, "fraud-7", time.monotonic() + 30)
    assert [state["metadata"]["resourceVersion"] for state in (next(states), next(states)) if state] == ["1", "10"]


def test_a_server_that_restarts_is_waited_for(server: Server, cluster: Cluster) -> None:
    server.says(200, page(obj("1")))
    server.says(200, "starting\n")
    server.says(503, {"kind": "Status", "message": "starting"})
    server.says(200, page(obj("2")))
    states = cluster.follow(MODEL_VERSION, "fraud-7", time.monotonic() + 30)
    assert [state["metadata"]["resourceVersion"] for state in (next(states), next(states)) if state] == ["1", "2"]


def test_following_ends_when_the_time_is_up(server: Server, cluster: Cluster) -> None:
    silent = threading.Event()

    def nothing() -> Answer:
        silent.wait(30)
        return 200, b""

    server.says(200, page())
    server.answers.append(nothing)
    assert list(cluster.follow(MODEL_VERSION, "fraud-7", time.monotonic() + 0.1)) == [None]
    silent.set()
