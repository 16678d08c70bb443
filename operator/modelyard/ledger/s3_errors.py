"""What a store's refusal means for a ledger: whether to try again, and otherwise what a person is to do.

Called by `s3_place` and `s3_reader` for what their clients raise. botocore keeps the store's words apart; obstore gives
one text, in which the store's answer stands as XML.
"""

import re
from typing import Any

from modelyard.ledger.errors import PlaceError

TEMPORARY = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException",
     "TooManyRequests", "RequestLimitExceeded", "ConditionalRequestConflict", "OperationAborted"}
)  # fmt: skip
REMEDY = {
    "NoSuchBucket": "create the bucket or correct the ledger's url",
    "AccessDenied": "allow these credentials s3:ListBucket on the bucket and s3:GetObject below the ledger's "
    "prefix; the operator's also s3:PutObject, and s3:PutObjectRetention where retention is set",
    "InvalidRequest": "if retention is set, the bucket needs Object Lock, which has to be enabled when it is made",
    "PermanentRedirect": "the bucket is in another region; correct the ledger's region (for a person: AWS_REGION)",
}
WITHOUT_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}
)
"""Errors of botocore, by name: it may not be loaded."""
_STATUS = re.compile(r"status code: (\d{3})")
_CODE, _MESSAGE = (re.compile(rf"<{tag}>([^<]*)</{tag}>") for tag in ("Code", "Message"))


def code_of(error: Exception) -> str:
    """The store's own word for the refusal; empty when the store did not answer."""
    return _answer(error)[1]


def place_error(error: Exception, doing: str) -> PlaceError:
    """What a failed call means."""
    status, code, said = _answer(error)
    if status:
        temporary = code in TEMPORARY or status >= 500 or status in (408, 429)
        remedy = "tried again" if temporary else REMEDY.get(code, "check the ledger's settings and credentials")
        return PlaceError(f"{doing}: the store answered {status} {code} ({said}); {remedy}", transient=temporary)
    first_line = str(error).partition("\n")[0].strip() or type(error).__name__
    if type(error).__name__ in WITHOUT_CREDENTIALS:
        return PlaceError(f"{doing}: {first_line}; give the process credentials or a cloud identity")
    if isinstance(error, ValueError) or type(error).__name__ == "ParamValidationError":
        return PlaceError(f"{doing}: {first_line}; correct the ledger's url and endpoint")
    return PlaceError(f"{doing}: {first_line}", transient=True)


def _answer(error: Exception) -> tuple[int, str, str]:
    """The store's answer: status, code and message; 0 when there was none."""
    response: dict[str, Any] = getattr(error, "response", {})
    if response:
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        said = response.get("Error", {})
        return status, str(said.get("Code", "")), str(said.get("Message", "")).strip()
    text = str(error)
    found = [pattern.search(text) for pattern in (_STATUS, _CODE, _MESSAGE)]
    status_text, code, message = (match[1] if match else "" for match in found)
    return int(status_text or 0), code, message
