"""How long the operator may hear nothing without noticing: what kopf is told about watches and lists."""

import kopf

from modelyard.decide import jobs
from modelyard.runtime import app, watching


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
