"""`asof`, `ledger verify` and `ledger export`: the record of everything that ever served.

Answered from the records alone, also when the version, the Model and the cluster are long gone; `ledgers` finds them.
`history` reads them too. What an answer says is decided in `modelyard.ledger`; here it is asked, shown.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.comparison import flatten
from modelyard.cli.errors import CommandError, UsageError
from modelyard.cli.ledgers import open_ledger
from modelyard.cli.objects import made_of, name_of, signed_by, status_of
from modelyard.cli.output import DataOutput, fields, heading, print_data, say

if TYPE_CHECKING:
    from modelyard.ledger.asof import Period
    from modelyard.ledger.queries import AsOf
    from modelyard.ledger.records import Approval, Head, Record, Request
    from modelyard.ledger.verifying import Report

LedgerUrl = Annotated[
    str,
    typer.Option(
        "--ledger",
        metavar="URL",
        envvar="MODELYARD_LEDGER",
        help="s3://BUCKET/PREFIX or file:///PATH; default: the cluster's.",
    ),
]
ledger = typer.Typer(
    help="Check the ledger, or copy it.", no_args_is_help=True, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@on_cluster
def asof(
    access: Access,
    what: arguments.Held,
    when: Annotated[str, typer.Argument(metavar="WHEN", help="2025-11-15 (the whole day, UTC) or 2025-11-15T10:30Z")],
    url: LedgerUrl = "",
    output: DataOutput = None,
) -> None:
    """What served on a date, on which data, approved by whom.

    Answered from the ledger, so the version and the cluster need not exist any more.
    """
    from modelyard.ledger import queries

    model, _, stage = what.rpartition("@")
    if not model or not stage:
        raise UsageError(f"{what!r} names no stage; write [NAMESPACE/]MODEL@STAGE, such as risk/fraud@production")
    try:
        answers = queries.asof(open_ledger(access, url), _full_name(access, model), stage, when)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if output:
        print_data(queries.as_json(answers), output)
        return
    for answer in answers:
        for line in told(answer, when):
            typer.echo(line)


@ledger.command()
@on_cluster
def verify(
    access: Access,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Default: every model of the ledger.")] = None,
    url: LedgerUrl = "",
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER:SHA256", help="A record of the MODEL's that was noted elsewhere; repeatable."),
    ] = None,
    against_cluster: Annotated[
        bool, typer.Option("--against-cluster", help="Also against what the MODEL's status has noted.")
    ] = False,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            envvar="MODELYARD_LEDGER_KEY",
            dir_okay=False,
            exists=True,
            help="Public key (PEM) that records have to be signed with; repeatable.",
        ),
    ] = None,
    output: DataOutput = None,
) -> None:
    """Read every record and name the first that is not as it was.

    Exit code 1 when a record was altered, removed, moved or cut off, or with --key is not vouched for. Prints each
    chain's head, to be noted elsewhere.
    """
    from modelyard.ledger import queries
    from modelyard.ledger.signing import load_keys

    if (head or against_cluster) and not model:
        raise UsageError("a noted head belongs to one model; name the MODEL")
    anchors = [_head(text) for text in head or ()]
    if against_cluster and model:
        anchors += _noted(access, model)
    place = open_ledger(access, url)
    keys = load_keys({str(path): path.read_bytes() for path in key}) if key else None
    reports = list(queries.verify_chains(place, _full_name(access, model) if model else None, anchors, keys))
    if output:
        print_data(queries.as_json(reports), output)
    for report in reports:
        if report.intact and not output:
            typer.echo(_intact(report, keys is not None))
        for finding in report.findings:
            say(f"{report.chain}: record {finding.number}: {finding.fault}: {finding.message} ({finding.object})")
    broken = [str(report.chain) for report in reports if not report.intact]
    if broken:
        raise CommandError(
            f"not as it was written: {', '.join(broken)}; compare with a copy, or with the store's history"
        )


@ledger.command()
@on_cluster
def export(
    access: Access,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Default: every model of the ledger.")] = None,
    url: LedgerUrl = "",
) -> None:
    """Every record, one a line, byte by byte.

    Such a copy is checked with nothing but sha256sum and jq.
    """
    from modelyard.ledger import queries

    for _, raw in queries.export(open_ledger(access, url), _full_name(access, model) if model else None):
        sys.stdout.buffer.write(raw + b"\n")
    sys.stdout.buffer.flush()


def ledger_history(access: Access, model: str, stage: str | None, url: str) -> "list[Record]":
    """Everything that is recorded of a model, oldest first."""
    from modelyard.ledger import queries

    return queries.history(open_ledger(access, url), _full_name(access, model), stage=stage)


def record_row(record: "Record") -> tuple[object, ...]:
    """A record as one line of a history."""
    about = record.version.version if record.version else ""
    before = record.from_.version if record.from_ else ""
    after = record.to.version if record.to else about
    by, reason, ticket = _asker(record)
    return (_time(record.at), record.stage, record.type, before, after, by, reason or record.reason, ticket)


def _asker(record: "Record") -> tuple[str, str, str]:
    if record.request:
        return record.request.by, record.request.reason, record.request.ticket
    return ", ".join(approval.by for approval in record.approvals), "", ""


def told(answer: "AsOf", when: str) -> Iterator[str]:
    """The answer to an auditor's question, in full."""
    chain = answer.chain
    yield heading(f"{chain.namespace}/{chain.model}@{answer.stage} in cluster {chain.cluster}, {when}")
    if not answer.periods:
        yield "  nothing served"
    for period in answer.periods:
        yield from _period(period)
    yield f"  by {answer.records} records, each with the hash of the one before; head {_noted_as(answer.head)}"


def _period(period: "Period") -> Iterator[str]:
    until = f"until {_time(period.until)}" if period.until else "and still does, as far as is recorded"
    note = " (scaled to zero on purpose: nothing answered)" if period.suspended else ""
    yield f"  version {period.serves.version} served from {_time(period.since)} {until}{note}"
    spec = period.version.spec
    facts: dict[str, object] = {
        "digest": period.serves.digest,
        "bytes": period.version.uri,
        "signed by": signed_by(period.version.signature),
        period.move.type: _asked(period.move.request),
        "author": spec.get("author", ""),
        **made_of(spec),
    }
    for approval in period.origin.approvals if period.origin else ():
        facts[f"approved by {approval.by}"] = _consent(approval)
    for gate in period.origin.gates if period.origin else ():
        facts[f"gate {gate.stage}/{gate.name}"] = f"{gate.result} {gate.message}".strip()
    facts |= {f"metric {name}": value for name, value in flatten(spec.get("metrics") or {}).items()}
    yield from (f"  {line}" for line in fields(facts))


def _asked(request: "Request | None") -> str:
    if request is None:
        return "by nobody's request"
    ticket = f"ticket {request.ticket}" if request.ticket else ""
    change = f"change {request.change}" if request.change else ""
    return ", ".join(filter(None, (f"asked by {request.by or 'nobody known'}", request.reason, ticket, change)))


def _consent(approval: "Approval") -> str:
    when = _time(approval.at) if approval.at else ""
    return ": ".join(filter(None, (when, approval.comment)))


def _full_name(access: Access, model: str) -> str:
    """`namespace/model`: the namespace of the kubeconfig's context when none is named. The cluster is not asked."""
    return model if "/" in model else f"{access.namespace()}/{model}"


def _noted(access: Access, model: str) -> "list[Head]":
    from modelyard.cli.refs import open_model
    from modelyard.ledger.records import Head

    _, found = open_model(access, "/".join(model.split("/")[-2:]))
    noted = status_of(found).get("ledger") or {}
    if not noted.get("number"):
        raise CommandError(f"{name_of(found)}: its status has noted no record yet")
    return [Head(int(noted["number"]), str(noted["sha256"]))]


def _head(text: str) -> "Head":
    from modelyard.ledger.records import Head

    number, _, sha256 = text.partition(":")
    if not number.isdigit() or not sha256:
        raise UsageError(f"--head {text!r}: write it as NUMBER:sha256:… as `ledger verify` prints it")
    return Head(int(number), sha256)


def _intact(report: "Report", signed: bool) -> str:
    """One line on a chain that is as it was written: where it ends, and who vouches for that."""
    told = f"{report.chain}: {report.head.number} records, intact; head {_noted_as(report.head)}"
    if not signed:
        return told
    noted = (
        f"last signed head: record {report.noted.number}, {_time(report.noted.at)}"
        if report.noted
        else "no signed head"
    )
    return f"{told}; signed; {noted}"


def _noted_as(head: "Head") -> str:
    return f"{head.number}:{head.sha256}"


def _time(moment: object) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ")) if hasattr(moment, "strftime") else ""
