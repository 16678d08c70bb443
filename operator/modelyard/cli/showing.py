"""`show`, `history` and `card`: one Model or one version, for a person who has a question about it.

With `-o` the object itself is printed, so that nothing is hidden from programs by what is shown to people.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.comparison import flatten, gate_rows
from modelyard.cli.completion import complete_model
from modelyard.cli.errors import UnknownError
from modelyard.cli.ledgers import NoLedgerError
from modelyard.cli.objects import (
    ABNORMAL,
    current,
    made_of,
    name_of,
    namespace_of,
    signed_by,
    stage_names,
    stage_specs,
    stage_status,
    status_of,
    why,
)
from modelyard.cli.output import (
    DataOutput,
    Output,
    age,
    colours,
    fields,
    heading,
    hue,
    print_data,
    print_objects,
    print_table,
    say,
    table,
)  # fmt: skip
from modelyard.cli.promote import hurdles
from modelyard.cli.recording import LedgerUrl, ledger_history, record_row
from modelyard.cli.refs import Reference, check_stage, find_model, find_version, open_model
from modelyard.kube.errors import KubeError
from modelyard.ledger.errors import UnknownChainError

Obj = Mapping[str, Any]
Json = dict[str, Any]
HISTORY_HEADER = ("WHEN", "STAGE", "WHAT", "FROM", "TO", "BY", "REASON", "TICKET")


@on_cluster
def show(
    access: Access,
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|VERSION", help="fraud, fraud-7 or fraud@production", autocompletion=complete_model
        ),
    ],
    output: Output = None,
) -> None:
    """A Model and what it serves, or a version."""
    found = _find(access, what)
    if output:
        print_objects([found], output, as_list=False)
        return
    lines = describe_model(found) if found["kind"] == "Model" else describe_version(found)
    for line in lines:
        typer.echo(line)


@on_cluster
def history(
    access: Access,
    what: arguments.ModelOrStage,
    url: LedgerUrl = "",
    output: DataOutput = None,
) -> None:
    """Every move of a Model's stages: who, when, why.

    The newest last. From the ledger: everything that ever happened. Where there is none, from the Model's status, which
    keeps the last 50 moves (20 beside a ledger).
    """
    try:
        _from_ledger(access, what, url, output)
        return
    except (NoLedgerError, UnknownChainError, KubeError) as error:
        if url:
            raise
        say(f"from the Model's status, which keeps the last moves only: {error}")
    reference = Reference.parse(what, "MODEL[@STAGE]")
    model = find_model(access.connect(reference.namespace), reference.name)
    if reference.stage is not None:
        check_stage(model, reference.stage)
    moves = [m for m in status_of(model).get("transitions") or () if reference.stage in (None, m.get("stage"))]
    if output:
        print_data(moves, output)
        return
    print_table(HISTORY_HEADER, [move_row(move) for move in moves], empty=f"{name_of(model)}: nothing moved yet")


def _from_ledger(access: Access, what: str, url: str, output: DataOutput) -> None:
    from modelyard.ledger.queries import as_json

    model, _, stage = what.partition("@")
    records = ledger_history(access, model, stage or None, url)
    if output:
        print_data(as_json(records), output)
        return
    print_table(HISTORY_HEADER, [record_row(record) for record in records], empty=f"{what}: nothing is recorded")


@on_cluster
def card(
    access: Access,
    model: arguments.Model,
) -> None:
    """The model card, as Markdown.

    What its authors wrote, then who answers for it, who depends on it, and what serves.
    """
    _, found = open_model(access, model)
    text = "\n".join(card_lines(found)) + "\n"
    if not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(no_color=not colours()).print(Markdown(text))


def _find(access: Access, what: str) -> Json:
    """A bare name is a Model's before it is a version's: `fraud-7` may be both, and `fraud:7` says which."""
    from modelyard.kube.kinds import MODEL, MODEL_VERSION

    reference = Reference.parse(what, "MODEL, VERSION or MODEL@STAGE")
    cluster = access.connect(reference.namespace)
    if not reference.is_bare:
        return find_version(cluster, reference)
    found = cluster.find(MODEL, reference.name) or cluster.find(MODEL_VERSION, reference.name)
    if found is None:
        raise UnknownError(
            f"there is neither a Model nor a ModelVersion {reference.name!r} in namespace {cluster.namespace!r}; "
            "`kubectl modelyard list -A` lists all Models"
        )
    return found


# Models


def describe_model(model: Obj) -> Iterator[str]:
    """A Model: whose it is, what serves, what wants to, what is wrong, what happened last."""
    spec = model["spec"]
    yield heading(f"{namespace_of(model)}/{name_of(model)}") + f"  {spec.get('description', '')}".rstrip()
    owner = spec.get("owner") or {}
    yield from fields(
        {
            "owner": " ".join(filter(None, (owner.get("team"), f"({owner['contact']})" if "contact" in owner else ""))),
            "consumers": ", ".join(entry["name"] for entry in spec.get("consumers") or ()),
        }
    )
    yield ""
    header = ("STAGE", "VERSION", "SINCE", "BY", "PODS", "ENDPOINT", "ROLLBACK", "BEFORE IT")
    yield from table(header, [_stage_row(model, stage) for stage in stage_specs(model)], hued=colours())
    pending = list(_pending(model))
    if pending:
        yield ""
        yield from table(("PENDING", "TO", "REASON", "WHY"), pending, hued=colours())
    told = [c for c in status_of(model).get("conditions") or () if (c["status"] == "True") is (c["type"] in ABNORMAL)]
    if told:
        yield ""
        yield from (f"{hue(c['type'], c['type'] if c['type'] in ABNORMAL else c['status'])}: {why(c)}" for c in told)
    moves = status_of(model).get("transitions") or ()
    if moves:
        yield ""
        yield from table(HISTORY_HEADER, [move_row(move) for move in moves[-5:]])


def _stage_row(model: Obj, stage: Obj) -> tuple[object, ...]:
    name = str(stage["name"])
    state, pointer = stage_status(model, name), current(model, name)
    pods, target = state.get("replicas") or {}, state.get("rollbackTarget") or {}
    ready = f"{pods.get('ready', 0)}/{pods.get('wanted', 0)}" if pods else ""
    back = f"{target['version']} ({'warm' if target.get('warm') else 'cold'})" if target else ""
    since, by = age(pointer.get("since")), pointer.get("by", "")
    return (name, pointer.get("version", ""), since, by, ready, state.get("endpoint", ""), back, hurdles(stage))


def _pending(model: Obj) -> Iterator[tuple[object, ...]]:
    for stage in stage_names(model):
        for candidate in stage_status(model, stage).get("candidates") or ():
            yield (candidate.get("version"), stage, candidate.get("reason"), candidate.get("message"))


def move_row(move: Obj) -> tuple[object, ...]:
    """A transition as one line."""
    before, after = move.get("from") or {}, move.get("to") or {}
    sides = (before.get("version", ""), after.get("version", ""))
    return (move.get("at", ""), move.get("stage", ""), move.get("type", ""), *sides, *_said(move))


def _said(move: Obj) -> tuple[object, ...]:
    return (move.get("by", ""), move.get("reason", ""), move.get("ticket", ""))


def card_lines(model: Obj) -> Iterator[str]:
    """The card as Markdown: what its authors wrote, then what the cluster knows."""
    spec = model["spec"]
    written = spec.get("card") or {}
    if "inline" in written:
        yield from written["inline"].rstrip("\n").splitlines()
    else:
        yield f"# {name_of(model)}"
        yield ""
        yield f"The card: <{written['uri']}>" if "uri" in written else spec.get("description", "(no card is written)")
    yield ""
    yield "## In this cluster"
    yield ""
    owner = spec.get("owner") or {}
    yield f"- Model: {namespace_of(model)}/{name_of(model)}"
    if owner:
        yield f"- Owner: {', '.join(filter(None, (owner.get('team'), owner.get('contact'))))}"
    for entry in spec.get("consumers") or ():
        yield f"- Consumer: {', '.join(filter(None, (entry['name'], entry.get('contact'))))}"
    for stage in stage_names(model):
        pointer = current(model, stage)
        where = stage_status(model, stage).get("endpoint")
        at = f" at {where}" if where else ""
        yield (
            f"- {stage}: version {pointer['version']}{at}, since {pointer.get('since')}"
            if pointer
            else f"- {stage}: none"
        )


# Versions


def describe_version(version: Obj) -> Iterator[str]:
    """A version: where it is, why, what judged it, what it was made of."""
    spec, status = version["spec"], status_of(version)
    yield heading(f"{namespace_of(version)}/{name_of(version)}") + f"  {spec.get('description', '')}".rstrip()
    request, verification = status.get("request") or {}, status.get("verification") or {}
    artifact = status.get("artifact") or {}
    bytes_ = f"{artifact['fileCount']} files, {artifact['sizeBytes']} bytes" if "fileCount" in artifact else ""
    yield from fields(
        {
            "stage": ", ".join(f"{s['name']} (since {age(s.get('since'))})" for s in status.get("stages") or ())
            or status.get("stage", "none"),
            "wanted": spec.get("stage", ""),
            "request": f"{hue(request['step']) if colours() else request['step']}: {why(request)}" if request else "",
            "since then": f"version {request['overtakenBy']} was asked for" if "overtakenBy" in request else "",
            "verification": why(verification) if verification.get("state") != "Passed" else "",
            "digest": status.get("digest", ""),
            "artifact": " ".join(filter(None, (spec["artifact"].get("uri"), bytes_, artifact.get("format")))),
            "signed by": signed_by(artifact.get("signature") or {}),
            "framework": " ".join((spec.get("framework") or {}).values()),
            "author": spec.get("author", ""),
            "approvals": _approvals(status.get("approvals") or {}),
        }
    )
    for warning in artifact.get("warnings") or ():
        yield f"  {typer.style('warning', fg=typer.colors.YELLOW) if colours() else 'warning'}: {why(warning)}"
    gates = gate_rows(version)
    if gates:
        yield ""
        yield from table(("GATE", "RESULT", "WHY"), gates, hued=colours())
    yield from _section("METRICS", flatten(spec.get("metrics") or {}))
    yield from _section("HYPERPARAMETERS", flatten(spec.get("hyperparameters") or {}))
    yield from _section("MADE OF", made_of(spec))


def _approvals(count: Obj) -> str:
    if not count.get("required"):
        return ""
    given, ignored = count.get("approvedBy") or (), count.get("ignored") or ()
    first = f"{len(given)} of {count['required']}" + (f": {', '.join(given)}" if given else "")
    return "; ".join(
        [first, *(f"{each.get('by') or each['name']} does not count ({each['reason']})" for each in ignored)]
    )


def _section(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    if any(value not in (None, "") for value in values.values()):
        yield ""
        yield heading(title)
        yield from fields(values)
