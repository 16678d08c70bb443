"""How much of an answer is believed before it is read: the HTTP side of `s3.py`, which installs it in its client.

The endpoint is a tenant's word, so whatever answers there may be no store at all. A file's bytes are streamed and
counted by the reader; everything else (listings, headers, errors) the client reads whole into memory, and gets no more
here than such answers ever hold. Redirects are not followed: another host was not asked for.
"""

from collections.abc import Iterator
from typing import Any

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError

MAX_ANSWER = 4 << 20
"""A page of a thousand keys, each as long as a key may be and escaped, takes 3.5 MB."""
PIECE = 1 << 16
REGION_HEADER = "x-amz-bucket-region"
"""What AWS adds when it sends to another region, which is told to the user instead."""


def limit_answers(client: Any) -> None:
    """Let a client's requests go out as before, and their answers come back through `_receive`."""
    send = client._endpoint.http_session.send  # the client has no public way to say how an answer is read
    client.meta.events.register("before-send.s3", lambda request, **_: _receive(send, request))


def _receive(send: Any, request: Any) -> Any:
    streams = request.stream_output
    request.stream_output = True  # keeps the client from reading on before we have looked
    answer = send(request)
    location = answer.headers.get("location")
    if 300 <= answer.status_code < 400 and location and REGION_HEADER not in answer.headers:
        answer.raw.close()
        message = f"ask {_host(request.url)}: it redirects to {_host(location)}, and redirects are not followed"
        raise ArtifactError(
            ArtifactReason.INVALID_ANSWER, f"{message}; name the store itself in storage.endpoint, with its scheme"
        )
    if not streams or answer.status_code >= 300:
        answer.raw = _Limited(answer.raw, _host(request.url))
        answer.content  # noqa: B018  # reads it now, where a failure is still tried again
    return answer


class _Limited:
    """An answer's body that ends in an error when it is too long. Only what reading it whole needs."""

    def __init__(self, raw: Any, host: str) -> None:
        self._raw = raw
        self._host = host

    def stream(self) -> Iterator[bytes]:
        """The body in pieces."""
        left = MAX_ANSWER
        for piece in self._raw.stream(PIECE):
            left -= len(piece)
            if left < 0:
                self._raw.close()
                message = f"ask {self._host}: its answer is longer than {MAX_ANSWER} bytes"
                raise ArtifactError(
                    ArtifactReason.INVALID_ANSWER, f"{message}, which no S3 answer is; check storage.endpoint"
                )
            yield piece


def _host(url: str) -> str:
    """Scheme and host of a URL, without credentials, path and query: for people to read."""
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2] if separator else "another path"
    return f"{scheme}://{host}"[:200] if separator else host
