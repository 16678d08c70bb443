"""Heads are noted once a day for each Model that has one, and the store may be down."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelyard.ledger.errors import PlaceError
from modelyard.ledger.signing import Signer
from modelyard.observe.cache import Cache
from modelyard.observe.slots import Slots
from modelyard.runtime.head_notes import HeadNotes
from tests.unit.ledger.places import MemoryPlace


def a_model(name: str, **ledger: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "risk", "uid": name, "resourceVersion": "1", "generation": 1}
    status = {"ledger": ledger} if ledger else {}
    return {"kind": "Model", "apiVersion": "modelyard.dev/v1alpha1", "metadata": metadata, "spec": {}, "status": status}


def a_cache(*models: dict[str, Any]) -> Cache:
    cache = Cache(settled=lambda version: False, slots=Slots(4), clock=lambda: 0.0)
    for model in models:
        cache.put(model)
    return cache


async def test_a_head_a_day_and_model() -> None:
    now, fenced, place = [datetime(2026, 11, 21, 23, tzinfo=UTC)], [0], MemoryPlace()
    cache = a_cache(
        a_model("fraud", number=7, sha256="sha256:a"),
        a_model("moved", number=3, sha256="sha256:b", chain="old"),
        a_model("silent"),
    )

    def fence() -> None:
        fenced[0] += 1

    def notes() -> HeadNotes:
        signer = Signer(Ed25519PrivateKey.generate())
        return HeadNotes(place, "prod", signer, cache=cache, fence=fence, clock=lambda: now[0])

    first = notes()
    await first.note_all()
    assert sorted(place.objects) == ["old/risk/moved/heads/2026-11-21.json", "prod/risk/fraud/heads/2026-11-21.json"]
    await first.note_all()
    assert (place.creates, fenced[0]) == (2, 2)
    await notes().note_all()  # a process that was just started tries again, and the store knows better
    assert len(place.objects) == 2
    now[0] += timedelta(hours=2)
    await first.note_all()
    assert len(place.objects) == 4


async def test_a_store_that_is_down_is_left_alone_until_the_next_round() -> None:
    place, asked = MemoryPlace(), [0]
    cache = a_cache(*(a_model(f"m{number}", number=1, sha256="sha256:a") for number in range(3)))

    def down(verb: str, name: str) -> None:
        asked[0] += 1
        raise PlaceError("down", transient=True)

    place.before = down
    now = datetime(2026, 11, 21, tzinfo=UTC)
    signer = Signer(Ed25519PrivateKey.generate())
    notes = HeadNotes(place, "prod", signer, cache=cache, fence=lambda: None, clock=lambda: now)
    await notes.note_all()
    assert asked[0] == 1
    place.calm()
    await notes.note_all()
    assert len(place.objects) == 3
