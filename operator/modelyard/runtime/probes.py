"""What the kubelet and Prometheus ask: /livez, /readyz and /metrics.

Live: the event loop answers, no turn hangs, and every watch still delivers. Not live means that only a new process
helps. Ready: the cache is complete, and the process leads or stands by to lead.
"""

from collections.abc import Callable, Sequence
from typing import Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelyard.runtime.metrics import Metrics
from modelyard.runtime.sockets import listening

Check = Callable[[], str | None]
"""What is wrong, or None."""


class Probes:
    """The HTTP server of the probes."""

    def __init__(self, port: int, metrics: Metrics, *, live: Sequence[Check], ready: Sequence[Check]) -> None:
        self._port = port
        self._metrics = metrics
        self._live = live
        self._ready = ready
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._runner.addresses[0][1]
        return port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.SockSite(self._runner, listening(self._port)).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer nobody any more. Safe to call twice."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._serve_metrics)
        return application

    async def _livez(self, request: web.Request) -> web.Response:
        return _answer(self._live)

    async def _readyz(self, request: web.Request) -> web.Response:
        return _answer(self._ready)

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(checks: Sequence[Check]) -> web.Response:
    wrong = [complaint for check in checks if (complaint := check())]
    return web.Response(status=503 if wrong else 200, text="\n".join(wrong or ["ok"]) + "\n")
