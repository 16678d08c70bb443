"""The ledger for those who may look at a Model and have no rights in its store: read-only, over HTTPS.

    request -> who is it, and may they (`callers`) -> the store, in a thread -> the bytes as they lie there

Every replica serves, whether it leads or stands by, and nothing that decides waits for it: the store is read in threads
of its own, records are not even parsed. Bounded in each direction: requests at a time, reads at a time, names in a
page, megabytes in an answer, seconds for all of it. What is asked and how it is answered: `ledger.service`.

People come through the API server's service proxy. It encrypts without looking at the certificate, so each process
makes its own.
"""

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from aiohttp import web

from modelyard.kube.errors import KubeError, TransientError
from modelyard.ledger.errors import PlaceError
from modelyard.ledger.place import ReadPlace
from modelyard.ledger.service import PAGE, PART, ROOT, SERVED_LEVELS, TOKEN
from modelyard.runtime.callers import Asked, Callers, NotAllowedError
from modelyard.runtime.logs import fields
from modelyard.runtime.metrics import Metrics
from modelyard.runtime.sockets import listening

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

AT_ONCE = 64
"""Requests that are being answered; more are asked to come back."""
READERS = 4
"""Reads of the store at the same time."""
WITHIN = 20.0
"""Seconds for an answer, until its last byte is sent."""
REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests",
    500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip

log = logging.getLogger(__name__)


class _Refusal(Exception):
    """The answer is a Status that says why not."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LedgerService:
    """The HTTPS server of the ledger."""

    def __init__(
        self, port: int, place: ReadPlace, clusters: Collection[str], callers: Callers, metrics: Metrics
    ) -> None:
        self._port = port
        self._place = place
        self._clusters = frozenset(clusters)
        """Whose chains are shown: a namespace of the same name in another cluster may be somebody else's."""
        self._callers = callers
        self._metrics = metrics
        self._answering = 0
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-service")
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._runner.addresses[0][1]
        return port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.SockSite(self._runner, listening(self._port), ssl_context=own_certificate()).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer nobody any more. Safe to call twice."""
        await self._runner.cleanup()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._bounded])
        application.router.add_get(ROOT, self._about)
        application.router.add_get(ROOT + "/folders/{name:.*}", self._folders)
        application.router.add_get(ROOT + "/files/{name:.+}", self._files)
        application.router.add_get(ROOT + "/objects/{name:.+}", self._object)
        return application

    @web.middleware
    async def _bounded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer within bounds, and turn whatever goes wrong into a Status."""
        if self._answering >= AT_ONCE:
            return self._counted(_status(429, f"{AT_ONCE} requests are being answered; come back in a second"))
        self._answering += 1
        answer: web.StreamResponse | None = None
        try:
            async with asyncio.timeout(WITHIN):
                answer = self._counted(await self._answer(request, handler))
                await answer.prepare(request)
                await answer.write_eof()
        except TimeoutError:
            if answer is None:
                return self._counted(_status(504, f"not answered within {WITHIN:g} s; ask for less, or later"))
            if request.transport:  # whoever does not take what he asked for
                request.transport.abort()
        finally:
            self._answering -= 1
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (_Refusal, NotAllowedError) as refusal:
            return _status(refusal.status, str(refusal))
        except web.HTTPException as error:
            return _status(error.status, error.reason)
        except PlaceError as error:
            log.warning("ledger could not be read", extra=fields(error=str(error)))
            return _status(503 if error.transient else 500, str(error))
        except KubeError as error:
            log.warning("caller could not be checked", extra=fields(error=str(error)))
            return _status(503 if isinstance(error, TransientError) else 500, f"check who is asking: {error}")

    async def _about(self, request: web.Request) -> web.Response:
        user = await self._callers.user_of(_token(request))
        return web.json_response({"user": user, "clusters": sorted(self._clusters)})

    async def _folders(self, request: web.Request) -> web.Response:
        match _parts(request):
            case []:
                await self._callers.user_of(_token(request))
                return web.json_response({"folders": sorted(self._clusters)})
            case [cluster]:
                await self._callers.check(_token(request), Asked("list"))
            case [cluster, namespace]:
                await self._callers.check(_token(request), Asked("list", namespace))
            case _:
                raise _Refusal(404, "folders are clusters, namespaces and models")
        self._see(cluster)
        found = await self._read(partial(self._place.folders, request.match_info["name"]))
        return web.json_response({"folders": found})

    async def _files(self, request: web.Request) -> web.Response:
        parts = _parts(request)
        await self._check(request, parts)
        if not _is_served(parts):
            return web.json_response({"files": [], "more": False})
        after = request.query.get("after", "")
        if after and not PART.fullmatch(after):
            raise _Refusal(400, f"after={after!r}: expected the name of a file")
        listed = partial(self._place.files, "/".join(parts), after)
        found = await self._read(lambda: list(islice(listed(), PAGE)))
        return web.json_response({"files": found, "more": len(found) == PAGE})

    async def _object(self, request: web.Request) -> web.Response:
        parts = _parts(request)
        await self._check(request, parts)
        raw = await self._read(partial(self._place.read, "/".join(parts))) if _is_served(parts) else None
        if raw is None:
            raise _Refusal(404, f"there is no object {'/'.join(parts)}")
        return web.Response(body=raw, content_type="application/json")

    async def _check(self, request: web.Request, parts: list[str]) -> None:
        if len(parts) < 4:
            raise _Refusal(404, "what lies there belongs to no model")
        cluster, namespace, model = parts[:3]
        await self._callers.check(_token(request), Asked("get", namespace, model))
        self._see(cluster)

    def _see(self, cluster: str) -> None:
        if cluster not in self._clusters:
            raise _Refusal(404, f"cluster {cluster!r} is not served here; {', '.join(sorted(self._clusters))} is")

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _counted(self, answer: web.StreamResponse) -> web.StreamResponse:
        self._metrics.ledger_requests.labels(str(answer.status)).inc()
        return answer


def _parts(request: web.Request) -> list[str]:
    name = request.match_info["name"]
    parts = name.split("/") if name else []
    if not all(PART.fullmatch(part) for part in parts):
        raise _Refusal(400, f"{name!r} is no name in a ledger")
    return parts


def _is_served(parts: list[str]) -> bool:
    return parts[3] != "segments" or (len(parts) > 4 and parts[4] in map(str, SERVED_LEVELS))


def _token(request: web.Request) -> str:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return request.headers.get(TOKEN) or (bearer.strip() if scheme.lower() == "bearer" else "")


def _status(code: int, message: str) -> web.Response:
    """What the API server answers with when it refuses, so that its clients understand."""
    body = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": REASONS.get(code, "Unknown"), "message": message,
    }  # fmt: skip
    return web.json_response(body, status=code, headers={"Retry-After": "1"} if code in (429, 503) else {})


def own_certificate() -> ssl.SSLContext:
    """TLS with a certificate made here and now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "modelyard-ledger")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=3650))
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:  # ssl takes it from a file only
        path = Path(folder) / "own.pem"
        path.touch(mode=0o600)
        path.write_bytes(certificate + secret)
        context.load_cert_chain(path)
    return context
