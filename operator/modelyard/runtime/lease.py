"""Who may write: at most one process holds the Lease.

    acquire   wait until the Lease is free, was given back, or its holder has not renewed it for `duration`
    hold      renew it; gives up (LeaseLostError) when `deadline` passed without a renewal, which is well before
              anybody else may take it
    release   give it back, so that the next process need not wait

The holder's clock is never compared with ours: what counts is how long *we* have seen no renewal. Not built on
`kubernetes.aio.leaderelection`, which neither gives a lease back nor limits the time a renewal may take.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from modelyard.kube.client import Client, Json
from modelyard.kube.errors import AlreadyExistsError, ConflictError, KubeError, NotFoundError
from modelyard.kube.kinds import LEASE
from modelyard.runtime.logs import fields

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """Somebody else may hold the Lease by now: this process must not write any more."""


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    duration: float = 15
    """Unrenewed for so long, the Lease is anybody's."""
    deadline: float = 10
    """Unrenewed for so long, the holder gives up. The gap to `duration` covers writes in flight."""
    renew_every: float = 3
    retry_every: float = 1

    def __post_init__(self) -> None:
        if not self.renew_every < self.deadline < self.duration:
            raise ValueError("a lease needs renew_every < deadline < duration")


class Lease:
    """One candidate's view of the Lease."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or Timing()
        self._clock = clock
        self._mine: Json | None = None
        self._renewed = 0.0
        self._seen: tuple[str, float] = ("", 0.0)  # somebody else's Lease: its resourceVersion, and since when

    @property
    def is_held(self) -> bool:
        """Whether this process may write."""
        return self._mine is not None and self._clock() - self._renewed < self._timing.deadline

    async def acquire(self) -> None:
        """Return when the Lease is ours."""
        where = f"{self._namespace}/{self._name}"
        told = ""
        while True:
            state = ""
            try:
                holder = await self._try_to_acquire()
                if self._mine is not None:
                    log.info("lease acquired", extra=fields(lease=where, identity=self._identity))
                    return
                state = f"held by {holder}"
            except (ConflictError, AlreadyExistsError):  # another candidate was faster
                continue
            except NotFoundError as error:
                state = f"{error}; does the namespace exist?"
            except KubeError as error:
                state = str(error)
            if state != told:
                log.info("waiting for the lease", extra=fields(lease=where, state=state))
                told = state
            await asyncio.sleep(self._timing.retry_every)

    async def hold(self) -> None:
        """Renew until cancelled, or raise LeaseLostError."""
        while True:
            await asyncio.sleep(self._timing.renew_every)
            try:
                async with asyncio.timeout(self._renewed + self._timing.deadline - self._clock()):
                    await self._renew()
            except TimeoutError:
                raise LeaseLostError(f"not renewed for {self._timing.deadline:g} s") from None

    async def release(self) -> None:
        """Give the Lease back, if it is ours."""
        mine, self._mine = self._mine, None
        if mine is None:
            return
        with suppress(KubeError):  # then it runs out
            try:
                await self._give_back(mine)
            except ConflictError:  # written since, most often by our own renewal, whose answer was not waited for
                await self._give_back(await self._client.get(LEASE, self._namespace, self._name))

    async def _give_back(self, lease: Json) -> None:
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") == self._identity:
            free = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
            await self._client.replace({**lease, "spec": free})
            log.info("lease released")

    async def _try_to_acquire(self) -> str:
        """Take the Lease if it is free; return who holds it."""
        try:
            lease = await self._client.get(LEASE, self._namespace, self._name)
        except NotFoundError:
            await self._write(self._client.create, self._manifest(transitions=0))
            return self._identity
        spec = lease.get("spec") or {}
        holder: str = spec.get("holderIdentity") or ""
        version: str = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        expired = self._clock() - self._seen[1] > max(self._timing.duration, spec.get("leaseDurationSeconds") or 0)
        if holder in ("", self._identity) or expired:
            fresh = self._manifest(transitions=(spec.get("leaseTransitions") or 0) + (holder != self._identity))
            await self._write(self._client.replace, {**lease, "spec": fresh["spec"]})
            return self._identity
        return holder

    async def _renew(self) -> None:
        while True:
            assert self._mine is not None
            spec = {**self._mine["spec"], "renewTime": _micro_time()}
            try:
                await self._write(self._client.replace, {**self._mine, "spec": spec})
                return
            except (ConflictError, NotFoundError):
                await self._look_who_wrote()
            except KubeError as error:
                log.warning("lease could not be renewed", extra=fields(error=str(error)))
                await asyncio.sleep(self._timing.retry_every)

    async def _look_who_wrote(self) -> None:
        """Somebody wrote the Lease: ours still (a label was added), or lost."""
        try:
            lease = await self._client.get(LEASE, self._namespace, self._name)
        except NotFoundError:
            raise LeaseLostError("the Lease was deleted") from None
        except KubeError:
            return  # tried again, until the deadline
        if (holder := (lease.get("spec") or {}).get("holderIdentity")) != self._identity:
            raise LeaseLostError(f"taken by {holder or 'nobody'}")
        self._mine = lease

    async def _write(self, write: Callable[[Json], Awaitable[Json]], lease: Json) -> None:
        asked = self._clock()  # not when the answer came: others count from the write itself
        self._mine = await write(lease)
        self._renewed = asked

    def _manifest(self, transitions: int) -> Json:
        now = _micro_time()
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"namespace": self._namespace, "name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(self._timing.duration),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
