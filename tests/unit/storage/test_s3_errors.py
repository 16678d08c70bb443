"""Every way in which a call to a store fails has a reason, and says whether trying again can help."""

import socket

import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError
from urllib3 import exceptions as http

from modelyard.api.reasons import ArtifactReason as Reason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.s3_errors import BY_CODE, BY_STATUS, REMEDY, TRANSIENT, WRONG_REGION, classify


def answer(status: int, code: str = "", message: str = "") -> ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


EXCEPTIONS = [
    (aws.NoCredentialsError(), Reason.CREDENTIALS_MISSING, False),
    (aws.PartialCredentialsError(provider="env", cred_var="X"), Reason.CREDENTIALS_MISSING, False),
    (aws.CredentialRetrievalError(provider="irsa", error_msg="timeout"), Reason.CREDENTIALS_MISSING, True),
    (aws.ParamValidationError(report="bad bucket"), Reason.BUCKET_NOT_FOUND, False),
    (aws.EndpointConnectionError(endpoint_url="http://s3"), Reason.STORE_UNAVAILABLE, True),
    (aws.ConnectTimeoutError(endpoint_url="http://s3"), Reason.STORE_UNAVAILABLE, True),
    (aws.ReadTimeoutError(endpoint_url="http://s3"), Reason.STORE_UNAVAILABLE, True),
    (aws.ConnectionClosedError(endpoint_url="http://s3"), Reason.STORE_UNAVAILABLE, True),
    (aws.SSLError(endpoint_url="https://s3", error="self-signed"), Reason.STORE_UNAVAILABLE, True),
    (aws.ResponseStreamingError(error="reset"), Reason.STORE_UNAVAILABLE, True),
    (aws.IncompleteReadError(actual_bytes=1, expected_bytes=2), Reason.STORE_UNAVAILABLE, True),
    (http.ProtocolError("reset"), Reason.STORE_UNAVAILABLE, True),
    (ConnectionResetError(104, "reset"), Reason.STORE_UNAVAILABLE, True),
    (socket.gaierror(-2, "Name or service not known"), Reason.STORE_UNAVAILABLE, True),
    (ValueError("Invalid endpoint: store"), Reason.STORE_UNAVAILABLE, False),
]


@pytest.mark.parametrize(("error", "reason", "transient"), EXCEPTIONS, ids=[type(e).__name__ for e, *_ in EXCEPTIONS])
def test_exceptions(error: Exception, reason: Reason, transient: bool) -> None:
    found = classify(error, "list s3://b/m/")
    assert (found.reason, found.transient) == (reason, transient)
    assert found.message.startswith("list s3://b/m/: ")


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_code_has_its_class(code: str) -> None:
    found = classify(answer(400, code), "read")
    assert (found.reason, found.transient) == (BY_CODE[code], BY_CODE[code] in TRANSIENT)
    assert REMEDY[found.reason] in found.message


@pytest.mark.parametrize("status", [status for status in range(300, 600) if status not in (301, 307)])
def test_every_status_has_its_class(status: int) -> None:
    found = classify(answer(status, str(status)), "read")
    if status in BY_STATUS:
        assert (found.reason, found.transient) == (BY_STATUS[status], BY_STATUS[status] in TRANSIENT)
    else:
        assert (found.reason, found.transient) == (Reason.STORE_UNAVAILABLE, not 400 <= status < 500)


@pytest.mark.parametrize("error", [answer(400, code) for code in sorted(WRONG_REGION)] + [answer(301, "301")])
def test_a_wrong_region_is_for_a_person_to_fix(error: ClientError) -> None:
    found = classify(error, "read")
    assert (found.reason, found.transient) == (Reason.STORE_UNAVAILABLE, False)
    assert "region" in found.message


def test_the_code_decides_before_the_status() -> None:
    assert classify(answer(403, "InvalidAccessKeyId"), "read").reason is Reason.CREDENTIALS_INVALID
    assert classify(answer(404, "NoSuchBucket"), "read").reason is Reason.BUCKET_NOT_FOUND
    assert classify(answer(503, "SlowDown"), "read").transient


def test_an_error_that_has_a_reason_keeps_it() -> None:
    error = ArtifactError(Reason.PREFIX_EMPTY, "empty")
    assert classify(error, "read") is error


def test_every_reason_used_has_a_remedy() -> None:
    assert set(BY_CODE.values()) | set(BY_STATUS.values()) <= set(REMEDY)
