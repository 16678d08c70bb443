"""The options that every command about a cluster has, as kubectl has them, in one place.

A command takes one parameter `access: Access`; `on_cluster` shows the options in its stead. Nothing is read and nobody
is asked before the command calls `connect`.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.completion import complete_namespace
from modelyard.cli.kubeconfig import Choice

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster

PANEL = "Cluster"


@dataclass(frozen=True)
class Access:
    """Which cluster, as whom, in which namespace."""

    choice: Choice

    def namespace(self) -> str:
        """The namespace that commands are about. No cluster is asked."""
        from modelyard.cli.kubeconfig import log_in

        return self.choice.namespace or log_in(self.choice).namespace

    def connect(self, namespace: str | None = None) -> "Cluster":
        """Log in. A namespace that is part of what the user named goes before --namespace."""
        from modelyard.cli.cluster import Cluster
        from modelyard.cli.kubeconfig import log_in

        chosen = replace(self.choice, namespace=namespace or self.choice.namespace)
        return Cluster(lambda: log_in(chosen))


def _options(
    namespace: Annotated[
        str | None,
        typer.Option(
            "-n", "--namespace", help="Namespace; default: that of the context.", autocompletion=complete_namespace
        ),
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig to use.", dir_okay=False)] = None,
    as_user: Annotated[str | None, typer.Option("--as", metavar="USER", help="Act as this user.")] = None,
    as_groups: Annotated[
        list[str] | None, typer.Option("--as-group", metavar="GROUP", help="Act as a member of this group; repeatable.")
    ] = None,
) -> Access:
    return Access(Choice(kubeconfig, context, namespace, as_user, tuple(as_groups or ())))


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, as far as typer can see, and an `Access` made of them when it is called."""
    shared = inspect.signature(_options).parameters
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "access"]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        access = _options(**{name: given.pop(name) for name in shared})
        command(access=access, **given)

    shown = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared.values())]
    wrapped.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in shown}
    del wrapped.__wrapped__
    return wrapped
