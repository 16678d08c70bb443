"""The ledger as the operator's service hands it out, read through the API server with the caller's own token.

The API server lets everybody who is logged in through to the service (`services/proxy`), and the service asks it who
that is and what they may. What comes are the objects of the store as they lie there; checking them is up to who reads.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from modelyard.kube.errors import NotFoundError, TooManyRequestsError
from modelyard.ledger.service import PORT, ROOT, TOKEN

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster

T = TypeVar("T")

PATIENCE = 10
"""How often a request is made again that the service has no time for."""


class ServicePlace:
    """A `ReadPlace` behind the API server of a cluster. Made once it has answered."""

    def __init__(self, cluster: "Cluster", namespace: str, name: str) -> None:
        self.url = f"service://{namespace}/{name}"
        self._cluster = cluster
        self._base = f"/api/v1/namespaces/{namespace}/services/https:{name}:{PORT}/proxy{ROOT}"
        cluster.token()  # says why there is none before anything is sent
        self._ask("", "reach the ledger")

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when there is none of that name."""
        try:
            return self._ask(f"/objects/{quote(name)}", f"read {name}")
        except NotFoundError:
            return None

    def files(self, folder: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the objects in a folder, in order, beginning after that name."""
        while True:
            query = {"after": after} if after else {}
            page = self._asked(f"/files/{quote(folder)}", f"list {folder}", query)
            for name, size in page["files"]:
                yield name, size
                after = name
            if not page["more"]:
                return

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, in order."""
        return list(self._asked(f"/folders/{quote(folder)}", f"list {folder or 'clusters'}")["folders"])

    def _asked(self, path: str, attempted: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._ask(path, attempted, query))
        return answer

    def _ask(self, path: str, attempted: str, query: Mapping[str, str] | None = None) -> bytes:
        def ask() -> bytes:
            headers = {TOKEN: self._cluster.token()}
            return self._cluster.download(self._base + path, f"{attempted} ({self.url})", query, headers)

        return _patiently(ask)


def _patiently(call: Callable[[], T]) -> T:
    for _ in range(PATIENCE):
        try:
            return call()
        except TooManyRequestsError as error:
            time.sleep(error.retry_after)
    return call()
