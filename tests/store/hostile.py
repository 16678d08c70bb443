"""A server that speaks just enough S3 to be believed, and then does what no store does.

Used by test_hostile.py, beside the real store of `gateway.py`: what a real store would never answer has to be played.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

ETAG = '"0123456789abcdef0123456789abcdef"'


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def lists(self) -> bool:
        """Whether it asks for a listing."""
        return "list-type" in self.query


@dataclass(frozen=True)
class Reply:
    """An answer: what it says of itself, and the body that follows whatever it said."""

    body: bytes | Iterator[bytes] | Path = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Misbehaviour = Callable[[Asked], Reply | None]
"""Answers a request; None leaves it to the store."""


class HostileStore:
    """A bucket of any name, which holds `files`, on a port of its own."""

    def __init__(self, misbehave: Misbehaviour = lambda asked: None, **files: bytes | Path) -> None:
        self.files: dict[str, bytes | Path] = dict(files)
        self.misbehave = misbehave
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def host(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """The variables that a helper pod would get."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.host}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self) -> None:
        """Hang no more, and listen no more."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Asked) -> Reply:
        """What is said, honestly where nothing else was wished for."""
        self.asked.append(asked)
        if reply := self.misbehave(asked):
            return reply
        if asked.lists:
            prefix = asked.query.get("prefix", "")
            return listing({key: size_of(body) for key, body in self.files.items() if key.startswith(prefix)})
        body = self.files.get(asked.key)
        if body is None:
            return Reply(b"<Error><Code>NoSuchKey</Code></Error>", 404)
        return part(body, asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = dict(parse_qsl(url.query, keep_blank_values=True))
                key = url.path.partition("/")[2].partition("/")[2]
                with suppress(OSError):  # whoever asked has had enough
                    self._send(store.answer(Asked(self.command, key, query, dict(self.headers))))

            do_HEAD = do_GET

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                said = {**({"Content-Length": str(len(reply.body))} if isinstance(reply.body, bytes) else {})}
                for name, value in {"Connection": "close", **said, **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.close_connection = True
                if self.command == "HEAD":
                    return
                if isinstance(reply.body, Path):
                    self._send_file(reply.body)
                    return
                for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                    self.wfile.write(piece)

            def _send_file(self, path: Path) -> None:
                start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
                self.wfile.flush()
                with path.open("rb") as file:
                    self.connection.sendfile(file, int(start), int(end) - int(start) + 1)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def size_of(body: bytes | Path) -> int:
    """Bytes of a file."""
    return body.stat().st_size if isinstance(body, Path) else len(body)


def part(body: bytes | Path, asked: Asked) -> Reply:
    """The range that was asked for, or all of it."""
    headers = {"ETag": ETAG, "Content-Length": str(size_of(body))}
    wanted = asked.headers.get("Range")
    if not wanted:
        return Reply(body, headers=headers)
    start, _, end = wanted.removeprefix("bytes=").partition("-")
    length = int(end) - int(start) + 1
    return Reply(body if isinstance(body, Path) else body[int(start) : int(end) + 1], 206, {
        **headers, "Content-Length": str(length), "Content-Range": f"bytes {start}-{end}/{size_of(body)}",
    })  # fmt: skip


def listing(sizes: Mapping[str, object], more: str = "") -> Reply:
    """A page of a listing; `more` is the token of the next one. Sizes may be anything."""
    entries = "".join(
        f"<Contents><Key>{escape(quote(key, errors='surrogateescape'))}</Key><Size>{size}</Size>"
        f"<ETag>{escape(ETAG)}</ETag></Contents>"
        for key, size in sizes.items()
    )
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    truncated = str(bool(more)).lower()
    text = f"<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{token}{entries}"
    return Reply(f"<ListBucketResult>{text}</ListBucketResult>".encode(), headers={"Content-Type": "application/xml"})
