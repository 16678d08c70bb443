"""The objects of a cluster, by the words that kubectl takes for their kinds: for `Kube`, which asks thousands of times.

A kubectl process costs a tenth of a second of processor time, and its connection and discovery more on the server.
A refusal is told in the API server's own words; where kubectl's are wanted, `Kube` asks it the same again.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from tests.connections import Headers, KeptOpen, Obj

DISCOVERY = ("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
PATCHES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_SOON = 0.1
"""Seconds between two looks at what is being deleted."""


class NotServedError(Exception):
    """The API server refused, with a `reason` and a `message` in its own words; empty when it was not even asked."""

    def __init__(self, reason: str = "", message: str = ""):
        super().__init__(message or reason)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`apiVersion` as manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The URL's path, of the collection when there is no name."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        parts += ["namespaces", namespace or "default"] if self.namespaced else []
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])


@dataclass(frozen=True)
class Place:
    """A kind in a namespace, as somebody asks for it."""

    resource: Resource
    namespace: str | None
    headers: Headers = ()

    def url(self, name: str = "", subresource: str = "", **query: str) -> str:
        """Path and query."""
        given = {key: value for key, value in query.items() if value}
        path = self.resource.path(self.namespace, name, subresource)
        return f"{path}?{urlencode(given)}" if given else path


class Resources:
    """What one API server serves."""

    def __init__(self, api: KeptOpen) -> None:
        self._api = api
        self._known: Mapping[str, Resource] = {}

    def named(self, word: str) -> Resource:
        """The kind that kubectl takes a word for; `apiVersion/kind` names one exactly."""
        if word.lower() not in self._known:
            self._known = dict(_words(self._discover("/apis"))) | dict(_words(self._discover("/api")))
        try:
            return self._known[word.lower()]
        except KeyError:
            raise NotServedError from None

    def _discover(self, path: str) -> list[Obj]:
        groups: list[Obj] = self._api.call("GET", path, headers=[DISCOVERY])["items"]
        return groups

    def get(self, place: Place, name: str) -> Obj:
        """One object."""
        return self._call("GET", place.url(name), place)

    def items(self, place: Place, selector: str = "", fields: str = "") -> list[Obj]:
        """Those that both selectors fit."""
        return self._list(place, selector, fields)[0]

    def _list(self, place: Place, selector: str, fields: str) -> tuple[list[Obj], str]:
        listed = self._call("GET", place.url(labelSelector=selector, fieldSelector=fields), place)
        known = {"apiVersion": place.resource.api_version, "kind": place.resource.kind}
        return [{**known, **item} for item in listed["items"]], listed["metadata"]["resourceVersion"]

    def create(self, place: Place, manifest: Mapping[str, Any]) -> Obj:
        """The object as it was stored."""
        url = place.url(fieldManager="kubectl-create", fieldValidation="Strict")
        return self._call("POST", url, place, manifest)

    def dry_run(self, place: Place, manifest: Mapping[str, Any], *, replacing: bool) -> None:
        """Ask whether an object could be created, or could replace the one that is there."""
        how = {"dryRun": "All", "fieldValidation": "Strict"}
        if not replacing:
            self._call("POST", place.url(**how), place, manifest)
            return
        name = manifest["metadata"]["name"]
        known = self.get(place, name)["metadata"]["resourceVersion"]
        metadata = {**manifest["metadata"], "resourceVersion": known}
        self._call("PUT", place.url(name, **how), place, {**manifest, "metadata": metadata})

    def apply(
        self, place: Place, manifest: Mapping[str, Any], *, manager: str, force: bool = False, subresource: str = ""
    ) -> Obj:
        """Server-side apply; the object as it is now."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": "true" if force else ""}
        url = place.url(manifest["metadata"]["name"], subresource, **query)
        return self._call("PATCH", url, place, manifest, PATCHES["apply"])

    def patch(self, place: Place, name: str, body: object, *, type: str, subresource: str = "") -> Obj:
        """The object as it is now."""
        url = place.url(name, subresource, fieldManager="kubectl-patch")
        return self._call("PATCH", url, place, body, PATCHES[type])

    def delete(self, place: Place, names: Sequence[str], seconds: float) -> None:
        """Those that are there, with what depends on them in the background; gone after at most so many seconds."""
        uids = {name: uid for name in names if (uid := self._delete(place, name))}
        deadline = time.monotonic() + seconds
        for name, uid in uids.items() if seconds else ():
            while self._is_there(place, name, uid):
                if time.monotonic() > deadline:
                    raise NotServedError
                time.sleep(_SOON)

    def _delete(self, place: Place, name: str) -> str:
        try:
            answered = self._call("DELETE", place.url(name), place, {"propagationPolicy": "Background"})
        except NotServedError as error:
            if error.reason == "NotFound":
                return ""
            raise
        return str((answered["details"] if answered["kind"] == "Status" else answered["metadata"])["uid"])

    def _is_there(self, place: Place, name: str, uid: str) -> bool:
        try:
            return bool(self.get(place, name)["metadata"]["uid"] == uid)
        except NotServedError as error:
            if error.reason == "NotFound":
                return False
            raise

    def watch(self, place: Place, name: str, seconds: float) -> Iterator[Obj | None]:
        """What one object is, and becomes (None: deleted), until the time is up or the server ends the watch."""
        one = f"metadata.name={name}"
        there, version = self._list(place, "", one)
        yield from there
        query = {"watch": "1", "fieldSelector": one, "resourceVersion": version, "timeoutSeconds": str(ceil(seconds))}
        try:
            with self._api.lines(place.url(**query), seconds + 5, place.headers) as lines:
                for event in map(json.loads, lines):
                    if event["type"] == "ERROR":
                        return
                    yield None if event["type"] == "DELETED" else event["object"]
        except HTTPError as error:
            raise NotServedError(error.reason) from error

    def _call(self, method: str, url: str, place: Place, body: object = None, kind: str = "application/json") -> Obj:
        text = None if body is None else json.dumps(body)
        status, answered = self._api.exchange(method, url, text, kind, place.headers)
        if status >= 400:
            raise _refused(answered)
        found: Obj = json.loads(answered)
        return found


@lru_cache
def served_to(kubeconfig: Path, changed_at: int) -> Resources:
    """What the API server of a kubeconfig serves. `changed_at`: when that file was, in nanoseconds."""
    del changed_at  # another one for another state of the file
    return Resources(KeptOpen(kubeconfig))


def _words(groups: Sequence[Obj]) -> Iterator[tuple[str, Resource]]:
    """Every word for every kind; what comes later is preferred."""
    for group in reversed(groups):
        name = group["metadata"].get("name", "")
        for version in reversed(group["versions"]):
            for served in version.get("resources", ()):
                resource = Resource(
                    group=name,
                    version=version["version"],
                    kind=served["responseKind"]["kind"],
                    plural=served["resource"],
                    namespaced=served["scope"] == "Namespaced",
                )
                kind = resource.kind.lower()
                yield f"{resource.api_version}/{kind}".lower(), resource
                for word in (kind, served.get("singularResource") or kind, *served.get("shortNames", ())):
                    yield from ((word, resource), (f"{word}.{name}", resource))
                for word in (resource.plural, f"{resource.plural}.{name}"):
                    yield word, resource


def _refused(answered: bytes) -> NotServedError:
    """What a Status says; nothing where the answer is none."""
    try:
        status = json.loads(answered)
        return NotServedError(status.get("reason", ""), status.get("message", ""))
    except (ValueError, AttributeError):
        return NotServedError()
