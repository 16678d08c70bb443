"""The ledger over HTTPS: what is handed out to whom, and within which bounds. Who may is asked of a table here."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from modelyard.kube.errors import UnreachableError
from modelyard.kube.kinds import Kind
from modelyard.ledger.errors import PlaceError
from modelyard.ledger.layout import ChainName
from modelyard.ledger.segments import compact
from modelyard.ledger.service import PAGE, TOKEN
from modelyard.ledger.writing import append
from modelyard.runtime import ledger_service
from modelyard.runtime.callers import HOLDS, REMEMBERED, Asked, Callers, NotAllowedError
from modelyard.runtime.ledger_service import LedgerService
from modelyard.runtime.metrics import Metrics
from tests.unit.ledger.places import CHAIN, MemoryPlace, entries

Json = dict[str, Any]
RIGHTS = {
    "auditor": {("list", "", ""), ("list", "risk", ""), ("get", "risk", "fraud"), ("get", "risk", "long")},
    "owner": {("get", "risk", "fraud"), ("list", "risk", "")},
    "stranger": {("get", "search", "ranking")},
}


class Reviews:
    """Answers like an API server, from `RIGHTS`: a token is a user's name. Counts the questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Json]] = []
        self.down = False

    async def review(self, kind: Kind, spec: Any) -> Json:
        self.asked.append((kind.name, dict(spec)))
        if self.down:
            raise UnreachableError(f"create {kind.name}", "connection refused")
        if kind.name == "TokenReview":
            known = spec["token"] in RIGHTS
            user = {"username": spec["token"], "groups": ["system:authenticated"], "uid": "u", "extra": {"k": ["v"]}}
            return {"authenticated": True, "user": user} if known else {"error": "expired"}
        want = spec["resourceAttributes"]
        assert (want["group"], want["resource"], want["subresource"]) == ("modelyard.dev", "models", "ledger")
        if want["name"].startswith("anybodys"):
            return {"allowed": True}
        return {"allowed": (want["verb"], want["namespace"], want["name"]) in RIGHTS[spec["user"]]}


class Visitor:
    """Asks the service."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._base = f"https://127.0.0.1:{port}"

    async def ask(self, user: str, path: str, **headers: str) -> tuple[int, Json]:
        status, body = await self.download(user, path, **headers)
        return status, body if isinstance(body, dict) else {}

    async def download(self, user: str, path: str, **headers: str) -> tuple[int, Any]:
        sent = {TOKEN: user} if user else headers
        async with self._session.get(self._base + path, headers=sent, ssl=False) as answer:
            is_object = path.startswith("/v1/objects") and answer.status == 200
            return answer.status, await (answer.read() if is_object else answer.json())


@pytest.fixture
def place() -> MemoryPlace:
    made = MemoryPlace()
    append(made, CHAIN, entries(1, 3))
    append(made, ChainName("prod", "search", "ranking"), entries(1, 1))
    append(made, ChainName("other", "risk", "fraud"), entries(1, 1))
    return made


@asynccontextmanager
async def serving(place: MemoryPlace, reviews: Reviews) -> AsyncIterator[Visitor]:
    callers = Callers(reviews, asyncio.get_running_loop().time)
    async with (
        LedgerService(0, place, ["prod"], callers, Metrics()) as service,
        aiohttp.ClientSession() as session,
    ):
        yield Visitor(session, service.port)


async def test_whoever_may_gets_the_bytes_as_they_lie_there(place: MemoryPlace) -> None:
    async with serving(place, Reviews()) as visitor:
        assert await visitor.ask("owner", "/v1") == (200, {"user": "owner", "clusters": ["prod"]})
        files = [["000000000001.json"], ["000000000002.json"], ["000000000003.json"]]
        status, page = await visitor.ask("owner", f"/v1/files/{CHAIN.records}")
        assert (status, [name for name, _ in page["files"]], page["more"]) == (200, [f[0] for f in files], False)
        raw = place.objects[CHAIN.record(2)]
        assert await visitor.download("owner", f"/v1/objects/{CHAIN.record(2)}") == (200, raw)
        bearer = await visitor.download("", f"/v1/objects/{CHAIN.record(2)}", Authorization="Bearer owner")
        assert bearer == (200, raw)


async def test_namespaces_are_walls(place: MemoryPlace) -> None:
    refused = {
        ("stranger", f"/v1/objects/{CHAIN.record(1)}"): 403,
        ("stranger", f"/v1/files/{CHAIN.records}"): 403,
        ("stranger", "/v1/folders/prod/risk"): 403,
        ("stranger", "/v1/folders/prod"): 403,
        ("owner", "/v1/folders/prod"): 403,
        ("owner", f"/v1/objects/{ChainName('prod', 'search', 'ranking').record(1)}"): 403,
        ("nobody", "/v1"): 401,
        ("", "/v1"): 401,
        ("nobody", f"/v1/objects/{CHAIN.record(1)}"): 401,
        ("owner", "/v1/objects/prod/risk/fraud/../../search/ranking/records/000000000001.json"): 403,
        ("owner", "/v1/objects/prod/risk/fraud/%2e%2e/%2e%2e/search/x"): 404,
        ("owner", "/v1/objects/prod/risk/fraud/.hidden"): 400,
        ("owner", "/v1/objects/modelyard-ledger.json"): 404,
        ("owner", "/v1/objects/other/risk/fraud/records/000000000001.json"): 404,
        ("owner", "/v1/folders/prod/risk/fraud"): 404,
        ("auditor", "/v1/folders/other"): 404,
        ("owner", "/v1/files/prod/risk"): 404,
        ("owner", "/nothing"): 404,
    }
    async with serving(place, Reviews()) as visitor:
        found = {key: (await visitor.ask(*key)) for key in refused}
    assert {key: status for key, (status, _) in found.items()} == refused
    assert all(body["kind"] == "Status" and body["code"] == status for status, body in found.values())
    said = found["stranger", f"/v1/objects/{CHAIN.record(1)}"][1]["message"]
    assert said == (
        "user 'stranger' may not get models/ledger of 'fraud' in namespace 'risk'; the role modelyard-viewer allows it"
    )


async def test_folders_are_listed_for_whom_that_is_allowed(place: MemoryPlace) -> None:
    async with serving(place, Reviews()) as visitor:
        assert await visitor.ask("stranger", "/v1/folders/") == (200, {"folders": ["prod"]})
        assert await visitor.ask("auditor", "/v1/folders/prod") == (200, {"folders": ["risk", "search"]})
        assert await visitor.ask("owner", "/v1/folders/prod/risk") == (200, {"folders": ["fraud"]})


async def test_no_answer_is_large(place: MemoryPlace) -> None:
    chain = ChainName("prod", "risk", "long")
    head = append(place, chain, entries(1, PAGE + 1)).head
    compact(place, chain, head.number)
    place.objects[chain.segment(8000, 1)] = b"very large"
    async with serving(place, Reviews()) as visitor:
        _, page = await visitor.ask("auditor", f"/v1/files/{chain.records}")
        assert (len(page["files"]), page["more"]) == (PAGE, True)
        _, page = await visitor.ask("auditor", f"/v1/files/{chain.records}?after={page['files'][-1][0]}")
        assert ([name for name, _ in page["files"]], page["more"]) == ([f"{PAGE + 1:012}.json"], False)
        _, page = await visitor.ask("auditor", f"/v1/files/{chain.segments(400)}")
        assert len(page["files"]) == 2
        assert await visitor.ask("auditor", f"/v1/files/{chain.segments(8000)}") == (200, {"files": [], "more": False})
        assert (await visitor.ask("auditor", f"/v1/objects/{chain.segment(8000, 1)}"))[0] == 404
        assert (await visitor.ask("auditor", f"/v1/files/{chain.records}?after=../x"))[0] == 400


async def test_more_than_can_be_answered_are_asked_to_come_back(
    place: MemoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_service, "AT_ONCE", 2)
    busy, go_on = threading.Semaphore(0), threading.Event()

    def hold(verb: str, name: str) -> None:
        busy.release()
        go_on.wait(10)

    place.before = hold
    async with serving(place, Reviews()) as visitor:
        path = f"/v1/objects/{CHAIN.record(1)}"
        first = [asyncio.create_task(visitor.download("owner", path)) for _ in range(2)]
        for _ in first:
            await asyncio.to_thread(busy.acquire)
        status, said = await visitor.ask("owner", path)
        assert (status, said["reason"]) == (429, "TooManyRequests")
        go_on.set()
        assert [status for status, _ in await asyncio.gather(*first)] == [200, 200]


async def test_what_takes_too_long_is_given_up(place: MemoryPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_service, "WITHIN", 0.05)
    go_on = threading.Event()
    place.before = lambda verb, name: bool(go_on.wait(10)) and None
    async with serving(place, Reviews()) as visitor:
        status, said = await visitor.ask("owner", f"/v1/objects/{CHAIN.record(1)}")
        go_on.set()
    assert (status, said["reason"]) == (504, "Timeout")


async def test_a_store_or_an_api_server_that_is_down(place: MemoryPlace) -> None:
    reviews = Reviews()

    def failing(*, transient: bool) -> Callable[[str, str], None]:
        def fail(verb: str, name: str) -> None:
            raise PlaceError(f"{verb} {name}: no", transient=transient)

        return fail

    async with serving(place, reviews) as visitor:
        for transient, expected in ((True, 503), (False, 500)):
            place.before = failing(transient=transient)
            status, said = await visitor.ask("owner", f"/v1/objects/{CHAIN.record(1)}")
            assert (status, said["message"]) == (expected, f"read {CHAIN.record(1)}: no")
        reviews.down = True
        status, said = await visitor.ask("auditor", "/v1")
        assert (status, said["message"]) == (503, "check who is asking: create TokenReview: connection refused")


async def test_a_yes_of_the_api_server_holds_for_some_seconds_and_is_the_users_own() -> None:
    now = [100.0]
    reviews = Reviews()
    callers = Callers(reviews, lambda: now[0])
    read = Asked("get", "risk", "fraud")
    for _ in range(3):
        await callers.check("owner", read)
        with pytest.raises(NotAllowedError):
            await callers.check("stranger", read)
    assert len(reviews.asked) == 2 + 1 + 3  # two users, a yes, and three times a no, which may have become a yes
    assert reviews.asked[1][1]["groups"] == ["system:authenticated"]
    assert (reviews.asked[1][1]["uid"], reviews.asked[1][1]["extra"]) == ("u", {"k": ["v"]})
    now[0] += HOLDS
    await callers.check("owner", read)
    assert len(reviews.asked) == 8


async def test_what_is_remembered_is_bounded() -> None:
    reviews = Reviews()
    callers = Callers(reviews, lambda: 0.0)
    read = Asked("get", "risk", "fraud")
    await callers.check("owner", read)
    for number in range(REMEMBERED):
        await callers.check("owner", Asked("get", "risk", f"anybodys-{number}"))
    before = len(reviews.asked)
    await callers.check("owner", read)
    assert len(reviews.asked) == before + 1
