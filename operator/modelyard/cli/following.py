"""How far is it? `wait VERSION`, and what `--wait` of other commands does: a watch that tells each step as it comes.

It ends when the version serves (or is verified, when no stage is asked for), when its request has ended without, or
when the time is up; the exit code says which. Nothing is polled: an end is told as soon as the API server knows it.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.errors import CommandError, TimedOutError, UnknownError, UsageError
from modelyard.cli.lines import line_request, stage_naming
from modelyard.cli.objects import (
    FAILED,
    SERVING,
    STANDING_BY,
    condition,
    has_ended,
    name_of,
    request_of,
    retry_of,
    status_of,
    wanted_stage,
    why,
)  # fmt: skip
from modelyard.cli.output import Output, hue, print_objects, say
from modelyard.cli.refs import open_version

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster
    from modelyard.kube.kinds import Kind

Json = dict[str, Any]
Obj = Mapping[str, Any]
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Sight:
    """What one look at an object tells."""

    step: str
    why: str = ""
    done: bool = False
    failed: bool = False


Judge = Callable[[Obj], Sight]
"""Reads a state of the object that is waited for."""


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `10m`, `1h30m`, or of a bare number."""
    rest, seconds = text.strip(), 0.0
    if rest.replace(".", "", 1).isdigit():
        return float(rest)
    digits = ""
    for letter in rest:
        if letter.isdigit() or letter == ".":
            digits += letter
        elif letter in UNITS and digits:
            seconds, digits = seconds + float(digits) * UNITS[letter], ""
        else:
            break
    else:
        if rest and not digits:
            return seconds
    raise UsageError(f"{text!r} is no duration; write it like 90s, 10m or 1h30m")


Timeout = Annotated[str, typer.Option(metavar="DURATION", help="How long to wait, such as 90s or 1h.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Follow it until it is done.")]


@on_cluster
def wait(
    access: Access,
    version: arguments.Version,
    timeout: Timeout = "30m",
    output: Output = None,
) -> None:
    """Follow a version until it serves.

    Until its gates in traffic have passed too; or until it is verified, when no stage is asked for. Ends within seconds
    of a failure, with exit code 1; with 5 when the time is up.
    """
    seconds = parse_duration(timeout)
    cluster, found = open_version(access, version)
    last = follow_version(cluster, found, seconds)
    if output:
        print_objects([last], output, as_list=False)


def follow_version(cluster: "Cluster", version: Obj, seconds: float, since: int = 0) -> Json:
    """Follow what a version is asked for, by itself as it is given here, or by a line of its Model; its last state.

    `since`: a line that was changed just now is not answered by what is said of an earlier generation of the Model.
    """
    from modelyard.kube.kinds import MODEL, MODEL_VERSION

    model = cluster.find(MODEL, version["spec"]["model"])
    stage = stage_naming(model, version) if model else None

    def judge_line(state: Obj) -> Sight:
        return judge_request(state, str(stage), line_request(model or {}, str(stage), state, since))

    return follow(cluster, MODEL_VERSION, name_of(version), judge_line if stage else judge_version, seconds)


def follow(cluster: "Cluster", kind: "Kind", name: str, judge: Judge, seconds: float) -> Json:
    """Follow an object until a judge says that it is done; CommandError when it failed, TimedOutError when not yet."""
    started = time.monotonic()
    last = Sight("Waiting")
    with _spinner(name) as show:
        for state in cluster.follow(kind, name, started + seconds):
            if state is None:
                raise UnknownError(f"{name}: the {kind.name} was deleted, or never was")
            sight = judge(state)
            if sight != last:
                show(f"{time.monotonic() - started:5.1f}s  {hue(sight.step)}  {sight.why}".rstrip())
                last = sight
            if sight.failed:
                raise CommandError(f"{name}: {sight.step}: {sight.why}")
            if sight.done:
                return state
    raise TimedOutError(f"{name}: not done within {seconds:g} s: {last.step}: {last.why}".rstrip(": "))


def judge_version(version: Obj) -> Sight:
    """How far a ModelVersion is with what it asks for."""
    stage = wanted_stage(version)
    return judge_request(version, stage, request_of(version)) if stage else _judge_verification(version)


def judge_request(version: Obj, stage: str, request: Obj) -> Sight:
    """How far a request for a stage is; empty while the operator has not answered it."""
    if not request:
        return Sight("Waiting", f"{stage} is asked for; the operator has not answered yet")
    step = str(request.get("step", ""))
    on_trial = condition(version, "Reconciling")  # it serves, and its AfterTraffic gates may yet say no
    done = step in (SERVING, STANDING_BY) and not on_trial
    return Sight(step, why(request), done=done, failed=has_ended(request))


def _judge_verification(version: Obj) -> Sight:
    verified = condition(version, "Verified")
    recorded = status_of(version).get("verification") or {}
    retry = retry_of(version)
    state = recorded.get("state", "")
    if state == FAILED and retry and not str(recorded.get("forRequest", "")).endswith(f"~{retry}"):
        return Sight("Waiting", "another attempt is asked for; the operator has not answered yet")
    if verified.get("status") == "True":
        return Sight("Verified", str(status_of(version).get("digest", "")), done=True)
    return Sight(FAILED if state == FAILED else "Verifying", why(verified), failed=state == FAILED)


def judge_rollback(rollback: Obj) -> Sight:
    """How far a Rollback is."""
    outcome = str(status_of(rollback).get("outcome") or "Waiting")
    applied = condition(rollback, "Applied")
    return Sight(outcome, why(applied), done=outcome == "Applied", failed=outcome == "Refused")


@contextmanager
def _spinner(name: str) -> Iterator[Callable[[str], None]]:
    """Shows lines as they come; on a terminal something turns below them meanwhile."""
    if not sys.stderr.isatty():
        yield say
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(name):
        yield lambda line: console.print(line, highlight=False, markup=False)
