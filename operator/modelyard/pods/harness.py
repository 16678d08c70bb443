"""What the programs in helper pods share: read the task, do it, leave one result that always fits.

The operator reads the result from the container's termination message, which Kubernetes cuts off at 4096 bytes; so
what is too long is shortened here, in an order that loses the least, and what is written is always valid JSON.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from modelyard.api.names import TASK_FILE
from modelyard.api.reasons import ArtifactReason
from modelyard.pods.watchdog import Watchdog, WatchedStore
from modelyard.storage import opening
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location
from modelyard.storage.settings import StorageSettings
from modelyard.storage.store import ObjectStore

MAX_RESULT = 4096
DEFAULT_RESULT_FILE = "/dev/termination-log"
SHORT_NOTE = 200
FEW_NOTES = 3
"""As many short notes as fit with certainty: JSON takes up to six bytes for a character."""
ELLIPSIS = "..."

Task = Mapping[str, Any]
Result = dict[str, Any]

WATCHDOG = Watchdog()
"""Of the process: it has one task."""


def run(work: Callable[[Task], Result]) -> int:
    """Do the task and write its result; the exit code is 0 when it succeeded, else 1. Nothing escapes."""
    with WATCHDOG.watching(_give_up):
        result = _done(work)
    return 0 if _leave(result) and "error" not in result else 1


def _done(work: Callable[[Task], Result]) -> Result:
    try:
        return work(_task())
    except ArtifactError as error:
        return {"error": error.as_dict()}
    except Exception as error:
        traceback.print_exc()
        message = (
            f"the helper ended unexpectedly: {type(error).__name__}: {error}; it is tried again, see the pod's log"
        )
        return {"error": ArtifactError(ArtifactReason.INTERNAL_ERROR, message, transient=True).as_dict()}


def open_store(location: Location) -> ObjectStore:
    """The store of a task's artifact, as the pod's environment says to reach it."""
    store = opening.open_store(location, StorageSettings.from_env(os.environ))
    return WatchedStore(store, WATCHDOG)


def _give_up(doing: str) -> NoReturn:
    message = f"{doing}: nothing came for {WATCHDOG.patience:g} s; check the store and the endpoint; it is tried again"
    _leave({"error": ArtifactError(ArtifactReason.STORE_UNAVAILABLE, message, transient=True).as_dict()})
    os._exit(1)


def _leave(result: Result) -> bool:
    """Write the result to where the operator finds it, and into the log. Whether that was possible."""
    text = fit(result)
    print(text.decode(), flush=True)
    try:
        with open(os.environ.get("MODELYARD_RESULT_FILE", DEFAULT_RESULT_FILE), "wb") as file:
            file.write(text)
    except OSError as error:
        print(f"write result: {error}", file=sys.stderr)
        return False
    return True


def fit(result: Result) -> bytes:
    """The result as JSON of at most MAX_RESULT bytes."""
    for shorter in (_whole, _without_files, _without_objects, _with_short_notes, _with_few_notes):
        result = shorter(result)
        if len(text := _encoded(result)) <= MAX_RESULT:
            return text
    return _with_short_message(result)


def _whole(result: Result) -> Result:
    return result


def _without_files(result: Result) -> Result:
    """The digest vouches for all of them."""
    return {key: value for key, value in result.items() if key != "files"}


def _without_objects(result: Result) -> Result:
    """Without pinned versions the artifact is found by its uri, and the digest still decides."""
    return {key: value for key, value in result.items() if key != "objects"}


def _with_short_notes(result: Result) -> Result:
    notes = [{**note, "message": _cut(note["message"], SHORT_NOTE)} for note in result.get("warnings", ())]
    return {**result, "warnings": notes} if notes else result


def _with_few_notes(result: Result) -> Result:
    notes = result.get("warnings", ())
    if len(notes) <= FEW_NOTES:
        return result
    kept = notes[: FEW_NOTES - 1]
    rest = {"reason": notes[FEW_NOTES - 1]["reason"], "message": f"and {len(notes) - len(kept)} more warnings like it"}
    return {**result, "warnings": [*kept, rest]}


def _with_short_message(result: Result) -> bytes:
    """An error's message, cut until it fits; each character may take several bytes, so it is halved, not counted."""
    error = dict(
        result.get("error") or {"reason": "InternalError", "message": "the result is too long", "transient": False}
    )
    length = MAX_RESULT
    while len(text := _encoded({"error": {**error, "message": _cut(str(error["message"]), length)}})) > MAX_RESULT:
        length //= 2
    return text


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(ELLIPSIS)] + ELLIPSIS


def _encoded(result: Result) -> bytes:
    # A lone surrogate (a name that is not UTF-8) becomes its JSON escape.
    return json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _task() -> Task:
    path = os.environ.get("MODELYARD_TASK_FILE", TASK_FILE)
    with open(path, "rb") as file:
        task = json.load(file)
    if not isinstance(task, dict):
        raise TypeError(f"read task: {path}: not a JSON object")
    return task
