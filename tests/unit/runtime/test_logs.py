"""The two forms of a log line."""

import json
import logging
import sys

from modelyard.runtime.logs import JsonFormatter, TextFormatter, fields


def record(message: str = "lease acquired", **extra: object) -> logging.LogRecord:
    logger = logging.getLogger("modelyard.test")
    made = logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), None, extra=fields(**extra))
    made.created = 1_795_000_000.5
    return made


def test_a_json_line_holds_the_sentence_and_the_fields() -> None:
    assert json.loads(JsonFormatter().format(record(lease="a/b", n=3))) == {
        "time": "2026-11-18T11:06:40.500Z",
        "level": "info",
        "logger": "modelyard.test",
        "message": "lease acquired",
        "lease": "a/b",
        "n": 3,
    }


def test_a_text_line_holds_the_same() -> None:
    assert TextFormatter().format(record(lease="a/b")) == "2026-11-18T11:06:40.500Z INFO    lease acquired lease=a/b"


def test_an_exception_stays_on_its_line_in_json() -> None:
    made = record()
    try:
        raise ValueError("boom")
    except ValueError:
        made.exc_info = sys.exc_info()

    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: boom" in json.loads(line)["exception"]
    assert "ValueError: boom" in TextFormatter().format(made)


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    assert json.loads(JsonFormatter().format(record(error=ValueError("x"))))["error"] == "x"
