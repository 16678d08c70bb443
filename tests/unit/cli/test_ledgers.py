"""The plugin finds the ledger by itself. The API server here is a few lines that do what the real one does: it takes
`Authorization` for itself and passes requests on to the real ledger service."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from modelyard.cli.main import main
from modelyard.ledger.place import LedgerSettings, Place, open_place, prepare
from modelyard.ledger.segments import compact
from modelyard.ledger.service import TOKEN
from modelyard.ledger.writing import append
from modelyard.runtime.callers import Callers
from modelyard.runtime.ledger_service import LedgerService
from modelyard.runtime.metrics import Metrics
from tests.unit.ledger.places import CHAIN, entries
from tests.unit.runtime.test_ledger_service import Reviews

BEHIND = "/api/v1/namespaces/modelyard-system/services/https:modelyard-ledger:https/proxy/"
NOT_FOUND = {"kind": "Status", "reason": "NotFound", "message": 'configmaps "modelyard-ledger" not found'}
NO_PODS = {"kind": "Status", "reason": "ServiceUnavailable", "message": "no endpoints available for service"}


class Yard:
    """A cluster whose installation keeps a ledger in a folder, and the people who log in to it."""

    def __init__(self, folder: Path) -> None:
        self.url = f"file://{folder}/ledger"
        (folder / "ledger").mkdir()
        self.place: Place = open_place(LedgerSettings(self.url))
        self.published: dict[str, str] | None = {"url": self.url, "cluster": "prod", "service": "true"}
        self.is_served = True
        self.port = 0
        self.passed_on: list[tuple[str, str]] = []
        self._config = folder / "kubeconfig"

    def log_in(self, **user: str) -> None:
        """Become this user of the kubeconfig."""
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "risk"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": user}],
        }
        self._config.write_text(json.dumps(config))

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        callers = Callers(Reviews(), asyncio.get_running_loop().time)
        application = web.Application()
        application.router.add_get("/api/v1/namespaces/modelyard-system/configmaps/modelyard-ledger", self._config_map)
        application.router.add_get("/apis/modelyard.dev/v1alpha1/namespaces/risk/models/fraud", self._model)
        application.router.add_get(BEHIND + "{tail:.*}", self._proxy)
        runner = web.AppRunner(application)
        async with LedgerService(0, self.place, ["prod"], callers, Metrics()) as self._service:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            started.set()
            await stop.wait()
            await runner.cleanup()

    async def _config_map(self, request: web.Request) -> web.Response:
        if self.published is None:
            return web.json_response(NOT_FOUND, status=404)
        return web.json_response({"metadata": {"name": "modelyard-ledger"}, "data": self.published})

    async def _model(self, request: web.Request) -> web.Response:
        moves = [{"type": "Promoted", "stage": "production", "at": "2026-01-01T00:25:00Z", "to": {"version": "25"}}]
        metadata = {"name": "fraud", "namespace": "risk"}
        return web.json_response({"metadata": metadata, "spec": {}, "status": {"transitions": moves}})

    async def _proxy(self, request: web.Request) -> web.Response:
        if not self.is_served:
            return web.json_response(NO_PODS, status=503)
        headers = {name: value for name, value in request.headers.items() if name != "Authorization"}
        self.passed_on.append((request.match_info["tail"], headers.get(TOKEN, "")))
        url = f"https://127.0.0.1:{self._service.port}/{request.match_info['tail']}"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, params=request.query, ssl=False) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    prepare(yard.place)
    moves = [{**entry, "type": "Promoted", "stage": "production"} for entry in entries(1, 25)]
    told = [{**move, "to": {"version": str(number), "digest": "d"}} for number, move in enumerate(moves, 1)]
    compact(yard.place, CHAIN, append(yard.place, CHAIN, told).head.number)
    started, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(yard.serve(started, stop)))
    thread.start()
    assert started.wait(10)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("MODELYARD_LEDGER", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield yard
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def test_a_viewer_is_answered_without_rights_in_the_store(yard: Yard, capsysbinary: Any) -> None:
    yard.log_in(token="owner")
    for words in (
        ["asof", "fraud@production", "2026-01-01T00:10:30Z"],
        ["history", "fraud@production"],
        ["ledger", "verify", "risk/fraud"],
        ["ledger", "export", "risk/fraud"],
    ):
        assert main(words) == 0
        through_the_cluster = capsysbinary.readouterr().out
        assert main([*words, "--ledger", yard.url]) == 0
        assert through_the_cluster == capsysbinary.readouterr().out != b""
    assert {token for _, token in yard.passed_on} == {"owner"}
    assert any("segments/20/" in path for path, _ in yard.passed_on)


def test_who_may_not_is_told_so(yard: Yard, capsys: Any) -> None:
    yard.log_in(token="stranger")
    assert main(["asof", "fraud@production", "2026-01-01"]) == 4
    assert "user 'stranger' may not get models/ledger of 'fraud' in namespace 'risk'" in capsys.readouterr().err
    yard.log_in(token="owner")
    assert main(["ledger", "verify"]) == 4
    assert "may not list models/ledger in all namespaces" in capsys.readouterr().err


def test_the_store_itself_is_asked_where_the_service_cannot_be(yard: Yard, capsys: Any) -> None:
    """A certificate ends at the API server, the operator is down, or the installation does not serve."""
    asked = ["asof", "fraud@production", "2026-01-01T00:10:30Z"]
    yard.log_in(username="admin", password="admin")
    assert main(asked) == 0
    yard.log_in(token="owner")
    yard.is_served = False
    assert main(asked) == 0
    yard.published = {"url": yard.url, "service": "false"}
    assert main(asked) == 0
    assert capsys.readouterr().out.count("version 10 served from") == 3


def test_neither_way_is_open(yard: Yard, capsys: Any) -> None:
    yard.log_in(username="admin", password="admin")
    yard.published = {"url": "s3://records", "service": "true", "endpoint": "http://127.0.0.1:1", "region": "eu-1"}
    assert main(["asof", "fraud@production", "2026-01-01"]) == 1
    said = capsys.readouterr().err
    for part in ("only a token can be passed on", "no credentials were found", "modelyard-viewer", "read s3://records"):
        assert part in said
    yard.log_in(**{"token": "owner", "as": "alice"})
    assert main(["asof", "fraud@production", "2026-01-01"]) == 1
    assert "(--as) ends at the API server" in capsys.readouterr().err


def test_history_falls_back_on_what_the_status_keeps(yard: Yard, capsys: Any) -> None:
    """For whom the ledger is closed, or where there is none; who names one is not told something else."""
    yard.log_in(token="stranger")
    for published in (yard.published, None):
        yard.published = published
        assert main(["history", "fraud@production"]) == 0
        told = capsys.readouterr()
        assert len(told.out.splitlines()) == 2
        assert "from the Model's status, which keeps the last moves only: " in told.err
    assert main(["history", "fraud@production", "--ledger", "service://modelyard-system/modelyard-ledger"]) == 1


def test_an_installation_without_a_ledger(yard: Yard, capsys: Any) -> None:
    yard.log_in(token="owner")
    yard.published = None
    assert main(["asof", "fraud@production", "2026-01-01"]) == 1
    assert "name one: --ledger s3://BUCKET/PREFIX" in capsys.readouterr().err
    assert main(["asof", "fraud@production", "2026-01-01", "--ledger", "service://elsewhere"]) == 2
    assert "expected service://NAMESPACE/NAME" in capsys.readouterr().err
