"""What the proxies of the tests have in common: they listen on loopback, ask on, and leave no connection behind.

A relay has a thread and an event loop of its own, which ends when every socket is closed (`sockets`).
"""

import asyncio
import ssl
import threading
from typing import Self

import aiohttp
from aiohttp import web

from tests.sockets import Sockets

STARTED_WITHIN = 10
ENDED_WITHIN = 30


class Relay:
    """Answers with `_handle`, which asks on through `_session`, from `with` until its end."""

    def __init__(self, tls: ssl.SSLContext | bool = True) -> None:
        self.port = 0
        self._tls = tls
        self._session: aiohttp.ClientSession
        self._sockets = Sockets()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(STARTED_WITHIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ENDED_WITHIN)
        self._loop.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    async def _run(self) -> None:
        forever = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0, socket_factory=self._sockets)
        async with aiohttp.ClientSession(connector=connector, timeout=forever, auto_decompress=False) as self._session:
            server = web.Server(self._handle, handler_cancellation=True)  # nobody waits for what a dead client asked
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()
            await _cancel_the_rest()
        await self._sockets.hang_up()


async def _cancel_the_rest() -> None:
    """End what still serves a connection: the watches of a process that was killed, say."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
