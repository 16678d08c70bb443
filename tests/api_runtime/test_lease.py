"""The Lease on a real API server: one holder at a time, given back, taken over, and left when it cannot be kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from modelyard.kube.client import Client
from modelyard.kube.kinds import LEASE
from modelyard.kube.login import load_configuration
from modelyard.runtime.lease import Lease, LeaseLostError, Timing

pytestmark = pytest.mark.api

QUICK = Timing(duration=3, deadline=1.5, renew_every=0.3, retry_every=0.1)
Candidate = Callable[..., Lease]


@pytest.fixture
async def candidate(client: Client, namespace: str) -> Candidate:
    def stand(identity: str, by: Client = client) -> Lease:
        return Lease(by, namespace=namespace, name="modelyard", identity=identity, timing=QUICK, clock=time.monotonic)

    return stand


async def seconds(work: Awaitable[object]) -> float:
    started = time.monotonic()
    await asyncio.wait_for(work, 20)
    return time.monotonic() - started


async def holder(client: Client, namespace: str) -> str:
    lease = await client.get(LEASE, namespace, "modelyard")
    return str(lease["spec"]["holderIdentity"])


async def test_the_first_one_gets_it_and_the_second_waits_until_it_is_given_back(
    candidate: Candidate, client: Client, namespace: str
) -> None:
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(two.acquire())

    done, _ = await asyncio.wait([waiting, holding], timeout=QUICK.duration * 1.5)
    assert not done, "renewed again and again, it is nobody else's"
    assert await holder(client, namespace) == "one"
    assert (one.is_held, two.is_held) == (True, False)

    holding.cancel()
    await one.release()
    assert await seconds(waiting) < QUICK.deadline, "given back, it need not run out"
    assert await holder(client, namespace) == "two"
    assert (one.is_held, two.is_held) == (False, True)
    assert (await client.get(LEASE, namespace, "modelyard"))["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize(("writer", "left"), [("one", ""), ("two", "two")])
async def test_it_is_given_back_though_it_was_written_since_unless_somebody_has_taken_it(
    candidate: Candidate, client: Client, namespace: str, writer: str, left: str
) -> None:
    """A renewal that is interrupted may have taken effect all the same."""
    one = candidate("one")
    await one.acquire()
    lease = await client.get(LEASE, namespace, "modelyard")
    await client.replace({**lease, "spec": {**lease["spec"], "holderIdentity": writer, "leaseTransitions": 7}})

    await one.release()

    assert await holder(client, namespace) == left


async def test_a_holder_that_died_is_replaced_when_the_lease_ran_out(candidate: Candidate) -> None:
    await candidate("one").acquire()

    assert await seconds(candidate("two").acquire()) >= QUICK.duration


async def test_a_restarted_holder_has_it_back_at_once(candidate: Candidate) -> None:
    await candidate("one").acquire()

    assert await seconds(candidate("one").acquire()) < QUICK.deadline


async def test_of_many_candidates_one_wins(candidate: Candidate) -> None:
    crowd = [candidate(f"c{number}") for number in range(5)]
    racing = [asyncio.create_task(each.acquire()) for each in crowd]
    await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(QUICK.retry_every * 5)

    assert sum(each.is_held for each in crowd) == 1
    for each in racing:
        each.cancel()


async def test_a_holder_whose_lease_is_taken_leaves(candidate: Candidate, client: Client, namespace: str) -> None:
    one = candidate("one")
    await one.acquire()
    await client.patch(LEASE, namespace, "modelyard", {"spec": {"holderIdentity": "somebody"}})

    with pytest.raises(LeaseLostError, match="taken by somebody"):
        await asyncio.wait_for(one.hold(), 20)


async def test_a_label_on_the_lease_does_not_end_it(candidate: Candidate, client: Client, namespace: str) -> None:
    one = candidate("one")
    await one.acquire()
    before = await client.patch(LEASE, namespace, "modelyard", {"metadata": {"labels": {"a": "b"}}})
    holding = asyncio.create_task(one.hold())
    await asyncio.wait([holding], timeout=QUICK.deadline)

    after = await client.get(LEASE, namespace, "modelyard")
    assert one.is_held
    assert after["spec"]["renewTime"] > before["spec"]["renewTime"]
    assert after["metadata"]["labels"] == {"a": "b"}
    holding.cancel()


async def test_a_deleted_lease_is_lost(candidate: Candidate, client: Client, namespace: str) -> None:
    one = candidate("one")
    await one.acquire()
    lease = (await client.get(LEASE, namespace, "modelyard"))["metadata"]
    await client.delete(LEASE, namespace, "modelyard", lease["uid"], lease["resourceVersion"])

    with pytest.raises(LeaseLostError, match="deleted"):
        await asyncio.wait_for(one.hold(), 20)


class Wire:
    """A relay to the API server that can go silent, as a network does: nothing is refused, nothing arrives."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._flows: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for flow in self._flows:
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)
        self._server.close()

    def cut(self) -> None:
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, back), (there, writer)):
            self._flows.add(asyncio.create_task(self._flow(source, sink)))

    async def _flow(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


@pytest.fixture
async def wire(client: Client) -> AsyncIterator[Wire]:
    _, _, address = (await load_configuration()).host.partition("://")
    host, _, port = address.partition(":")
    async with Wire(host, int(port or 443)) as wire:
        yield wire


async def test_a_holder_that_gets_no_answers_leaves_before_anybody_else_may_start(
    candidate: Candidate, wire: Wire
) -> None:
    through_wire = await load_configuration()
    through_wire.host = f"https://127.0.0.1:{wire.port}"
    through_wire.verify_ssl = False
    async with Client(through_wire) as client:
        one, two = candidate("one", by=client), candidate("two")
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        waiting = asyncio.create_task(two.acquire())
        await asyncio.wait([holding], timeout=QUICK.renew_every * 3)
        wire.cut()

        with pytest.raises(LeaseLostError, match="not renewed for"):
            await asyncio.wait_for(holding, 20)
        assert not waiting.done()
        assert not one.is_held
        await asyncio.wait_for(waiting, 20)
