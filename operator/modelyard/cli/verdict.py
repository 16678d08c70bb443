"""`approve VERSION` and `reject VERSION`: one person's verdict on one version's bytes at one stage.

Shows what is judged beside what serves there now, then creates an Approval bound to the digest in the version's status:
bytes that change later are not approved. Whether it counts is the operator's to say; its answer is waited for briefly.
"""

import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from modelyard.api import names
from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.comparison import Change, compare_versions, gate_rows
from modelyard.cli.completion import complete_stage
from modelyard.cli.errors import CommandError, UsageError
from modelyard.cli.following import parse_duration
from modelyard.cli.objects import condition, current, name_of, stage_specs, status_of, why
from modelyard.cli.output import Output, colours, print_objects, say, short, table
from modelyard.cli.refs import check_stage, find_model, open_version

Obj = Mapping[str, Any]
Json = dict[str, Any]

StageOption = Annotated[
    str | None,
    typer.Option("--stage", help="Default: the stage it waits at.", autocompletion=complete_stage),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Comment = Annotated[str | None, typer.Option("--comment", "-m", help="Why; kept in the record.")]
Counted = Annotated[
    str, typer.Option("--timeout", metavar="DURATION", help="How long to wait until it counts; 0s: not at all.")
]


@on_cluster
def approve(
    access: Access,
    version: arguments.Version,
    stage: StageOption = None,
    comment: Comment = None,
    yes: Yes = False,
    timeout: Counted = "10s",
    output: Output = None,
) -> None:
    """Consent to a version at a stage.

    Shows it beside what serves there, then binds the consent to the digest of its bytes.
    """
    _judge(access, version, stage, "Approve", comment, yes, timeout, output)


@on_cluster
def reject(
    access: Access,
    version: arguments.Version,
    stage: StageOption = None,
    comment: Comment = None,
    yes: Yes = False,
    timeout: Counted = "10s",
    output: Output = None,
) -> None:
    """Refuse a version at a stage.

    One reject ends its request.
    """
    _judge(access, version, stage, "Reject", comment, yes, timeout, output)


def _judge(
    access: Access, named: str, stage: str | None, decision: str, comment: str | None, yes: bool, timeout: str,
    output: Output,
) -> None:  # fmt: skip
    from modelyard.cli.cluster import manifest
    from modelyard.kube.kinds import APPROVAL, MODEL_VERSION

    seconds = parse_duration(timeout)
    cluster, version = open_version(access, named)
    model = find_model(cluster, version["spec"]["model"])
    chosen = stage or stage_of(version)
    check_stage(model, chosen)
    digest = digest_to_judge(version)
    pointer = current(model, chosen)
    incumbent = None
    if pointer and pointer["version"] != version["spec"]["version"]:
        incumbent = cluster.find(MODEL_VERSION, f"{name_of(model)}-{pointer['version']}")  # it may be deleted by now
    for line in overview(version, incumbent, model, chosen):
        say(line)
    if not yes and sys.stdin.isatty() and not typer.confirm(f"{decision} {name_of(version)} for {chosen}?", err=True):
        raise CommandError("nothing was done")
    spec = {"model": name_of(model), "version": version["spec"]["version"], "stage": chosen, "digest": digest}
    spec |= {"decision": decision} | ({"comment": comment} if comment else {})
    stamps = {names.ANNOTATION_REQUESTED_BY: cluster.whoami()}
    made = cluster.create(manifest(APPROVAL, f"{name_of(version)}-{chosen}-", cluster.namespace, spec, stamps))
    say(f"created: approval {name_of(made)} ({decision})")
    made = _until_counted(cluster, made, seconds)
    if output:
        print_objects([made], output, as_list=False)


def stage_of(version: Obj) -> str:
    """The stage whose approvals the version waits for, else the one it asks for."""
    status = status_of(version)
    waiting = (status.get("approvals") or {}).get("stage") or (status.get("request") or {}).get("stage")
    asked = waiting or version["spec"].get("stage")
    if not asked or asked == names.STAGE_ARCHIVED:
        raise UsageError(f"{name_of(version)} asks for no stage; say which one with --stage")
    return str(asked)


def digest_to_judge(version: Obj) -> str:
    """The bytes that the verdict is about."""
    digest = status_of(version).get("digest")
    if not digest:
        reason = why(condition(version, "Verified")) or "the operator has not read its bytes yet"
        raise CommandError(f"{name_of(version)} has no digest to judge: {reason}; `kubectl modelyard wait` follows it")
    return str(digest)


def overview(version: Obj, incumbent: Obj | None, model: Obj, stage: str) -> list[str]:
    """What is judged: the candidate beside the incumbent, its gates, and who has consented so far."""
    other = f"beside {name_of(incumbent)}, which serves there" if incumbent else "which serves nothing yet"
    lines = [f"{name_of(version)} ({short(status_of(version).get('digest'))}) for {stage}, {other}"]
    if incumbent:
        rows = [row for row in compare_versions(incumbent, version) if row.part in ("metrics", "data", "code")]
        shown = [(row.name, row.before, row.after, row.mark) for row in rows if row.change != Change.SAME]
        lines += table((" WHAT", name_of(incumbent), name_of(version), ""), shown) if shown else []
    else:
        metrics = version["spec"].get("metrics") or {}
        lines += [f"  {name} {value}" for name, value in metrics.items()]
    gates = gate_rows(version, stage)
    lines += table(("GATE", "RESULT", "WHY"), gates, hued=colours()) if gates else []
    count = status_of(version).get("approvals") or {}
    policy = next((s.get("approvals") or {} for s in stage_specs(model) if s["name"] == stage), {})
    approved = count.get("approvedBy") or ()
    if policy.get("required"):
        people = f": {', '.join(approved)}" if approved else ""
        lines.append(f"{len(approved)} of {policy['required']} approvals so far{people}")
    return lines


def _until_counted(cluster: Any, made: Json, seconds: float) -> Json:
    from modelyard.kube.kinds import APPROVAL

    if not seconds:
        return made
    for state in cluster.follow(APPROVAL, name_of(made), time.monotonic() + seconds):
        if state is None:
            raise CommandError(f"approval {name_of(made)} was deleted")
        made = state
        counted = condition(state, "Counted")
        if counted.get("status") == "True":
            say(f"it counts: {why(counted)}")
            return made
        if counted.get("status") == "False":
            raise CommandError(f"approval {name_of(made)} does not count: {why(counted)}")
    say(f"whether it counts is not said yet; `kubectl get approval {name_of(made)}` will tell")
    return made
