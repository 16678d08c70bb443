"""Running kopf as what it is good at here: watching many kinds and calling a handler for each event.

It writes nothing: no Events, no finalizers, no annotations, no peering. `run_watches` returns after a signal and
raises when watching cannot go on; either way the process ends, and a restart is cheap.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from modelyard.kube.kinds import OBSERVED
from modelyard.kube.login import load_configuration

PATIENCE: Sequence[float] = (1, 1, 2, 3, *([5] * 60))
"""Seconds between retries while the API server is away: five minutes, which outlasts a control plane upgrade. Never
long, since for what is left of a pause after it has come back, nothing is heard."""
LISTED_WITHIN = 60.0
"""Seconds in which a list must be read: nothing is heard of its kind before."""
RENEWED_EVERY = 30
"""Seconds after which the API server ends a watch, with a bookmark shortly before, so that even of a kind that never
changes something is heard at least as often."""
SILENT_AFTER = 40.0
"""Seconds without a byte after which a watch is taken for dead and asked for again from where it was."""
ENDED_WITHIN = 12.0
"""Seconds that kopf has to end once all is cleaned up; it gives each task five. After twice that it kills the process,
and nobody would learn why."""

_LOGIN_AFRESH = timedelta(minutes=30)
"""A ServiceAccount's token is valid for an hour; the kubelet replaces it at 80% of that."""


class Uncompared(kopf.DiffBaseStorage):
    """What an object was when it was handled last: no handler asks, so nothing of it is kept or copied.

    kopf's own copies every object at every event, however large, before it looks who wants to know.
    """

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing of the object."""
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was kept."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


def settings() -> kopf.OperatorSettings:
    """kopf's settings for an operator that only watches."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.persistence.diffbase_storage = Uncompared()
    chosen.scanning.disabled = True  # the operator starts when its kinds are served, and watches no others
    chosen.queueing.idle_timeout = 0.05  # a task per object and five seconds is kopf's default
    chosen.networking.error_backoffs = PATIENCE
    chosen.networking.connect_timeout = 5
    chosen.networking.request_timeout = LISTED_WITHIN
    chosen.watching.server_timeout = RENEWED_EVERY
    chosen.watching.inactivity_timeout = SILENT_AFTER
    chosen.process.ultimate_exiting_timeout = 25  # before the kubelet loses patience
    for kind in OBSERVED:
        if kind.selector:
            chosen.watching.label_selectors[_matcher(kind.group, kind.plural)] = kind.selector
    return chosen


async def login(**_: Any) -> kopf.ConnectionInfo:
    """The same credentials as the operator's own client has."""
    configuration = await load_configuration()
    scheme, _space, token = (configuration.api_key.get("BearerToken") or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme.capitalize() if token else None,
        token=token or None,
        expiration=datetime.now(UTC) + _LOGIN_AFRESH if token else None,
    )


async def run_watches(
    registry: kopf.OperatorRegistry,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    cleanup: Callable[[], Awaitable[None]],
) -> None:
    """Watch until a signal, or until `stop`; `cleanup` runs when the watches have ended.

    RuntimeError when kopf does not end after that: a watch that waits for a connection does not hear that it is over,
    and when credentials are asked for again in that moment, nobody is left to answer.
    """
    cleaned_up = asyncio.Event()

    @kopf.on.cleanup(registry=registry)
    async def clean_up(**_: Any) -> None:
        await cleanup()
        cleaned_up.set()

    kopf.on.login(registry=registry)(login)
    watching = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop,
        )
    )
    over = asyncio.create_task(cleaned_up.wait())
    try:
        await asyncio.wait({watching, over}, return_when=asyncio.FIRST_COMPLETED)
        ended, _ = await asyncio.wait({watching}, timeout=ENDED_WITHIN)
        if not ended:
            raise RuntimeError(
                f"the watches did not end within {ENDED_WITHIN:g} s after all was cleaned up, so they are left behind; "
                "whatever made them end is in the log before this, and starting again is safe"
            )
        await watching
    finally:
        over.cancel()
        watching.cancel()


def _matcher(group: str, plural: str) -> Callable[[Any], bool]:
    return lambda resource: resource.group == group and resource.plural == plural
