"""What a failed call to an S3 store means: one function from the client's exceptions to an ArtifactError.

Called by `s3.py` alone. Every error code and HTTP status handled here has a class, and a test lists them all.
Transient means that trying again, unchanged, can succeed; everything else is for a person to fix.
"""

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from modelyard.api.reasons import ArtifactReason as Reason
from modelyard.storage.errors import ArtifactError

BY_CODE: dict[str, Reason] = {
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), Reason.BUCKET_NOT_FOUND),
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed"), Reason.OBJECT_NOT_FOUND),
    **dict.fromkeys(
        (
            "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired",
            "InvalidSecurity", "NotSignedUp", "InvalidClientTokenId", "UnrecognizedClientException",
            "InvalidIdentityToken", "ExpiredTokenException", "IDPRejectedClaim", "RequestTimeTooSkewed",
        ),
        Reason.CREDENTIALS_INVALID,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "Forbidden",
         "InvalidObjectState", "KMS.DisabledException"),
        Reason.ACCESS_DENIED,
    ),
    **dict.fromkeys(("PreconditionFailed", "InvalidRange", "ConditionalRequestConflict"), Reason.CHANGED_WHILE_READ),
    **dict.fromkeys(
        ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestLimitExceeded", "Throttling",
         "ThrottlingException", "TooManyRequests", "BandwidthLimitExceeded", "OperationAborted"),
        Reason.STORE_UNAVAILABLE,
    ),
}  # fmt: skip

BY_STATUS: dict[int, Reason] = {
    401: Reason.CREDENTIALS_INVALID,
    403: Reason.ACCESS_DENIED,
    404: Reason.OBJECT_NOT_FOUND,
    405: Reason.OBJECT_NOT_FOUND,
    408: Reason.STORE_UNAVAILABLE,
    409: Reason.CHANGED_WHILE_READ,
    412: Reason.CHANGED_WHILE_READ,
    416: Reason.CHANGED_WHILE_READ,
    429: Reason.STORE_UNAVAILABLE,
}

WRONG_REGION = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
"""The store is there and refuses us for what is configured: the same reason as unreachable, but not transient."""

TRANSIENT = frozenset({Reason.STORE_UNAVAILABLE, Reason.CHANGED_WHILE_READ})

REMEDY: dict[Reason, str] = {
    Reason.BUCKET_NOT_FOUND: "create the bucket or correct spec.artifact.uri",
    Reason.OBJECT_NOT_FOUND: "upload it, or end the uri in '/' if it is a folder",
    Reason.CREDENTIALS_MISSING: "name a Secret in the Model's storage.secretRef, create the Secret modelyard-storage "
    "in the namespace, or give the pod's ServiceAccount a cloud identity",
    Reason.CREDENTIALS_INVALID: "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the storage Secret",
    Reason.ACCESS_DENIED: "allow these credentials s3:ListBucket on the bucket and s3:GetObject (with versions also "
    "s3:GetObjectVersion) on the artifact",
    Reason.STORE_UNAVAILABLE: "check the store and the endpoint; it is tried again",
    Reason.INVALID_ANSWER: "check that storage.endpoint is an S3 store",
    Reason.CHANGED_WHILE_READ: "the object was overwritten while it was read; write new bytes to a new uri",
}


def classify(error: Exception, doing: str) -> ArtifactError:
    """The ArtifactError for an exception of botocore, urllib3 or the socket below; `doing` says what was attempted."""
    if isinstance(error, ArtifactError):
        return error
    if isinstance(error, aws.ClientError):
        return _from_response(error, doing)
    if isinstance(error, aws.ParamValidationError):  # botocore checks bucket names before it sends anything
        return _artifact_error(Reason.BUCKET_NOT_FOUND, doing, "the bucket's name is not valid")
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):  # raised when the client is made
        return _artifact_error(Reason.STORE_UNAVAILABLE, doing, str(error), "correct storage.endpoint", transient=False)
    if isinstance(error, ResponseParserError | aws.PaginationError | ValueError):  # whose texts quote the answer
        return _artifact_error(Reason.INVALID_ANSWER, doing, "the answer is not one of the S3 protocol")
    if isinstance(error, aws.NoCredentialsError):
        return _artifact_error(Reason.CREDENTIALS_MISSING, doing, "no credentials were found")
    if isinstance(error, aws.PartialCredentialsError):
        return _artifact_error(Reason.CREDENTIALS_MISSING, doing, str(error))
    if isinstance(error, aws.CredentialRetrievalError | aws.MetadataRetrievalError | aws.UnauthorizedSSOTokenError):
        return _artifact_error(Reason.CREDENTIALS_MISSING, doing, str(error), transient=True)
    if isinstance(error, aws.SSLError):
        remedy = "if the store uses a private authority, put it into storage.caBundle; it is tried again"
        return _artifact_error(Reason.STORE_UNAVAILABLE, doing, _cause(error), remedy)
    return _artifact_error(Reason.STORE_UNAVAILABLE, doing, _cause(error))


def has_code(error: aws.ClientError) -> bool:
    """Whether the store said what is wrong. Answers to HEAD have no body, and their 'code' is the HTTP status."""
    return not str(error.response.get("Error", {}).get("Code", "")).isdigit()


def _from_response(error: aws.ClientError, doing: str) -> ArtifactError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    said = str(error.response.get("Error", {}).get("Message", "")).strip()[:300]
    cause = f"the store answered {status or 'no status'} {code}" + (f" ({said})" if said and said != code else "")
    if code in WRONG_REGION or status in (301, 307):
        remedy = "set storage.region, or AWS_REGION in the storage Secret, to the bucket's region"
        return _artifact_error(Reason.STORE_UNAVAILABLE, doing, cause, remedy, transient=False)
    reason = BY_CODE.get(code) or BY_STATUS.get(status)
    if reason is None and 400 <= status < 500:
        return _artifact_error(Reason.STORE_UNAVAILABLE, doing, cause, "check the storage settings", transient=False)
    return _artifact_error(reason or Reason.STORE_UNAVAILABLE, doing, cause)


def _artifact_error(
    reason: Reason, doing: str, cause: str, remedy: str | None = None, *, transient: bool | None = None
) -> ArtifactError:
    message = f"{doing}: {cause}; {remedy or REMEDY[reason]}"
    return ArtifactError(reason, message, transient=reason in TRANSIENT if transient is None else transient)


def _cause(error: Exception) -> str:
    """The innermost telling line: urllib3 wraps, and its reprs hold object addresses."""
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
