"""Filling the cache by lists, and checking it against the API server now and then.

The first list of every kind is complete before anything is decided. After that the watches keep the cache fresh;
what they miss (a deletion while a watch was being re-established, a watch that went silent) a sweep repairs. A
sweep reads metadata only, and whole objects only where the cache is behind.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from modelyard.kube.client import Client, Page
from modelyard.kube.errors import NotFoundError
from modelyard.kube.kinds import KINDS, OBSERVED, Kind
from modelyard.observe.behind import doubtful
from modelyard.observe.cache import Cache, address_of, version_of
from modelyard.observe.canary import Canary
from modelyard.observe.keys import Key


class Sweeper:
    """Lists on behalf of one cache."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        canary: Canary,
        *,
        namespaces: Sequence[str],
        news: Callable[[Iterable[Key]], None],
    ) -> None:
        self._client = client
        self._cache = cache
        self._canary = canary
        self._namespaces: Sequence[str | None] = namespaces or [None]
        self._news = news

    async def missing_kinds(self) -> list[Kind]:
        """The observed kinds that the API server does not serve (yet)."""
        answers = await asyncio.gather(*(self._is_served(kind) for kind in OBSERVED))
        return [kind for kind, is_served in zip(OBSERVED, answers, strict=True) if not is_served]

    async def fill(self) -> None:
        """Read everything once."""
        await asyncio.gather(*(self._fill(kind, where) for kind in OBSERVED for where in self._namespaces))

    async def sweep(self, kind: Kind) -> None:
        """Compare the cache with a list of the kind, and repair it."""
        for namespace in self._namespaces:
            pages = [page async for page in self._client.list(kind, namespace, metadata_only=True)]
            self._drop_ghosts(kind, namespace, pages)
            for page in pages:
                await self._catch_up(kind, page)
        self._cache.prune()

    async def make_sure(self, key: Key) -> None:
        """Read one by one what is not to be taken for gone only because the cache lags behind."""
        for kind, namespace, name in sorted(set(doubtful(self._cache, key))):
            with suppress(NotFoundError):
                self._cache.put(await self._client.get(KINDS[kind], namespace, name))

    async def _is_served(self, kind: Kind) -> bool:
        try:
            async for _ in self._client.list(kind, self._namespaces[0], metadata_only=True):
                break
        except NotFoundError:
            return False
        return True

    async def _fill(self, kind: Kind, namespace: str | None) -> None:
        async for page in self._client.list(kind, namespace):
            for obj in page.items:
                self._news(self._cache.put(obj))

    def _drop_ghosts(self, kind: Kind, namespace: str | None, pages: Sequence[Page]) -> None:
        listed = {obj["metadata"]["uid"] for page in pages for obj in page.items}
        moment = int(pages[-1].resource_version)
        for obj in list(self._cache.of_kind(kind.name, namespace)):
            if obj["metadata"]["uid"] not in listed and version_of(obj) <= moment:  # else made since the list
                self._canary.gone(address_of(obj))
                self._news(self._cache.remove(obj))

    async def _catch_up(self, kind: Kind, page: Page) -> None:
        for stub in page.items:
            known = self._cache.get(address_of(stub))
            if known is not None and version_of(known) >= version_of(stub):
                continue
            try:
                obj = await self._client.get(kind, stub["metadata"]["namespace"], stub["metadata"]["name"])
            except NotFoundError:
                continue
            if keys := self._cache.put(obj):
                self._canary.expect(obj)
                self._news(keys)
