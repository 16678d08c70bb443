"""What can go wrong with a call to the API server, by what to do about it.

    KubeError
    ├── TransientError          the same call may succeed later: retry
    │   ├── ConflictError       somebody wrote first: read again, decide again
    │   ├── ExpiredError        a list or watch position is too old: start over
    │   ├── TooManyRequestsError    retry, not before `retry_after`
    │   ├── ServerError         the API server, or something in front of it, failed
    │   └── UnreachableError    no answer: refused, reset, TLS, timed out
    ├── AbsentError             the object to act on is not there (any more)
    │   ├── NotFoundError
    │   │   └── NoSuchObjectError       whatever had that name will not come back
    │   └── NamespaceTerminatingError   nothing can be made in a namespace that is going away
    ├── AlreadyExistsError      the name is taken; whose object it is decides what follows
    └── RefusedError            the answer stays no until a person changes something
        ├── InvalidError        the object breaks a rule: a schema, CEL, an immutable field
        ├── ForbiddenError      RBAC, a quota, Pod Security, or an admission policy
        ├── UnauthorizedError   the credentials are not accepted
        └── BadRequestError     the call itself is wrong: ours to fix

Two questions are answered by type: `isinstance(error, TransientError)` is "retry or stop", and `users_to_fix` is
"whose turn is it": a person who can edit objects, quotas or roles, or the authors of this program.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class KubeError(Exception):
    """A call to the API server did not do what was asked."""

    users_to_fix: ClassVar[bool] = False

    def __init__(self, attempted: str, cause: str, status: int = 0) -> None:
        super().__init__(f"{attempted}: {cause}")
        self.attempted = attempted
        self.cause = cause
        self.status = status


class TransientError(KubeError):
    """The same call may succeed later."""


class ConflictError(TransientError):
    """The object was written since it was read, or is another object of the same name by now."""


class ExpiredError(TransientError):
    """The position in a list or watch is too old."""


class TooManyRequestsError(TransientError):
    """The API server asks to come back later."""

    def __init__(self, attempted: str, cause: str, status: int = 429, retry_after: float = 1.0) -> None:
        super().__init__(attempted, cause, status)
        self.retry_after = retry_after


class ServerError(TransientError):
    """The API server, or something in front of it, failed."""


class UnreachableError(TransientError):
    """No answer came: whether the call had an effect is not known."""


class AbsentError(KubeError):
    """The object to act on is not there."""


class NotFoundError(AbsentError):
    """No such object, or no such kind."""


class NoSuchObjectError(NotFoundError):
    """The kind is served and no object has that name, said by the API server itself: what had it will not come back."""


class NamespaceTerminatingError(AbsentError):
    """The namespace is going away with all that is in it."""


class AlreadyExistsError(KubeError):
    """The name is taken."""


class RefusedError(KubeError):
    """The answer stays no until somebody changes something."""


class InvalidError(RefusedError):
    """The object breaks a rule of its schema."""

    users_to_fix = True


class ForbiddenError(RefusedError):
    """Not allowed: RBAC, a quota, Pod Security or an admission policy; the cause says which."""

    users_to_fix = True


class UnauthorizedError(RefusedError):
    """The credentials are not accepted."""

    users_to_fix = True


class BadRequestError(RefusedError):
    """The call itself is wrong."""


_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: BadRequestError,
    406: BadRequestError,
    409: ConflictError,
    410: ExpiredError,
    413: InvalidError,
    415: BadRequestError,
    422: InvalidError,
    429: TooManyRequestsError,
}


def error_for(status: int, answer: Mapping[str, Any], attempted: str, retry_after: str | None = None) -> KubeError:
    """Say which error an HTTP status and the `Status` object in its body stand for."""
    reason = answer.get("reason") or ""
    cause = f"{answer.get('message') or 'no message'} ({status} {reason})".rstrip()
    causes = (answer.get("details") or {}).get("causes") or ()
    if reason == "AlreadyExists":
        return AlreadyExistsError(attempted, cause, status)
    if any(each.get("reason") == "NamespaceTerminating" for each in causes):
        return NamespaceTerminatingError(attempted, cause, status)
    if status == 429:
        return TooManyRequestsError(attempted, cause, status, _seconds(retry_after))
    if status >= 500:
        return ServerError(attempted, cause, status)
    if status == 404 and reason == "NotFound" and (answer.get("details") or {}).get("name"):
        return NoSuchObjectError(attempted, cause, status)
    return _BY_STATUS.get(status, BadRequestError)(attempted, cause, status)


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, float(retry_after or 1))
    except ValueError:  # an HTTP date: the API server never sends one, a proxy may
        return 1.0
