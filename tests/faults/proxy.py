"""An HTTP proxy between one operator process and the API server, which lets `Faults` meddle with every call.

It speaks plain HTTP to the operator and adds the admin's certificate on the way. Watches are passed on line by line.
It runs in a thread and an event loop of its own.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml
from aiohttp import web

from tests.bench.sightings import Api

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PASSED_ON = ("Accept", "Content-Type", "User-Agent")
PASSED_BACK = ("Content-Type", "Retry-After")


class Hangup(Exception):
    """The operator gets no answer: the connection ends."""


@dataclass(frozen=True)
class Call:
    """One request of the operator."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method in WRITES

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


PassOn = Callable[[], Awaitable[Answer]]
"""Lets the API server do what is asked."""


class Faults(Protocol):
    """What goes wrong. Either may raise Hangup."""

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        """Answer a call, with or without the API server."""
        ...

    async def watch(self, call: Call) -> None:
        """A watch begins."""
        ...


class NoFaults:
    """Everything passes."""

    async def handle(self, call: Call, pass_on: PassOn) -> Answer:
        return await pass_on()

    async def watch(self, call: Call) -> None:
        pass


class Proxy:
    """The proxy of one operator process. `faults` may be replaced at any time."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.faults: Faults = NoFaults()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def write_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads through the proxy."""
        here = {"cluster": {"server": f"http://127.0.0.1:{self.port}"}, "name": "proxy"}
        context = {"context": {"cluster": "proxy", "user": "proxy"}, "name": "proxy"}
        config = {"clusters": [here], "users": [{"name": "proxy", "user": {}}], "contexts": [context]}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "proxy", **config}))
        return path

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._api.context, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        ) as self._session:
            server = web.Server(self._handle)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()
            await _cancel_the_rest()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call(request.method, request.path, dict(request.query), await request.read())
        try:
            if "watch" in call.query:
                await self.faults.watch(call)
                return await self._watch(request, call)
            answer = await self.faults.handle(call, lambda: self._pass_on(request, call))
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        except Hangup:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

    async def _pass_on(self, request: web.BaseRequest, call: Call) -> Answer:
        async with self._ask(request, call) as upstream:
            kept = {
                name: upstream.headers[name] for name in ("Content-Type", "Retry-After") if name in upstream.headers
            }
            return Answer(upstream.status, await upstream.read(), kept)

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        async with self._ask(request, call) as upstream:
            response = web.StreamResponse(status=upstream.status, headers={"Content-Type": "application/json"})
            await response.prepare(request)
            with suppress(aiohttp.ClientError, ConnectionError):  # one of the two sides went away
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
            return response

    def _ask(self, request: web.BaseRequest, call: Call) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        if self._api.token:
            headers["Authorization"] = f"Bearer {self._api.token}"
        url = f"{self._api.server}{request.raw_path}"
        return self._session.request(call.method, url, headers=headers, data=call.body or None)


async def _cancel_the_rest() -> None:
    """End what still serves a connection: the watches of a process that was killed."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
