"""What the operator watches: its table of contents.

A handler hands the event on and returns; nothing is decided here. What happens then: `Feed` updates the cache and
queues the Model, a worker takes it (`Reconciler`), `decide` says what to do, `Executor` writes it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import kopf

from modelyard.kube import kinds
from modelyard.kube.kinds import Kind
from modelyard.runtime.feed import Feed

Handler = Callable[..., Awaitable[None]]


def register(registry: kopf.OperatorRegistry, feed: Feed) -> None:
    """Connect every watched kind to the feed."""

    def on(kind: Kind) -> Callable[[Handler], Handler]:
        where = kopf.on.event(group=kind.group, version=kind.version, plural=kind.plural, registry=registry)
        return cast("Callable[[Handler], Handler]", where)

    @on(kinds.MODEL)
    async def model(event: Any, **_: Any) -> None:
        """Its stages, serving template and policies; its status holds the pointers."""
        feed.event(event)

    @on(kinds.MODEL_VERSION)
    async def model_version(event: Any, **_: Any) -> None:
        """A version came, asks for a stage, withdrew or went."""
        feed.event(event)

    @on(kinds.ROLLBACK)
    async def rollback(event: Any, **_: Any) -> None:
        """Somebody wants a stage's earlier version back."""
        feed.event(event)

    @on(kinds.APPROVAL)
    async def approval(event: Any, **_: Any) -> None:
        """Somebody approved or rejected a version for a stage."""
        feed.event(event)

    @on(kinds.DEPLOYMENT)
    async def deployment(event: Any, **_: Any) -> None:
        """A revision's pods became ready, or not; somebody scaled it."""
        feed.event(event)

    @on(kinds.POD)
    async def pod(event: Any, **_: Any) -> None:
        """Why a revision's pods do not start, and what a verification found."""
        feed.event(event)

    @on(kinds.JOB)
    async def job(event: Any, **_: Any) -> None:
        """A verification or a check ended."""
        feed.event(event)

    @on(kinds.SERVICE)
    async def service(event: Any, **_: Any) -> None:
        """A stage's Service was changed or deleted by somebody else."""
        feed.event(event)

    @on(kinds.ENDPOINT_SLICE)
    async def endpoint_slice(event: Any, **_: Any) -> None:
        """Which pods a stage's Service sends requests to: when a switch has taken effect."""
        feed.event(event)

    @on(kinds.CONFIG_MAP)
    async def config_map(event: Any, **_: Any) -> None:
        """A stage's published version was changed or deleted by somebody else."""
        feed.event(event)
