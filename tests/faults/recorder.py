"""An independent reader: what every client of the cluster could see of each Model, at every moment.

It watches a namespace's Models, Services and EndpointSlices throughout a run, past the proxy and the operator, and
loses nothing: a watch that ends goes on where it was.
"""

import json
import threading
import time
from collections import defaultdict
from typing import Any
from urllib.error import HTTPError, URLError

from tests.connections import Api, Obj

WATCHED = 600
"""Seconds that a watch lasts, however quiet."""
RETRY = 0.1
"""Seconds until one that broke off is asked for again."""


class Recorder:
    """All states of the objects at some paths, by the Model that they belong to, oldest first."""

    def __init__(self, api: Api, label: str, *paths: str) -> None:
        self._api = api
        self._label = label
        self._lock = threading.Lock()
        self._seen: dict[str, list[tuple[str, Obj]]] = defaultdict(list)
        self._lost: list[str] = []
        self._closed = False
        for path in paths:
            threading.Thread(target=self._watch, args=(path, self._now(path)), daemon=True).start()

    def close(self) -> None:
        """Take no more notes."""
        self._closed = True

    def of_model(self, model: str) -> list[tuple[str, Obj]]:
        """Every event so far: its type, and the object."""
        assert not self._lost, self._lost
        with self._lock:
            return list(self._seen[model])

    def forget(self, model: str) -> None:
        """Drop what was noted of a Model."""
        with self._lock:
            self._seen.pop(model, None)

    def _now(self, path: str) -> str:
        return str(self._api.call("GET", path)["metadata"]["resourceVersion"])

    def _now_if_empty(self, path: str) -> str:
        """Where it is now, while nothing is there; else nothing."""
        listed = self._api.call("GET", path)
        return "" if listed["items"] else str(listed["metadata"]["resourceVersion"])

    def _watch(self, path: str, position: str) -> None:
        begun = False
        while not self._closed:
            query = f"watch=1&allowWatchBookmarks=true&resourceVersion={position}&timeoutSeconds={WATCHED}"
            try:
                for line in self._api.request("GET", f"{path}?{query}", timeout=WATCHED + 60):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        # What a new definition can be watched from may be later than what it was read at.
                        if begun or not (again := self._now_if_empty(path)):
                            self._lost.append(f"{path} after {position}: {event['object']}")
                            return
                        position = again
                        break
                    begun = True
                    position = event["object"]["metadata"]["resourceVersion"]
                    self._note(event)
            except (HTTPError, URLError, OSError, ValueError):
                time.sleep(RETRY)

    def _note(self, event: dict[str, Any]) -> None:
        metadata = event["object"]["metadata"]
        is_model = event["object"]["kind"] == "Model"
        if model := metadata.get("name") if is_model else metadata.get("labels", {}).get(self._label):
            with self._lock:
                self._seen[model].append((event["type"], event["object"]))


def interruptions(seen: list[tuple[str, Obj]], service: str) -> list[str]:
    """Moments at which a stage, once it served, had no ready pod, pods of two revisions, or no choice of one."""
    found: list[str] = []
    slices: dict[str, set[str]] = {}
    served = False
    for what, obj in seen:
        metadata = obj["metadata"]
        moment = f"at {metadata['resourceVersion']}"
        if obj["kind"] == "Service" and metadata["name"] == service:
            chosen = [text for key, text in (obj["spec"].get("selector") or {}).items() if key.endswith("/revision")]
            if served and (what == "DELETED" or len(chosen) != 1):
                found.append(f"the Service chooses {chosen}, {what} {moment}")
        elif metadata.get("labels", {}).get("kubernetes.io/service-name") == service:
            slices[metadata["name"]] = set() if what == "DELETED" else _ready(obj)
            serving = set().union(*slices.values())
            if len(serving) > 1 or (served and not serving):
                found.append(f"{sorted(serving)} serve {moment}")
            served |= bool(serving)
    return found


def _ready(piece: Obj) -> set[str]:
    """The revisions whose pods an EndpointSlice lets requests go to."""
    ready = [end for end in piece.get("endpoints") or () if end["conditions"].get("ready")]
    return {end["targetRef"]["name"].rsplit("-", 2)[0] for end in ready}
