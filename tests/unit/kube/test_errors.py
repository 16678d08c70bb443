"""Every answer of the API server has a class, and every class says what to do."""

import inspect
from typing import Any

import pytest

from modelyard.kube import errors
from modelyard.kube.errors import KubeError, RefusedError, TransientError, error_for

# What kube-apiserver sends: apimachinery's StatusReason constants with their HTTP codes.
ANSWERS = {
    (400, "BadRequest"): errors.BadRequestError,
    (401, "Unauthorized"): errors.UnauthorizedError,
    (403, "Forbidden"): errors.ForbiddenError,
    (404, "NotFound"): errors.NotFoundError,
    (405, "MethodNotAllowed"): errors.BadRequestError,
    (406, "NotAcceptable"): errors.BadRequestError,
    (409, "AlreadyExists"): errors.AlreadyExistsError,
    (409, "Conflict"): errors.ConflictError,
    (410, "Expired"): errors.ExpiredError,
    (410, "Gone"): errors.ExpiredError,
    (413, "RequestEntityTooLarge"): errors.InvalidError,
    (415, "UnsupportedMediaType"): errors.BadRequestError,
    (422, "Invalid"): errors.InvalidError,
    (429, "TooManyRequests"): errors.TooManyRequestsError,
    (500, "InternalError"): errors.ServerError,
    (500, "ServerTimeout"): errors.ServerError,
    (503, "ServiceUnavailable"): errors.ServerError,
    (504, "Timeout"): errors.ServerError,
}


@pytest.mark.parametrize(("answer", "want"), ANSWERS.items(), ids=lambda value: str(value))
def test_every_answer_of_the_api_server_has_a_class(answer: tuple[int, str], want: type[KubeError]) -> None:
    status, reason = answer
    error = error_for(status, {"reason": reason, "message": "because"}, "apply Service risk/fraud")

    assert type(error) is want
    assert str(error) == f"apply Service risk/fraud: because ({status} {reason})"


@pytest.mark.parametrize("status", [*range(400, 452), *range(500, 512)])
def test_any_other_status_has_a_class_too(status: int) -> None:
    assert type(error_for(status, {}, "get Pod a/b")) is not KubeError


def test_the_causes_tell_a_terminating_namespace_from_a_lack_of_rights() -> None:
    answer = {"reason": "Forbidden", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}

    assert type(error_for(403, answer, "create Event a/b")) is errors.NamespaceTerminatingError


@pytest.mark.parametrize(("header", "want"), [("7", 7.0), (None, 1.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)])
def test_the_server_says_when_to_come_back(header: str | None, want: float) -> None:
    error = error_for(429, {}, "list pods", retry_after=header)

    assert isinstance(error, errors.TooManyRequestsError)
    assert error.retry_after == want


def _classes() -> list[Any]:
    return [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, KubeError) and not each.__subclasses__()
    ]


@pytest.mark.parametrize("leaf", _classes(), ids=lambda leaf: leaf.__name__)
def test_retry_or_stop_is_settled_by_type(leaf: type[KubeError]) -> None:
    stops = issubclass(leaf, RefusedError | errors.AbsentError | errors.AlreadyExistsError)

    assert issubclass(leaf, TransientError) != stops
    assert leaf.__doc__


def test_the_tree_in_the_module_docstring_is_complete() -> None:
    assert [leaf.__name__ for leaf in _classes() if leaf.__name__ not in (errors.__doc__ or "")] == []
