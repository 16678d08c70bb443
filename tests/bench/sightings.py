"""When did a watcher see what it waited for? One watch in a thread, a time stamp at every event."""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import yaml

from tests.kube import find_kubeconfig

Obj = dict[str, Any]

WATCHED = 3600
"""Seconds that a watch lasts, however quiet."""


class Api:
    """The API server without any client library: what the floor is measured with."""

    def __init__(self) -> None:
        config = yaml.safe_load(find_kubeconfig().read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self.token: str = user.get("token", "")
        self.context = _tls(cluster, user)

    def request(
        self, method: str, path: str, body: Obj | None = None, kind: str = "application/json", timeout: float = 300
    ) -> Any:
        """One request; the answer's body, open for reading. `timeout`: seconds without a byte."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        return urllib.request.urlopen(request, context=self.context, timeout=timeout)

    def call(self, method: str, path: str, body: Obj | None = None, kind: str = "application/json") -> Obj:
        """One request; the object answered."""
        with self.request(method, path, body, kind) as response:
            found: Obj = json.load(response)
            return found


def _tls(cluster: Obj, user: Obj) -> ssl.SSLContext:
    import base64
    import tempfile

    def file(settings: Obj, name: str) -> str | None:
        if name in settings:
            return str(settings[name])
        if f"{name}-data" not in settings:
            return None
        with tempfile.NamedTemporaryFile(delete=False) as kept:
            kept.write(base64.b64decode(settings[f"{name}-data"]))
        return kept.name

    context = ssl.create_default_context(cafile=file(cluster, "certificate-authority"))
    certificate, key = file(user, "client-certificate"), file(user, "client-key")
    if certificate and key:
        context.load_cert_chain(certificate, key)
    return context


class Sightings:
    """A watch on a collection; `when` says at what moment an object first satisfied a condition."""

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path
        self._seen: list[tuple[float, Obj]] = []
        self._news = threading.Condition()
        version = api.call("GET", path)["metadata"]["resourceVersion"]
        watch = f"{path}?watch=1&resourceVersion={version}&timeoutSeconds={WATCHED}"
        self._response = api.request("GET", watch, timeout=WATCHED)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._response:
            moment = time.perf_counter()
            with self._news:
                self._seen.append((moment, json.loads(line)["object"]))
                self._news.notify_all()

    def seen(self) -> list[tuple[float, Obj]]:
        """Everything so far: the moment, and the object as it was then."""
        with self._news:
            return list(self._seen)

    def when(self, holds: Callable[[Obj], bool], since: float, timeout: float = 120) -> float:
        """The moment (perf_counter) of the first event after `since` whose object satisfies the condition."""
        deadline = time.monotonic() + timeout
        start = 0
        with self._news:
            while True:
                for moment, obj in self._seen[start:]:
                    if moment >= since and holds(obj):
                        return moment
                start = len(self._seen)
                if not self._news.wait(timeout=max(0, deadline - time.monotonic())):
                    raise TimeoutError(f"nothing like that was seen at {self._path} within {timeout:g} s")
