"""How long the operator may hear nothing without noticing, and what becomes of it when kopf does not end."""

import asyncio
from typing import TYPE_CHECKING, Any

import kopf
import pytest

from modelyard.decide import jobs
from modelyard.runtime import app, watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def test_a_watch_that_is_alive_is_never_taken_for_silent() -> None:
    settings = watching.settings()
    assert settings.watching.server_timeout is not None
    # Bookmarks come shortly before the API server ends a watch, so this is the longest that nothing is said.
    assert settings.watching.server_timeout < settings.watching.inactivity_timeout == watching.SILENT_AFTER <= 40


def test_a_silent_watch_is_renewed_long_before_the_process_is_given_up() -> None:
    assert app.CANARY_SWEEP < watching.SILENT_AFTER < app.CANARY_DEAD / 2


def test_a_pod_that_a_silent_watch_does_not_show_is_waited_for() -> None:
    """Else a verification or a gate that ended well would count as one without a result."""
    assert jobs.RESULT_GRACE.total_seconds() > watching.SILENT_AFTER


def test_no_pause_between_two_attempts_is_long_however_long_the_api_server_is_away() -> None:
    networking = watching.settings().networking
    pauses = list(networking.error_backoffs)  # type: ignore[arg-type]
    assert max(pauses) <= 5
    assert sum(pauses) >= 300


def test_a_list_that_hangs_is_given_up() -> None:
    assert watching.settings().networking.request_timeout == watching.LISTED_WITHIN <= 60


def test_no_object_is_copied_to_see_what_changed_of_it() -> None:
    class Large(dict[str, str]):
        def __deepcopy__(self, memo: object) -> None:
            raise AssertionError("copied")

    storage = watching.settings().persistence.diffbase_storage
    handled = {"kopf.zalando.org/last-handled-configuration": "{}"}
    body = kopf.Body({"metadata": {"annotations": handled}, "spec": Large(), "status": Large()})
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None


async def test_the_process_leaves_when_kopf_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a watch waits for credentials at the moment in which everything ends."""
    cleanups: list[Callable[[], Awaitable[None]]] = []
    happened: list[str] = []

    async def hangs(**_: Any) -> None:
        try:
            for clean_up in cleanups:
                await clean_up()
            await asyncio.Event().wait()
        finally:
            happened.append("cancelled")

    async def cleanup() -> None:
        happened.append("lease released")

    monkeypatch.setattr(kopf, "operator", hangs)
    monkeypatch.setattr(kopf.on, "cleanup", lambda *, registry: cleanups.append)
    monkeypatch.setattr(watching, "ENDED_WITHIN", 0.01)
    with pytest.raises(RuntimeError, match="the watches did not end"):
        await watching.run_watches(kopf.OperatorRegistry(), [], asyncio.Event(), cleanup)
    await asyncio.sleep(0)
    assert happened == ["lease released", "cancelled"]


def test_kopf_is_given_up_long_before_it_kills_the_process() -> None:
    killed_after = watching.settings().process.ultimate_exiting_timeout
    assert killed_after is not None
    assert 5 < watching.ENDED_WITHIN < killed_after / 2
