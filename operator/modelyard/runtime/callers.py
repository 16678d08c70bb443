"""Who is asking, and may they? The API server is asked both, so that its users and its RBAC are the only ones.

    token -> TokenReview -> user -> SubjectAccessReview -> yes or no

Called by the ledger service for every request. A yes holds for some seconds, since a question to the ledger takes many
requests; whoever lost a right loses it here when they are over. A no is asked again each time.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from modelyard.api.names import GROUP
from modelyard.kube.client import Json, Obj
from modelyard.kube.kinds import SUBJECT_ACCESS_REVIEW, TOKEN_REVIEW, Kind
from modelyard.ledger.service import RESOURCE, SUBRESOURCE
from modelyard.runtime.logs import fields

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

HOLDS = 10.0
"""Seconds that a yes of the API server holds."""
REMEMBERED = 1000
"""Answers that are remembered."""

log = logging.getLogger(__name__)


class Reviewer(Protocol):
    """The API server, as far as it is asked here."""

    async def review(self, kind: Kind, spec: Obj) -> Json:
        """Put a question; the answer's status."""
        ...


class NotAllowedError(Exception):
    """The caller is not known (`status` 401), or may not do this (403)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """What a caller wants to do to the chains of records."""

    verb: str
    namespace: str = ""
    """Empty: all of them."""
    model: str = ""
    """Empty: all of the namespace."""

    def __str__(self) -> str:
        where = f"in namespace {self.namespace!r}" if self.namespace else "in all namespaces"
        return f"{self.verb} {RESOURCE}/{SUBRESOURCE} {f'of {self.model!r} ' if self.model else ''}{where}"


class Callers:
    """Those who ask, as the API server knows them."""

    def __init__(self, client: Reviewer, clock: Callable[[], float]) -> None:
        self._client = client
        self._users = _Recent[str, dict[str, Any]](clock)
        self._rights = _Recent[tuple[str, Asked], Literal[True]](clock)

    async def user_of(self, token: str) -> str:
        """The name of the user whose token it is; NotAllowedError when the API server does not accept it."""
        return str((await self._user(token))["username"])

    async def check(self, token: str, asked: Asked) -> None:
        """See that the user of the token may do this; NotAllowedError otherwise."""
        user = await self._user(token)
        key = _digest(token), asked
        if self._rights.get(key):
            return
        attributes = {
            "group": GROUP, "resource": RESOURCE, "subresource": SUBRESOURCE,
            "verb": asked.verb, "namespace": asked.namespace, "name": asked.model,
        }  # fmt: skip
        spec = {"user": user["username"], "resourceAttributes": attributes}
        spec |= {name: user[name] for name in ("groups", "uid", "extra") if user.get(name)}
        allowed = bool((await self._client.review(SUBJECT_ACCESS_REVIEW, spec)).get("allowed"))
        log.info("ledger asked for", extra=fields(user=user["username"], asked=str(asked), allowed=allowed))
        if not allowed:
            may_not = f"user {user['username']!r} may not {asked}"
            raise NotAllowedError(403, f"{may_not}; the role modelyard-viewer allows it")
        self._rights.put(key, True)

    async def _user(self, token: str) -> dict[str, Any]:
        if not token:
            raise NotAllowedError(401, "no token came along; log in with one, not with a client certificate")
        key = _digest(token)
        user = self._users.get(key)
        if user is None:
            answer = await self._client.review(TOKEN_REVIEW, {"token": token})
            if not answer.get("authenticated"):
                raise NotAllowedError(
                    401, f"the API server does not accept the token: {answer.get('error') or 'unknown'}"
                )
            user = answer["user"]
            self._users.put(key, user)
        return user


class _Recent(Generic[K, V]):
    """Answers of the last seconds, a bounded number of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        until, value = self._known.get(key, (0.0, None))
        return value if self._clock() < until else None

    def put(self, key: K, value: V) -> None:
        self._known[key] = self._clock() + HOLDS, value
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _digest(token: str) -> str:
    """What a token is remembered by: the token itself is not kept."""
    return hashlib.sha256(token.encode()).hexdigest()
