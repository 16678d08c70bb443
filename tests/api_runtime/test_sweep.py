"""Sweeps against a real API server: what no watch told is repaired, and what was told is left alone."""

import time
from collections.abc import Iterable

import pytest

from modelyard.kube.client import Client
from modelyard.kube.kinds import CONFIG_MAP, OBSERVED
from modelyard.observe.cache import Address, Cache
from modelyard.observe.canary import Canary
from modelyard.observe.keys import Key
from modelyard.observe.slots import Slots
from modelyard.observe.sweep import Sweeper
from tests.api_runtime.test_client import config_map
from tests.checkout import ROOT
from tests.kube import API_SETTLES, Kube

pytestmark = pytest.mark.api


class Yard:
    """A cache with nothing but sweeps to feed it."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.news: list[Key] = []
        self.now = time.monotonic()
        self.cache = Cache(settled=lambda version: False, slots=Slots(4), clock=lambda: self.now)
        self.canary = Canary(lambda: self.now)
        self.sweeper = Sweeper(client, self.cache, self.canary, namespaces=[namespace], news=self._note)
        self.address = Address("ConfigMap", namespace, "settings")

    def _note(self, keys: Iterable[Key]) -> None:
        self.news += keys

    async def sweep(self) -> list[Key]:
        self.news.clear()
        await self.sweeper.sweep(CONFIG_MAP)
        return self.news


@pytest.fixture
async def yard(client: Client, namespace: str) -> Yard:
    return Yard(client, namespace)


@pytest.fixture(scope="session")
def definitions(kube: Kube) -> None:
    """The shipped definitions, on a cluster where nothing has installed them yet."""
    paths = sorted((ROOT / "crds").glob("*.yaml"))
    missing = [path for path in paths if kube.find("customresourcedefinition", path.stem) is None]
    if missing:
        kube.run("apply", "--server-side", *(f"--filename={path}" for path in missing))
    names = [f"customresourcedefinition/{path.stem}" for path in paths]
    kube.run("wait", *names, "--for=condition=Established", f"--timeout={API_SETTLES.budget:.0f}s")


@pytest.mark.usefixtures("definitions")
async def test_everything_is_read_once(yard: Yard, client: Client, namespace: str) -> None:
    await client.create(config_map(namespace, a="1"))
    assert await yard.sweeper.missing_kinds() == []
    await yard.sweeper.fill()

    found = yard.cache.get(yard.address)
    assert found is not None
    assert found["data"] == {"a": "1"}
    assert yard.news == [Key(namespace, "fraud")]
    assert sum(yard.cache.count(kind.name) for kind in OBSERVED) == 1


async def test_a_sweep_of_a_world_that_is_as_known_is_no_news(yard: Yard, client: Client, namespace: str) -> None:
    yard.cache.put(await client.create(config_map(namespace)))

    assert await yard.sweep() == []


async def test_a_ghost_is_removed(yard: Yard, client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace))
    yard.cache.put(made)
    yard.canary.expect(made)
    await client.delete(CONFIG_MAP, namespace, "settings", made["metadata"]["uid"], made["metadata"]["resourceVersion"])

    assert await yard.sweep() == [Key(namespace, "fraud")]
    assert yard.cache.get(yard.address) is None
    yard.now += 1000
    assert yard.canary.overdue(1) == [], "the watch may have missed the deletion while it was renewed"


async def test_an_object_made_after_the_list_is_no_ghost(yard: Yard, client: Client, namespace: str) -> None:
    pages = [page async for page in client.list(CONFIG_MAP, namespace, metadata_only=True)]
    yard.cache.put(await client.create(config_map(namespace)))
    yard.sweeper._drop_ghosts(CONFIG_MAP, namespace, pages)

    assert yard.cache.get(yard.address) is not None


async def test_a_missed_change_is_read_and_the_watch_is_put_to_the_test(
    yard: Yard, client: Client, namespace: str
) -> None:
    yard.cache.put(await client.create(config_map(namespace, a="1")))
    changed = await client.patch(CONFIG_MAP, namespace, "settings", {"data": {"a": "2"}})

    assert await yard.sweep() == [Key(namespace, "fraud")]
    found = yard.cache.get(yard.address)
    assert found is not None
    assert found["data"] == {"a": "2"}
    yard.now += 1000
    assert yard.canary.overdue(1) == ["ConfigMap"], "its watch has not delivered what the sweep found"
    yard.canary.delivered(changed)
    assert yard.canary.overdue(1) == []
