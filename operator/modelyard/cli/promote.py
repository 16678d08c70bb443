"""`promote VERSION STAGE` and `retry VERSION`: ask for a stage, or for another attempt.

A promotion is one field: the ModelVersion's `spec.stage` or, where the Model names a stage's version itself, that line
of the Model. What an unchanged field cannot say is said by the annotation modelyard.dev/request. What was asked or is
so already is not asked again. The stamp that names who asked is set here too: clusters without mutating policies demand
it, the others overwrite it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.api import names
from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.errors import CommandError
from modelyard.cli.following import Timeout, Wait, follow_version, parse_duration
from modelyard.cli.lines import check_keeper, line_request, named_version
from modelyard.cli.lines import patch_for as line_patch
from modelyard.cli.objects import (
    STANDING_BY,
    current,
    has_ended,
    name_of,
    request_of,
    serves,
    stage_specs,
    status_of,
    why,
)
from modelyard.cli.output import Output, age, print_objects, say, short
from modelyard.cli.refs import check_stage, find_model, open_version

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster

Json = dict[str, Any]
Obj = Mapping[str, Any]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the record.")]


@on_cluster
def promote(
    access: Access,
    version: arguments.Version,
    stage: arguments.Stage,
    reason: Reason = None,
    change: Annotated[str | None, typer.Option(help="Git commit or pipeline behind it; kept in the record.")] = None,
    wait: Wait = False,
    timeout: Timeout = "30m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    output: Output = None,
) -> None:
    """Ask for a stage.

    The version takes it when it is verified, its gates and approvals are passed, and its pods are ready. Until then
    the present version serves. Where the Model names the stage's version itself, that line is changed.
    """
    seconds = parse_duration(timeout)
    cluster, found = open_version(access, version)
    model = find_model(cluster, found["spec"]["model"])
    check_stage(model, stage)
    check_reason(model, reason)
    for line in outlook(model, found, stage):
        say(line)
    said = {names.ANNOTATION_REASON: reason, names.ANNOTATION_CHANGE: change}  # None: an earlier request's are removed
    since = 0
    if named_version(model, stage) is None:
        body = patch_for(found, stage, said, stamp(datetime.now(UTC)))
        found = _ask(cluster, found, body, standing(found, stage, request_of(found)), dry_run=dry_run)
    else:
        check_keeper(model, stage, found)
        body = line_patch(model, stage, found, said, stamp(datetime.now(UTC)))
        changed = _ask(cluster, model, body, standing(found, stage, line_request(model, stage, found)), dry_run=dry_run)
        since = changed["metadata"]["generation"] if body and "spec" in body else 0
    if wait and not dry_run:
        found = follow_version(cluster, found, seconds, since)
    if output:
        print_objects([found], output, as_list=False)


@on_cluster
def retry(
    access: Access,
    version: arguments.Version,
    wait: Wait = False,
    timeout: Timeout = "30m",
    output: Output = None,
) -> None:
    """Try again what failed: verification, gates.

    Gates that said no or gave no answer are run anew; what has passed stays passed.
    """
    from modelyard.kube.kinds import MODEL_VERSION

    seconds = parse_duration(timeout)
    cluster, found = open_version(access, version)
    for line in failures(found):
        say(line)
    annotations: dict[str, str | None] = {names.ANNOTATION_RETRY: stamp(datetime.now(UTC))}
    annotations[names.ANNOTATION_RETRIED_BY] = cluster.whoami()
    found = cluster.patch(MODEL_VERSION, name_of(found), {"metadata": {"annotations": annotations}})
    say(f"asked for another attempt: {name_of(found)}")
    if wait:
        found = follow_version(cluster, found, seconds)
    if output:
        print_objects([found], output, as_list=False)


def _ask(cluster: "Cluster", asker: Json, body: Json | None, standing: str, *, dry_run: bool) -> Json:
    """Change the object whose field asks, in the caller's name; or say how it stands, where nothing is to be asked."""
    from modelyard.kube.kinds import KINDS

    if body is None:
        say(f"nothing to ask: {standing}")
        return asker
    body["metadata"]["annotations"][names.ANNOTATION_REQUESTED_BY] = cluster.whoami()
    changed = cluster.patch(KINDS[asker["kind"]], name_of(asker), body, dry_run=dry_run)
    where = f"{asker['kind']} {name_of(asker)}"
    say(f"nothing was changed in {where} (--dry-run)" if dry_run else f"asked: changed {where}")
    return changed


def check_reason(model: Obj, reason: str | None) -> None:
    """Refuse what the Model would not hear, before anything is written."""
    if model["spec"].get("requireReason") and not reason:
        raise CommandError(f"Model {name_of(model)!r} wants a reason for every stage change; give one with --reason")


def patch_for(version: Obj, stage: str, said: Mapping[str, str | None], anew: str) -> Json | None:
    """What to change so that the version asks for the stage; None when it asks, or carries it, already.

    `said`: annotations that go with it. `anew`: a value that asks again for what has ended.
    """
    if version["spec"].get("stage") != stage:
        return {"spec": {"stage": stage}, "metadata": {"annotations": dict(said)}}
    request = request_of(version)
    if has_ended(request) or request.get("step") == STANDING_BY:
        return {"metadata": {"annotations": {**said, names.ANNOTATION_REQUEST: anew}}}
    return None


def stamp(now: datetime) -> str:
    """A value that no earlier request had."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def standing(version: Obj, stage: str, request: Obj) -> str:
    """Where a request is, in a sentence."""
    if serves(request):
        return f"{name_of(version)} carries {stage} since {age(request.get('since'))}"
    where = why(request) if request else "the operator has not answered yet"
    return f"{name_of(version)} is asked for {stage} already: {request.get('step', 'Waiting')}: {where}"


def outlook(model: Obj, version: Obj, stage: str) -> list[str]:
    """What will happen, in sentences."""
    digest = status_of(version).get("digest")
    bytes_ = f"({short(digest)})" if digest else "(not verified yet: its bytes are read first)"
    pointer = current(model, stage)
    here = f"serves {pointer['version']} since {age(pointer.get('since'))}" if pointer else "serves nothing yet"
    lines = [f"{name_of(version)} {bytes_} to {model['metadata']['namespace']}/{name_of(model)}@{stage}, which {here}"]
    for spec in stage_specs(model):
        if before := hurdles(spec):
            lines.append(f"  {spec['name']}: {before}")
        if spec["name"] == stage:
            if spec.get("paused"):
                lines.append(f"  {stage} is paused: nothing moves before it is unpaused")
            break
    return lines


def hurdles(spec: Obj) -> str:
    """What stands before a stage: gates and approvals; empty when nothing does."""
    gates = [f"{gate['name']} ({gate.get('when', 'BeforeDeploy')})" for gate in spec.get("gates") or ()]
    required = (spec.get("approvals") or {}).get("required", 0)
    parts = [f"gates {', '.join(gates)}"] if gates else []
    parts += [f"{required} approval{'s' if required > 1 else ''}"] if required else []
    return "; ".join(parts)


def failures(version: Obj) -> list[str]:
    """What did not pass so far."""
    status = status_of(version)
    verification = status.get("verification") or {}
    lines = [f"verification: {why(verification)}"] if verification.get("state") == "Failed" else []
    for gate in status.get("gates") or ():
        if gate.get("result") in ("Failed", "Error"):
            lines.append(f"gate {gate.get('stage')}/{gate.get('name')}: {gate['result']}: {gate.get('message', '')}")
    return lines or ["nothing is recorded as failed"]
