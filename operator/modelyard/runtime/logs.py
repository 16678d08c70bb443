"""How the operator logs: a constant sentence and fields, as JSON lines or as text.

    log.info("lease acquired", extra=fields(lease="modelyard-system/modelyard"))

Set up once at start. Never log secrets or the bodies of objects. `info` is for changes of state, `debug` for the
rest, `error` only where a person should act.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

_QUIET = dict.fromkeys(
    ("kopf", "aiohttp.access", "asyncio", "boto3", "botocore", "kubernetes", "s3transfer", "urllib3"), logging.WARNING
)
"""On lower levels kopf tells of every watch and every event, and clients of the headers and bodies that they send, with
tokens and whatever an object holds; so they are quiet even where the operator's own level is debug."""


def fields(**values: Any) -> dict[str, Any]:
    """Fields of a log record, for `extra=`."""
    return {"fields": values}


def set_up(level: str, form: Literal["json", "text"]) -> None:
    """Send all logging to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, root.level))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        line = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For reading in a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        details = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        line = f"{_moment(record)} {record.levelname:<7} {record.getMessage()}{details}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
