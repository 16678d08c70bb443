"""Does the candidate speak with its clients as they are used to? An integration test that runs when a version enters
staging.

It asks the candidate's own pods the way every client does, and sees that they answer, that they refuse what makes no
sense, and that it is this version that answers. It leaves no numbers: without checks, the exit code says all.
"""

import json
import os
from http.client import HTTPConnection, HTTPResponse

IMAGE = [0.0] * 64


def ask(body: object) -> tuple[HTTPResponse, bytes]:
    """One request, on a connection of its own."""
    connection = HTTPConnection(os.environ["MODELYARD_ENDPOINT"], timeout=30)
    connection.request("POST", "/invocations", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response, response.read()


def test_every_kind_of_request() -> None:
    """The mailroom sends rows, its archive sends instances, the analysts send a dataframe."""
    frame = {"columns": [f"pixel{number}" for number in range(64)], "data": [IMAGE, IMAGE]}
    for body in ({"inputs": [IMAGE, IMAGE]}, {"instances": [IMAGE, IMAGE]}, {"dataframe_split": frame}):
        response, text = ask(body)
        assert response.status == 200, f"{next(iter(body))}: status {response.status}: {text[:200]!r}"
        predictions = json.loads(text)["predictions"]
        assert len(predictions) == 2, f"{next(iter(body))}: two images, and {len(predictions)} predictions"
        assert all(prediction in range(10) for prediction in predictions), f"not digits: {predictions}"


def test_what_makes_no_sense_is_refused() -> None:
    """A client's mistake is answered as one, and takes nothing down."""
    response, _ = ask({"inputs": [[0.0] * 63]})
    assert 400 <= response.status < 500, f"an image of 63 pixels: status {response.status}"


def test_it_is_this_version_that_answers() -> None:
    """The bytes that answer are the bytes that are judged."""
    response, _ = ask({"inputs": [IMAGE]})
    assert response.headers["X-Modelyard-Digest"] == os.environ["MODELYARD_DIGEST"]


if __name__ == "__main__":
    for test in (test_every_kind_of_request, test_what_makes_no_sense_is_refused, test_it_is_this_version_that_answers):
        test()
        print(f"{test.__name__}: ok")
