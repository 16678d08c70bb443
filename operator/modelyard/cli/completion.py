"""What can stand at the cursor: names that the cluster knows, asked for while the user types.

Called by the shell through typer, and by kubectl through `kubectl_complete-modelyard`. A cluster that does not answer
completes nothing; it never shows an error into somebody's command line.
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from modelyard.cli.kubeconfig import Choice

Names = list[str]
FILES_TOO = ":0"
"""What kubectl takes for `file names, when there is nothing else` (Cobra's ShellCompDirectiveDefault)."""


def complete_model(ctx: typer.Context, incomplete: str) -> Names:
    """Models."""
    return _asked(ctx, incomplete, "models", lambda obj: [obj["metadata"]["name"]])


def complete_version(ctx: typer.Context, incomplete: str) -> Names:
    """ModelVersions, by the name of the object."""
    return _asked(ctx, incomplete, "modelversions", lambda obj: [obj["metadata"]["name"]])


def complete_held(ctx: typer.Context, incomplete: str) -> Names:
    """Stages that carry a version: `fraud@production`."""
    return _asked(ctx, incomplete, "models", _held)


def complete_stage(ctx: typer.Context, incomplete: str) -> Names:
    """Stages of any Model in the namespace."""
    return _asked(ctx, incomplete, "models", _stages)


def complete_namespace(ctx: typer.Context, incomplete: str) -> Names:
    """Namespaces."""
    return _asked(ctx, incomplete, "namespaces", lambda obj: [obj["metadata"]["name"]])


def _held(model: dict[str, Any]) -> Names:
    from modelyard.cli.objects import held, name_of

    return [f"{name_of(model)}@{stage}" for stage in held(model)]


def _stages(model: dict[str, Any]) -> Names:
    from modelyard.cli.objects import stage_names

    return stage_names(model)


def _asked(ctx: typer.Context, incomplete: str, plural: str, names: Callable[[dict[str, Any]], Names]) -> Names:
    from modelyard.cli.cluster import Cluster
    from modelyard.cli.kubeconfig import log_in
    from modelyard.kube.kinds import MODEL, MODEL_VERSION, Kind

    typed = ctx.params
    kind = {"models": MODEL, "modelversions": MODEL_VERSION}.get(plural, Kind("Namespace", "", "v1", plural))
    try:
        choice = Choice(typed.get("kubeconfig"), typed.get("context"), typed.get("namespace"), typed.get("as_user"))
        objects = Cluster(lambda: log_in(choice)).list(kind, everywhere=plural == "namespaces")
    except Exception:  # whatever it is, the user is in the middle of a line
        return []
    found = {name for obj in objects for name in names(obj)}
    return sorted(name for name in found if name.startswith(incomplete))


def complete_for_kubectl(arguments: Sequence[str] | None = None) -> None:
    """Answer kubectl, which runs `kubectl_complete-modelyard WORD…` with the words typed so far: a name a line, then a
    directive."""
    from modelyard.cli.main import PROGRAM, app

    words = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.update(
        _MODELYARD_COMPLETE="complete_bash",  # typer's plainest protocol: one name a line
        COMP_WORDS=shlex.join([PROGRAM, *words]),
        COMP_CWORD=str(len(words)),
    )
    try:
        app(prog_name=PROGRAM)
    except SystemExit:
        print(FILES_TOO)
