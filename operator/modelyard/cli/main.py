"""`modelyard`, and `kubectl modelyard`: the daily work with models, with the caller's own rights.

This module is the table of contents: each command is a function in the module that answers its question. What a command
needs beyond its options is imported when it runs, so that help, completion and a list come at once.

Exit codes are in `errors`. Standard output carries the result; what is told on the way goes to standard error.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli import (
    comparison,
    ejection,
    fetching,
    following,
    lineage,
    listing,
    people,
    promote,
    recording,
    registering,
    rollback,
    showing,
    verdict,
)
from modelyard.cli.errors import FAILED, CommandError, code_of, text_of
from modelyard.cli.output import say
from modelyard.kube.errors import KubeError
from modelyard.ledger.errors import LedgerError
from modelyard.storage.errors import ArtifactError

PROGRAM = "modelyard"
EXIT_CODES = "Exit codes: 0 done, 1 failed or refused, 2 not understood, 3 not found, 4 not allowed, 5 timed out."

app = typer.Typer(
    name=PROGRAM,
    help="Register, promote, compare and roll back the models that a cluster serves. Also: kubectl modelyard.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: it is a third of a second quicker, and kubectl's own looks like that
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"{PROGRAM} {version('modelyard')}")
        raise typer.Exit


@app.callback()
def every(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""


COMMANDS = (
    listing.list_, showing.show, showing.history, comparison.compare, listing.search, people.who,
    promote.promote, rollback.rollback, following.wait, verdict.approve, verdict.reject, promote.retry,
    recording.asof, lineage.lineage, lineage.reproduce, showing.card,
    registering.register, fetching.fetch, fetching.digest, ejection.eject,
)  # fmt: skip
"""In the order of help: to see, to change, to trace, and what is about files."""
for command in COMMANDS:
    app.command(name=command.__name__.rstrip("_"))(command)
app.add_typer(recording.ledger, name="ledger")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        app(args=arguments, prog_name=_called())
    except SystemExit as ended:  # typer's: done, or not understood and said so
        return ended.code if isinstance(ended.code, int) else FAILED
    except (CommandError, KubeError, ArtifactError, LedgerError) as error:
        say(f"{PROGRAM}: {text_of(error)}")
        return code_of(error)
    return 0


def _called() -> str:
    return "kubectl modelyard" if Path(sys.argv[0]).name.startswith("kubectl-") else PROGRAM


if __name__ == "__main__":
    sys.exit(main())
