"""An HTTP proxy between a client and an S3 store, which lets `StoreFaults` meddle with every call.

Calls are passed on byte for byte, the Host included, so that their signatures hold. What can go wrong here: `meddling`.
"""

import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.relay import Relay

HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})
WRITES = frozenset({"DELETE", "POST", "PUT"})


class Hangup(Exception):
    """The client gets no answer: the connection is reset."""


@dataclass(frozen=True)
class StoreCall:
    """One request of a client."""

    method: str
    path: str
    """With its query, as it came."""

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method in WRITES

    @property
    def key(self) -> str:
        """Bucket and key, or bucket and the prefix that is listed."""
        parts = urlsplit(self.path)
        prefix = next(
            (value for name, _, value in (p.partition("=") for p in parts.query.split("&")) if name == "prefix"), ""
        )
        return unquote(parts.path.strip("/") + (f"/{prefix}" if prefix else ""))

    def __str__(self) -> str:
        return f"{self.method} {self.key}"


@dataclass(frozen=True)
class StoreAnswer:
    """What comes back."""

    status: int
    headers: "CIMultiDictProxy[str] | CIMultiDict[str]"
    body: bytes
    sent: int | None = None
    """Bytes after which the connection breaks off; None for all of them."""


PassOn = Callable[[], Awaitable[StoreAnswer]]
"""Lets the store do what is asked."""


class StoreFaults(Protocol):
    """What goes wrong. It may raise Hangup."""

    async def answer(self, call: StoreCall, pass_on: PassOn) -> StoreAnswer:
        """Answer a call, with or without the store."""
        ...


class NoStoreFaults:
    """Everything passes."""

    async def answer(self, call: StoreCall, pass_on: PassOn) -> StoreAnswer:
        return await pass_on()


class StoreProxy(Relay):
    """The proxy of one client. `faults` may be replaced at any time."""

    def __init__(self, store: str) -> None:
        super().__init__()
        self._store = store
        self.faults: StoreFaults = NoStoreFaults()

    @property
    def endpoint(self) -> str:
        """Where a client finds the store."""
        return f"http://127.0.0.1:{self.port}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = StoreCall(request.method, request.raw_path)
        content = await request.read()
        try:
            return await self._reply(request, await self.faults.answer(call, lambda: self._pass_on(request, content)))
        except Hangup:
            _reset(request)
            return web.Response()
        except ConnectionResetError:  # whoever asked has died
            return web.Response()

    async def _pass_on(self, request: web.BaseRequest, content: bytes) -> StoreAnswer:
        headers = CIMultiDict((n, v) for n, v in request.headers.items() if n.lower() not in HOP_BY_HOP)
        async with self._session.request(
            request.method,
            URL(self._store + request.raw_path, encoded=True),
            headers=headers,
            data=content or None,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            allow_redirects=False,
        ) as upstream:
            return StoreAnswer(upstream.status, upstream.headers, await upstream.read())

    async def _reply(self, request: web.BaseRequest, answer: StoreAnswer) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        if request.method != "HEAD":
            response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body[: answer.sent])
        if answer.sent is not None:
            _reset(request)
        return response


def _reset(request: web.BaseRequest) -> None:
    """End the connection as a machine does that went down: no goodbye, and whatever was sent last may be lost."""
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
