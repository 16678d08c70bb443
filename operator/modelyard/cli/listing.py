"""`list` and `search`: which models are there and what serves; which versions are like this?

Both read whole lists with one call a page and sort here; nothing is asked object by object.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from modelyard.cli.access import Access, on_cluster
from modelyard.cli.comparison import flatten
from modelyard.cli.completion import complete_model, complete_stage
from modelyard.cli.errors import UsageError
from modelyard.cli.objects import name_of, namespace_of, newest_first, status_of
from modelyard.cli.output import Output, Row, age, number, print_objects, print_table
from modelyard.cli.refs import Reference, find_model

Obj = Mapping[str, Any]
Test = Callable[[Obj], bool]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="In all namespaces.")]

MODEL_HEADER = ("NAME", "LIVE", "SINCE", "STAGES", "PENDING", "REASON", "ROLLBACK", "TEAM")
VERSION_HEADER = ("VERSION", "STAGE", "WANTED", "STEP", "REASON", "METRICS", "BY", "AGE")
_METRIC = re.compile(r"\s*([^<>=!\s]+)\s*(>=|<=|==|!=|>|<|=)\s*(\S+)\s*")
_TESTS: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@on_cluster
def list_(
    access: Access,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="List the versions of this Model.", autocompletion=complete_model),
    ] = None,
    everywhere: Everywhere = False,
    output: Output = None,
) -> None:
    """Models and what serves, or a Model's versions."""
    from modelyard.kube.kinds import MODEL, MODEL_VERSION

    if model is None:
        cluster = access.connect()
        found = sorted(cluster.list(MODEL, everywhere=everywhere), key=lambda m: (namespace_of(m), name_of(m)))
        _print(found, output, MODEL_HEADER, model_row, everywhere, f"no Models in {_where(cluster, everywhere)}")
        return
    reference = Reference.parse(model, "MODEL")
    cluster = access.connect(reference.namespace)
    versions = newest_first(cluster.list(MODEL_VERSION, fields=f"spec.model={reference.name}"))
    if not versions:
        find_model(cluster, reference.name)
    _print(versions, output, VERSION_HEADER, version_row, False, f"{reference.name} has no versions yet")


@on_cluster
def search(
    access: Access,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="A word in the name or description.")] = None,
    label: Annotated[str, typer.Option("--selector", "-l", help="Labels, as kubectl takes them.")] = "",
    model: Annotated[str | None, typer.Option(help="Of this Model.", autocompletion=complete_model)] = None,
    stage: Annotated[str | None, typer.Option(help="Carries this stage.", autocompletion=complete_stage)] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Such as 'auc>0.9'; repeatable.")] = None,
    digest: Annotated[str | None, typer.Option(help="Digest of its bytes, or how it begins.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name or digest of a data set.")] = None,
    framework: Annotated[str | None, typer.Option(help="Name of its framework.")] = None,
    author: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    owner: Annotated[str | None, typer.Option(help="Team or contact of its Model.")] = None,
    consumer: Annotated[str | None, typer.Option(help="An application that depends on its Model.")] = None,
    everywhere: Everywhere = False,
    output: Output = None,
) -> None:
    """Find versions by what they are like."""
    from modelyard.kube.kinds import MODEL, MODEL_VERSION

    tests = version_tests(
        text=text, stage=stage, metrics=metric or (), digest=digest, dataset=dataset, framework=framework, author=author
    )
    cluster = access.connect()
    fields = f"spec.model={model}" if model else ""
    found = [
        v for v in cluster.list(MODEL_VERSION, everywhere=everywhere, fields=fields, labels=label) if _all(tests, v)
    ]
    if owner or consumer:
        models = cluster.list(MODEL, everywhere=everywhere)
        known = {(namespace_of(m), name_of(m)) for m in models if belongs(m, owner, consumer)}
        found = [v for v in found if (namespace_of(v), v["spec"]["model"]) in known]
    header = ("MODEL", *VERSION_HEADER)
    _print(newest_first(found), output, header, _found_row, everywhere, "nothing is like this")


def _print(
    objects: Sequence[Obj],
    output: Output,
    header: Sequence[str],
    row: Callable[[Obj], Row],
    everywhere: bool,
    empty: str,
) -> None:
    if output:
        print_objects(objects, output)
        return
    rows = [(namespace_of(obj), *row(obj)) if everywhere else row(obj) for obj in objects]
    print_table(("NAMESPACE", *header) if everywhere else header, rows, empty=empty)


def model_row(model: Obj) -> Row:
    """A Model as one line."""
    summary = status_of(model).get("summary") or {}
    shown = [summary.get(field, "") for field in ("stages", "pending", "reason", "rollback")]
    team = (model["spec"].get("owner") or {}).get("team", "")
    return (name_of(model), summary.get("live", ""), age(summary.get("since")), *shown, team)


def version_row(version: Obj) -> Row:
    """A version as one line."""
    status = status_of(version)
    request = status.get("request") or {}
    held = ",".join(stage["name"] for stage in status.get("stages") or ()) or status.get("stage", "")
    verified = status.get("verification") or {}
    reason = request.get("reason") or (verified.get("reason", "") if verified.get("state") != "Passed" else "")
    spec = version["spec"]
    by = request.get("requestedBy") or spec.get("author", "")
    made = age(version["metadata"].get("creationTimestamp"))
    return (spec["version"], held, spec.get("stage", ""), request.get("step", ""), reason, headline(version), by, made)


def headline(version: Obj, most: int = 3) -> str:
    """The first few metrics, in the author's order: what a line has room for."""
    metrics = version["spec"].get("metrics") or {}
    plain = [(name, value) for name, value in metrics.items() if isinstance(value, int | float)]
    return " ".join(f"{name}={number(value)}" for name, value in plain[:most])


def _found_row(version: Obj) -> Row:
    return (version["spec"]["model"], *version_row(version))


def version_tests(
    *,
    text: str | None = None,
    stage: str | None = None,
    metrics: Sequence[str] = (),
    digest: str | None = None,
    dataset: str | None = None,
    framework: str | None = None,
    author: str | None = None,
) -> list[Test]:
    """What has to hold of a version, one test for each thing that was asked."""
    tests = [metric_test(metric) for metric in metrics]
    if text:
        tests.append(lambda v: text.lower() in f"{name_of(v)} {v['spec'].get('description', '')}".lower())
    if stage:
        tests.append(lambda v: any(held["name"] == stage for held in status_of(v).get("stages") or ()))
    if digest:
        wanted = digest if digest.startswith("sha256:") else f"sha256:{digest}"
        tests.append(lambda v: _digest(v).startswith(wanted))
    if dataset:
        tests.append(lambda v: any(dataset in (d["name"], d.get("digest")) for d in v["spec"].get("datasets") or ()))
    if framework:
        tests.append(lambda v: framework.lower() == (v["spec"].get("framework") or {}).get("name", "").lower())
    if author:
        tests.append(lambda v: author.lower() in v["spec"].get("author", "").lower())
    return tests


def metric_test(text: str) -> Test:
    """`auc>0.9`, `slices.eu.auc>=0.7`. A version without the metric does not pass."""
    match = _METRIC.fullmatch(text)
    try:
        if not match:
            raise ValueError
        name, compare, limit = match[1], _TESTS[match[2]], float(match[3])
    except ValueError:
        raise UsageError(
            f"--metric {text!r} is no comparison; write it like 'auc>0.9' or 'slices.eu.auc>=0.7'"
        ) from None

    def holds(version: Obj) -> bool:
        value = flatten(version["spec"].get("metrics") or {}).get(name)
        return isinstance(value, int | float) and compare(value, limit)

    return holds


def belongs(model: Obj, owner: str | None, consumer: str | None) -> bool:
    """Whether a Model is of this owner and has this consumer, as far as they are asked for."""
    mine = model["spec"].get("owner") or {}
    consumers = [entry["name"] for entry in model["spec"].get("consumers") or ()]
    return (owner is None or owner in mine.values()) and (consumer is None or consumer in consumers)


def _all(tests: Sequence[Test], version: Obj) -> bool:
    return all(test(version) for test in tests)


def _digest(version: Obj) -> str:
    return str(status_of(version).get("digest") or version["spec"]["artifact"].get("digest") or "")


def _where(cluster: Any, everywhere: bool) -> str:
    return "any namespace" if everywhere else f"namespace {cluster.namespace!r}; -A lists all namespaces"
