"""What a command can end with, and the exit code that says so to a script.

    0    done
    1    refused, or failed: the message says why and what to do
    2    the command line was not understood
    3    there is no such Model, version or stage
    4    not logged in, or not allowed
    5    not within --timeout
    130  interrupted

Raised by the commands, turned into a code in `main` and nowhere else.
"""

from modelyard.api.reasons import ArtifactReason as Reason
from modelyard.kube.errors import ForbiddenError, NotFoundError, TransientError, UnauthorizedError
from modelyard.ledger.errors import UnknownChainError
from modelyard.storage.errors import ArtifactError

CREDENTIALS = (Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_INVALID, Reason.ACCESS_DENIED)
FAILED, USAGE, NOT_FOUND, FORBIDDEN, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 5, 130


class CommandError(Exception):
    """The command did not do what was asked; the message is for the person who typed it."""

    code = FAILED


class UsageError(CommandError):
    """What was typed means nothing."""

    code = USAGE


class UnknownError(CommandError):
    """There is no such object."""

    code = NOT_FOUND


class LoginError(CommandError):
    """There are no usable credentials for a cluster."""

    code = FORBIDDEN


class TimedOutError(CommandError):
    """What was waited for did not come in time; it may come yet."""

    code = TIMED_OUT


def code_of(error: Exception) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, NotFoundError | UnknownChainError):
        return NOT_FOUND
    if isinstance(error, ForbiddenError | UnauthorizedError):
        return FORBIDDEN
    return FAILED


def text_of(error: Exception) -> str:
    """What the person reads: the error, and what to do next where the error itself does not say."""
    if isinstance(error, ArtifactError):
        whose = "; here that is your own environment, not a Secret" if error.reason in CREDENTIALS else ""
        return f"{error.reason.value}: {error.message}{whose}"
    if isinstance(error, UnauthorizedError):
        return f"{error}; log in again, or choose another --context"
    if isinstance(error, ForbiddenError):
        return f"{error}; `kubectl modelyard who MODEL` lists who may"
    if isinstance(error, TransientError):
        return f"{error}; is the cluster running, and is this its kubeconfig?"
    return str(error)
