"""Calls to the API server: dicts in, dicts out, a time limit on each, errors by type.

`observe` lists with it, `execute` writes with it, the lease is kept with it. It holds no state but its connections,
retries nothing but a login, and converts nothing: the generated models of the client library cost ten times the
JSON they wrap.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from modelyard.api.names import FIELD_MANAGER
from modelyard.kube.errors import KubeError, UnauthorizedError, UnreachableError, error_for
from modelyard.kube.kinds import KINDS, Kind
from modelyard.kube.login import load_configuration

Json = dict[str, Any]
Obj = Mapping[str, Any]
Observer = Callable[[str, str, float, KubeError | None], None]
"""Told after every call: verb, kind, seconds, error."""

TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
KEEP_ALIVE = 60
"""Seconds an idle connection is kept. Below the 90 s after which the API server closes it: a write must not meet
a connection that is being closed. Above the pause between two renewals of the lease, so one is always open."""

PAGE = 500
MERGE = "application/merge-patch+json"
JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Page:
    """A part of a list; all its parts show the same moment, `resource_version`."""

    items: list[Json]
    resource_version: str


class _Connections(RESTClientObject):
    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=KEEP_ALIVE)


class Client:
    """One connection pool to one API server."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        login: Callable[[], Awaitable[Configuration]] = load_configuration,
        observer: Observer | None = None,
    ) -> None:
        self._login = login
        self._observer = observer
        self._logging_in = asyncio.Lock()
        self._connect(configuration)

    @classmethod
    async def open(cls, observer: Observer | None = None) -> Self:
        """Connect with the credentials of the environment."""
        return cls(await load_configuration(), observer=observer)

    async def close(self) -> None:
        """Close every connection."""
        await self._api.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def list(
        self, kind: Kind, namespace: str | None = None, *, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        """Read all objects of a kind, page by page; with `metadata_only` neither spec nor status comes along."""
        query = {"limit": str(PAGE)} | ({"labelSelector": kind.selector} if kind.selector else {})
        accept = METADATA_LIST if metadata_only else JSON
        attempted = f"list {kind.plural} in {namespace or 'all namespaces'}"
        while True:
            answer = await self._call(
                "list", kind, kind.path(namespace), attempted, query=query, accept=accept, limit=LIST_TIMEOUT
            )
            items = answer.get("items") or []  # an empty list of metadata has null
            for item in items:  # items of a list carry neither
                item["kind"], item["apiVersion"] = kind.name, kind.api_version
            yield Page(items, answer["metadata"]["resourceVersion"])
            if not (position := answer["metadata"].get("continue")):
                return
            query["continue"] = position

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Read one object, not from any cache."""
        return await self._call("get", kind, kind.path(namespace, name), _attempt("get", kind, namespace, name))

    async def create(self, manifest: Obj) -> Json:
        """Make a new object."""
        kind, namespace, name = _address(manifest)
        return await self._call(
            "create",
            kind,
            kind.path(namespace),
            _attempt("create", kind, namespace, name),
            body=manifest,
            query={"fieldManager": FIELD_MANAGER},
        )

    async def replace(self, manifest: Obj) -> Json:
        """Replace an object, if it is still at the manifest's resourceVersion."""
        kind, namespace, name = _address(manifest)
        attempted = _attempt("update", kind, namespace, name)
        return await self._call("update", kind, kind.path(namespace, name), attempted, body=manifest)

    async def replace_status(self, kind: Kind, namespace: str, name: str, status: Obj, resource_version: str) -> Json:
        """Replace an object's whole status, if the object is still at that resourceVersion. The rest of it stays."""
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": resource_version},
            "status": status,
        }
        return await self._call(
            "update",
            kind,
            kind.path(namespace, name, "status"),
            _attempt("update status of", kind, namespace, name),
            body=body,
            query={"fieldManager": FIELD_MANAGER},
        )

    async def patch(self, kind: Kind, namespace: str, name: str, body: Obj) -> Json:
        """JSON merge patch."""
        return await self._call(
            "patch",
            kind,
            kind.path(namespace, name),
            _attempt("patch", kind, namespace, name),
            body=body,
            query={"fieldManager": FIELD_MANAGER},
            content=MERGE,
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> Json:
        """Delete the object with this uid and resourceVersion, its dependents in the background.

        Answers with what is left of it. Raises ConflictError when it was written since, or has another uid.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        attempted = _attempt("delete", kind, namespace, name)
        return await self._call("delete", kind, kind.path(namespace, name), attempted, body=body)

    async def review(self, kind: Kind, spec: Obj) -> Json:
        """Put a question to the API server that it answers at once and keeps nothing of; the answer's status."""
        body = {"apiVersion": kind.api_version, "kind": kind.name, "spec": spec}
        answer = await self._call("create", kind, kind.path(None), f"create {kind.name}", body=body)
        status: Json = answer.get("status") or {}
        return status

    def _connect(self, configuration: Configuration) -> None:
        self._api = ApiClient(configuration)
        self._api.rest_client = _Connections(configuration)

    async def _log_in_again(self, refused: ApiClient) -> None:
        async with self._logging_in:
            if self._api is refused:  # else another call has done it meanwhile
                self._connect(await self._login())
                await refused.close()

    async def _call(self, verb: str, kind: Kind, path: str, attempted: str, **request: Any) -> Json:
        started = time.monotonic()
        failure: KubeError | None = None
        try:
            try:
                return await self._send(verb, path, attempted, **request)
            except UnauthorizedError:  # a token that was rotated, a certificate that was renewed
                await self._log_in_again(self._api)
                return await self._send(verb, path, attempted, **request)
        except KubeError as error:
            failure = error
            raise
        finally:
            if self._observer:
                self._observer(verb, kind.name, time.monotonic() - started, failure)

    async def _send(
        self,
        verb: str,
        path: str,
        attempted: str,
        *,
        body: Obj | None = None,
        query: Mapping[str, str] | None = None,
        content: str = JSON,
        accept: str = JSON,
        limit: aiohttp.ClientTimeout = TIMEOUT,
    ) -> Json:
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": "modelyard"}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, _METHODS[verb], body)
        url = self._api.configuration.host + path
        if query:
            url += f"?{urlencode(query)}"
        try:
            response = await self._api.rest_client.request(
                _METHODS[verb], url, headers=headers, body=body, _request_timeout=limit
            )
            text = await response.read()
        except TimeoutError as error:
            raise UnreachableError(attempted, f"no answer within {limit.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(attempted, str(error) or type(error).__name__) from error
        answer = _parsed(text)
        if response.status >= 400:
            raise error_for(response.status, answer, attempted, response.headers.get("Retry-After"))
        return answer


_METHODS = {
    "list": "GET",
    "get": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


def _parsed(text: bytes) -> Json:
    try:
        answer = json.loads(text)
    except ValueError:  # a proxy's page, an empty body
        return {"message": text[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)[:200]}


def _address(manifest: Obj) -> tuple[Kind, str, str]:
    return KINDS[manifest["kind"]], manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _attempt(verb: str, kind: Kind, namespace: str, name: str) -> str:
    return f"{verb} {kind.name} {namespace}/{name}"
