"""An HTTP proxy between operator processes and the API server, which lets `Faults` meddle with every call and event.

It speaks plain HTTP to the operator and adds the admin's certificate on the way. A second operator process comes
through the same proxy and is told from the first by its path.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import aiohttp
import yaml
from aiohttp import web

from tests.connections import Api
from tests.relay import Relay

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PASSED_ON = ("Accept", "Content-Type", "User-Agent")
PASSED_BACK = ("Content-Type", "Retry-After")


class Hangup(Exception):
    """The operator gets no answer: the connection ends."""


@dataclass(frozen=True)
class Call:
    """One request of an operator process."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: str = ""
    """Which process, if it is not the first."""

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method in WRITES

    @property
    def is_list(self) -> bool:
        """Whether it reads a whole collection."""
        return self.method == "GET" and not self.name

    @property
    def collection(self) -> str:
        """The plural of the kind: `services`, `models`, ..."""
        return self._parts[0]

    @property
    def name(self) -> str:
        """The object's name; of a list or a watch, none."""
        if len(self._parts) > 1:
            return self._parts[1]
        manifest: dict[str, Any] = json.loads(self.body) if self.method == "POST" else {}
        return str(manifest.get("metadata", {}).get("name", ""))

    @property
    def _parts(self) -> list[str]:
        parts = self.path.strip("/").split("/")
        start = parts.index("namespaces") + 2 if "namespaces" in parts else 3 if parts[0] == "apis" else 2
        return parts[start:] or ["namespaces"]

    def __str__(self) -> str:
        subresource = "/".join(self._parts[2:])
        return f"{self.method} {self.collection}/{self.name}{'/' if subresource else ''}{subresource}"


@dataclass(frozen=True)
class Answer:
    """What comes back."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    half: bool = False
    """Whether the connection ends in the middle of the body."""


PassOn = Callable[[Call], Awaitable[Answer]]
"""Lets the API server do what is asked. What it has begun it finishes, whether somebody waits for it or not."""


class Faults(Protocol):
    """What goes wrong. Each may raise Hangup."""

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        """Answer a call, with or without the API server."""
        ...

    async def refuse_watch(self, call: Call) -> Answer | None:
        """A watch is asked for: the answer instead of it, if there is to be none."""
        ...

    def events(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """What gets through of a watch: one event a line. The watch ends when it does, unless `lines` ended first."""
        ...


class NoFaults:
    """Everything passes."""

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        return await pass_on(call)

    async def refuse_watch(self, call: Call) -> Answer | None:
        return None

    async def events(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for line in lines:
            yield line


class Proxy(Relay):
    """The proxy of a yard. `faults` may be replaced at any time; what hangs goes on to hang."""

    def __init__(self, api: Api) -> None:
        super().__init__(api.context)
        self._api = api
        self.faults: Faults = NoFaults()

    def write_kubeconfig(self, path: Path, caller: str = "") -> Path:
        """A kubeconfig that leads through the proxy."""
        url = f"http://127.0.0.1:{self.port}" + (f"/@{caller}" if caller else "")
        here = {"cluster": {"server": url}, "name": "proxy"}
        context = {"context": {"cluster": "proxy", "user": "proxy"}, "name": "proxy"}
        config = {"clusters": [here], "users": [{"name": "proxy", "user": {}}], "contexts": [context]}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "proxy", **config}))
        return path

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = await _read(request)
        try:
            if "watch" in call.query:
                refusal = await self.faults.refuse_watch(call)
                return await (self._respond(request, refusal) if refusal else self._watch(request, call))
            return await self._respond(request, await self.faults.handle(call, self._pass_on))
        except Hangup:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

    async def _respond(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if not answer.half:
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
        response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _pass_on(self, call: Call) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(self._fetch(call)))

    async def _fetch(self, call: Call) -> Answer:
        async with self._ask(call) as upstream:
            kept = {name: upstream.headers[name] for name in PASSED_BACK if name in upstream.headers}
            return Answer(upstream.status, await upstream.read(), kept)

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        async with self._ask(call) as upstream:
            response = web.StreamResponse(status=upstream.status, headers={"Content-Type": "application/json"})
            lines = _Lines(upstream.content)
            with suppress(aiohttp.ClientError, ConnectionError):  # one of the two sides went away
                await response.prepare(request)
                while not lines.ended:
                    faults = self.faults
                    part = _Part(lines, lambda faults=faults: self.faults is faults)  # type: ignore[misc]
                    async with aclosing(faults.events(call, part)) as passed:
                        async for line in passed:
                            await response.write(line)
                    if not part.was_left:
                        break
            return response

    def _ask(self, call: Call) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {**call.headers, **dict(self._api.headers)}
        url = f"{self._api.server}{call.path}" + (f"?{urlencode(call.query)}" if call.query else "")
        return self._session.request(
            call.method, url, headers=headers, data=call.body or None, skip_auto_headers=("Accept-Encoding",)
        )


async def _read(request: web.BaseRequest) -> Call:
    caller, path = "", request.path
    if path.startswith("/@"):
        caller, _, path = path[2:].partition("/")
        path = f"/{path}"
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    return Call(request.method, path, dict(request.query), await request.read(), headers, caller)


class _Lines:
    """What a watch says, line by line."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self._pending = b""
        self._ready: deque[bytes] = deque()
        self.ended = False

    async def next(self) -> bytes:
        """The next line; empty at the end."""
        while not self._ready:
            chunk = await self._content.readany()
            if not chunk:
                self.ended = True
                return b""
            *lines, self._pending = (self._pending + chunk).split(b"\n")
            self._ready.extend(line + b"\n" for line in lines)
        return self._ready.popleft()

    def put_back(self, line: bytes) -> None:
        """Let it be the next again."""
        self._ready.appendleft(line)


class _Part:
    """The lines of a watch as long as the same faults are at work."""

    def __init__(self, lines: _Lines, goes_on: Callable[[], bool]) -> None:
        self._lines = lines
        self._goes_on = goes_on
        self.was_left = False
        """Whether other faults have taken over in the middle."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        line = await self._lines.next()
        if line and not self._goes_on():
            self._lines.put_back(line)
            self.was_left = True
        if not line or self.was_left:
            raise StopAsyncIteration
        return line
