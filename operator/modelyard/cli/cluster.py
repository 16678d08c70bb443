"""The API server, asked by a command that does one thing and ends: dicts in, dicts out, with the caller's own rights.

The operator's client (`kube.client`) is asynchronous and takes a second to import; the two share kinds, paths and the
tree of errors. Nothing is retried here, but a watch that the server ends is opened again.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

from modelyard.api.names import API_VERSION, GROUP
from modelyard.cli.connections import connections
from modelyard.cli.errors import CommandError, LoginError
from modelyard.cli.kubeconfig import Login
from modelyard.kube.errors import ExpiredError, NotFoundError, TransientError, UnreachableError, error_for
from modelyard.kube.kinds import KINDS, Kind

Json = dict[str, Any]
Obj = Mapping[str, Any]

MANAGER = "kubectl-modelyard"
"""Field manager of what people change with the command line."""
CONNECT, ANSWER = 5.0, 30.0
QUIET = 90.0
"""Seconds without a word after which a watch is taken for dead: the server sends a bookmark about every minute."""
UNREACHABLE = 60.0
"""How long a watch goes on trying while the API server cannot be reached, and how long it pauses between two tries."""
PAUSE = 1.0
PAGE = 1000
MERGE = "application/merge-patch+json"


class Cluster:
    """One API server and one namespace."""

    def __init__(self, log_in: Callable[[], Login]) -> None:
        self._log_in = log_in
        self._connect()

    def _connect(self) -> None:
        login = self._log_in()
        self.namespace = login.namespace
        self._server = login.server
        self._headers = urllib3.HTTPHeaderDict({**login.identity.headers, "Accept": "application/json"})
        self._headers["User-Agent"] = MANAGER
        for group in login.identity.groups:
            self._headers.add("Impersonate-Group", group)
        self._pool = connections(login)
        self._identity = login.identity

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Json:
        """One object; NotFoundError when there is none."""
        where = namespace or self.namespace
        return self._call("GET", kind.path(where, name), f"read {kind.name} {where}/{name}")

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Json | None:
        """One object, or None when there is none."""
        try:
            return self.get(kind, name, namespace)
        except NotFoundError:
            return None

    def list(self, kind: Kind, *, everywhere: bool = False, fields: str = "", labels: str = "") -> list[Json]:
        """The objects of a kind in the namespace, or in all of them."""
        namespace = None if everywhere else self.namespace
        found: list[Json] = []
        position = ""
        while True:
            page = self._page(kind, namespace, fields, labels, position)
            found += page["items"]
            position = page["metadata"].get("continue", "")
            if not position:
                return found

    def create(self, manifest: Obj) -> Json:
        """Make an object; its name may be left to the server (generateName)."""
        kind = KINDS[manifest["kind"]]
        metadata = manifest["metadata"]
        named = metadata.get("name") or f"{metadata['generateName']}…"
        where = metadata.get("namespace") or self.namespace
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        attempted = f"create {kind.name} {where}/{named}"
        return self._call("POST", kind.path(where), attempted, query=query, body=manifest)

    def patch(self, kind: Kind, name: str, body: Obj, *, dry_run: bool = False) -> Json:
        """Merge a patch into an object."""
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        attempted = f"change {kind.name} {self.namespace}/{name}"
        return self._call("PATCH", kind.path(self.namespace, name), attempted, query=query, body=body, content=MERGE)

    def whoami(self) -> str:
        """The user that the API server takes the caller for."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self._call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "ask who I am", body=body)
        return str(answer["status"]["userInfo"]["username"])

    def may(self, verb: str, resource: str, name: str) -> bool:
        """Whether the caller may do this to a resource of our group."""
        attributes = {"namespace": self.namespace, "verb": verb, "group": GROUP, "name": name}
        attributes["resource"], _, attributes["subresource"] = resource.partition("/")
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self._call("POST", path, "ask what I may do", body=body)["status"].get("allowed"))

    def token(self) -> str:
        """The caller's own token, for a service that asks the API server whose it is; LoginError when there is none."""
        given = self._identity
        if given.user:
            raise LoginError("acting as somebody else (--as) ends at the API server; log in as the user himself")
        if not given.token:
            raise LoginError("the kubeconfig logs in with a certificate or password, and only a token can be passed on")
        return given.token

    def download(
        self,
        path: str,
        attempted: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The bytes that something behind the API server answers with."""
        answer = self._send("GET", path, attempted, query or {}, headers=headers)
        try:
            return answer.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(attempted, str(error)) from error
        finally:
            answer.release_conn()

    def follow(self, kind: Kind, name: str, until: float) -> Iterator[Json | None]:
        """The states of one object as they come (None: there is none), the present one first, until a moment of
        the monotonic clock."""
        seen: object = ()
        lost_at = 0.0
        while time.monotonic() < until:
            try:
                page = self._page(kind, self.namespace, f"metadata.name={name}", "", "")
                lost_at = 0.0
                state = page["items"][0] if page["items"] else None
                if (version := _version(state)) != seen:
                    yield state
                    seen = version
                for state in self._changes(kind, name, page["metadata"]["resourceVersion"], until):
                    seen = _version(state)
                    yield state
            except ExpiredError:
                continue
            except TransientError:  # it restarts, or something in front of it does
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > UNREACHABLE:
                    raise
                time.sleep(min(PAUSE, max(0.0, until - time.monotonic())))

    def _changes(self, kind: Kind, name: str, version: str, until: float) -> Iterator[Json | None]:
        """The states after a version, until the server ends the watch or the time is up."""
        attempted = f"watch {kind.name} {self.namespace}/{name}"
        while (left := until - time.monotonic()) > 0:
            query = {
                "watch": "1",
                "allowWatchBookmarks": "1",
                "fieldSelector": f"metadata.name={name}",
                "resourceVersion": version,
                "timeoutSeconds": str(max(1, min(300, int(left) + 1))),
            }
            answer = self._send("GET", kind.path(self.namespace), attempted, query, wait=min(QUIET, left))
            opened = time.monotonic()
            try:
                for event in _events(answer, attempted):
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield None if event["type"] == "DELETED" else event["object"]
            except urllib3.exceptions.ReadTimeoutError:
                continue  # nothing happened, or the connection is dead: either way the watch goes on where it was
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise UnreachableError(attempted, str(error)) from error
            finally:
                answer.close()
            if time.monotonic() - opened < PAUSE:  # something in front of the server ends watches as they come
                time.sleep(PAUSE)

    def _page(self, kind: Kind, namespace: str | None, fields: str, labels: str, position: str) -> Json:
        query = {"limit": str(PAGE), "fieldSelector": fields, "labelSelector": labels, "continue": position}
        attempted = f"list {kind.plural} in {namespace or 'all namespaces'}"
        query = {name: value for name, value in query.items() if value}
        page = self._call("GET", kind.path(namespace), attempted, query=query)
        for item in page["items"]:  # items of a list carry neither
            item.update(apiVersion=kind.api_version, kind=kind.name)
        return page

    def _call(
        self,
        method: str,
        path: str,
        attempted: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Obj | None = None,
        content: str = "application/json",
    ) -> Json:
        answer = self._send(method, path, attempted, query or {}, body=body, content=content)
        try:
            text = answer.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(attempted, str(error)) from error
        finally:
            answer.release_conn()
        try:
            parsed = json.loads(text)
        except ValueError as error:  # a proxy's page
            raise UnreachableError(attempted, f"{self._server} does not answer like an API server") from error
        return parsed if isinstance(parsed, dict) else {}

    def _send(
        self,
        method: str,
        path: str,
        attempted: str,
        query: Mapping[str, str],
        *,
        body: Obj | None = None,
        content: str = "application/json",
        headers: Mapping[str, str] | None = None,
        wait: float = ANSWER,
        again: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        url = self._server + path + (f"?{urlencode(query)}" if query else "")
        sent = self._headers.copy()
        sent.update(headers or {})
        if body is not None:
            sent["Content-Type"] = content
        try:
            answer = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=sent,
                preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT, read=wait),
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(attempted, _cause(error, self._server)) from error
        if answer.status == 401 and again:  # a token of a credential plugin lasts minutes, a wait may last hours
            answer.drain_conn()
            self._connect()
            return self._send(
                method, path, attempted, query, body=body, content=content, headers=headers, wait=wait, again=False
            )
        if answer.status >= 400:
            refusal = _refusal(answer)
            if answer.status == 404 and refusal.get("kind") != "Status":  # not the object: the path
                message = f"{attempted}: this cluster does not know {API_VERSION}; install the chart modelyard first"
                raise CommandError(message)
            raise error_for(answer.status, refusal, attempted, answer.headers.get("Retry-After"))
        return answer


def _events(answer: urllib3.BaseHTTPResponse, attempted: str) -> Iterator[Json]:
    """The events of a watch, one JSON object a line."""
    pending = b""
    for piece in answer.stream(1 << 16):
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError as error:
                raise UnreachableError(attempted, "the answer is no watch") from error
            if event["type"] == "ERROR":
                raise error_for(int(event["object"].get("code", 500)), event["object"], attempted)
            yield event


def _refusal(answer: urllib3.BaseHTTPResponse) -> Obj:
    text = answer.read()
    answer.release_conn()
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"message": text[:200].decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"message": str(parsed)[:200]}


def _cause(error: Exception, server: str) -> str:
    """The innermost telling line: urllib3 wraps, and calls a refused connection a time-out."""
    cause = error.__cause__ or getattr(error, "reason", None) or error
    if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
        return f"{server} did not answer in time"
    return f"{server}: {getattr(cause, 'strerror', None) or cause}"


def _version(state: Obj | None) -> object:
    return state["metadata"]["resourceVersion"] if state else None


def manifest(kind: Kind, name: str, namespace: str, spec: Obj, annotations: Obj | None = None) -> Json:
    """An object of our group to be created; a name that ends in '-' is completed by the server."""
    key = "generateName" if name.endswith("-") else "name"
    metadata: Json = {key: name, "namespace": namespace}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": dict(spec)}
