"""`rollback MODEL@STAGE`: take a stage back to a version that was good there, at once.

Creates a Rollback, which acts once and does not belong in Git. Which version it would go back to, and whether its pods
run, is told first.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from modelyard.api import names
from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.errors import CommandError
from modelyard.cli.following import Timeout, Wait, follow, judge_rollback, parse_duration
from modelyard.cli.objects import current, name_of, stage_status
from modelyard.cli.output import Output, age, print_objects, say
from modelyard.cli.refs import open_stage

Obj = Mapping[str, Any]


@on_cluster
def rollback(
    access: Access,
    stage: arguments.Held,
    to: Annotated[str | None, typer.Option(metavar="VERSION", help="Default: the last good one before.")] = None,
    reason: Annotated[str | None, typer.Option(help="What is wrong; kept in the record.")] = None,
    ticket: Annotated[str | None, typer.Option(help="The incident it belongs to.")] = None,
    wait: Wait = False,
    timeout: Timeout = "15m",
    output: Output = None,
) -> None:
    """Take a stage back to a good version.

    To one that was good there, at once and without gates or approvals. It acts once.
    """
    from modelyard.cli.cluster import manifest
    from modelyard.kube.kinds import ROLLBACK

    seconds = parse_duration(timeout)
    cluster, model, name = open_stage(access, stage)
    say(outlook(model, name, to))
    said = {"toVersion": to, "reason": reason, "ticket": ticket}
    spec = {"model": name_of(model), "stage": name} | {key: value for key, value in said.items() if value}
    stamps = {names.ANNOTATION_REQUESTED_BY: cluster.whoami()}
    made = cluster.create(manifest(ROLLBACK, f"{name_of(model)}-{name}-", cluster.namespace, spec, stamps))
    say(f"created: rollback {name_of(made)}")
    if wait:
        made = follow(cluster, ROLLBACK, name_of(made), judge_rollback, seconds)
    if output:
        print_objects([made], output, as_list=False)


def outlook(model: Obj, stage: str, to: str | None) -> str:
    """From what, to what, and how quickly; CommandError when there is nothing to go back to."""
    pointer = current(model, stage)
    where = f"{model['metadata']['namespace']}/{name_of(model)}@{stage}"
    if not pointer:
        raise CommandError(f"{where} serves nothing: there is nothing to go back from")
    here = f"{where}: from {pointer['version']} (since {age(pointer.get('since'))})"
    target = stage_status(model, stage).get("rollbackTarget") or {}
    if to is None and not target:
        raise CommandError(
            f"{where}: no good version was served before {pointer['version']}; promote one that works, or name a "
            "version that was good there with --to"
        )
    if to is None or to == target.get("version"):
        pace = "its pods run: one write" if target.get("warm") else "its pods are started first, the present one serves"
        return f"{here} to {target['version']} ({pace})"
    return f"{here} to {to}"
