"""Every kind that decisions are made on is watched, with the selector that its lists have."""

from typing import Any

import kopf
import pytest

from modelyard.kube.kinds import OBSERVED, Kind
from modelyard.runtime import handlers, watching


class RecordingFeed:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def event(self, event: Any) -> None:
        self.events.append(event)


@pytest.fixture
def feed() -> RecordingFeed:
    return RecordingFeed()


@pytest.fixture
def registered(feed: RecordingFeed) -> dict[tuple[str | None, str | None, str | None], Any]:
    registry = kopf.OperatorRegistry()
    handlers.register(registry, feed)  # type: ignore[arg-type]
    found = registry._watching.get_all_handlers()
    return {(each.selector.group, each.selector.version, each.selector.plural): each for each in found if each.selector}


@pytest.mark.parametrize("kind", OBSERVED, ids=lambda kind: kind.plural)
async def test_an_event_of_the_kind_reaches_the_feed_as_it_is(kind: Kind, registered: Any, feed: RecordingFeed) -> None:
    event = {"type": "MODIFIED", "object": {"kind": kind.name}}
    await registered[kind.group, kind.version, kind.plural].fn(event=event, unknown="ignored")

    assert feed.events == [event]


def test_no_other_kind_is_watched(registered: Any) -> None:
    assert len(registered) == len(OBSERVED)


@pytest.mark.parametrize("kind", OBSERVED, ids=lambda kind: kind.plural)
def test_the_server_filters_what_is_not_ours(kind: Kind) -> None:
    resource = kopf._cogs.structs.references.Resource(group=kind.group, version=kind.version, plural=kind.plural)

    assert list(watching.settings().watching.label_selectors.collect(resource)) == (
        [kind.selector] if kind.selector else []
    )


def test_kopf_writes_nothing() -> None:
    settings = watching.settings()

    assert not settings.posting.enabled
    assert settings.scanning.disabled
