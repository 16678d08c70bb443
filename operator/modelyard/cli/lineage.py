"""`lineage` and `reproduce`: what was this version made from, what was made from it, and how is it made again?

Ancestors are followed through `spec.baseModels` as far as they are versions in this registry
(`modelyard://NAMESPACE/MODEL@VERSION`); descendants are found by reading all versions the caller may see. Data sets
connect versions that are not made from one another. Pure but for the reading.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.objects import name_of, namespace_of, status_of
from modelyard.cli.output import DataOutput, heading, print_data, say
from modelyard.cli.refs import open_version
from modelyard.kube.errors import ForbiddenError

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster

Obj = Mapping[str, Any]
SCHEME = "modelyard://"


@dataclass
class Node:
    """A version or another model, with what it is connected to."""

    ref: str
    relation: str = ""
    known: bool = False
    below: list["Node"] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        below = [node.as_dict() for node in self.below]
        return {"ref": self.ref, "relation": self.relation, "registered": self.known, "from": below}


@on_cluster
def lineage(
    access: Access,
    version: arguments.Version,
    output: DataOutput = None,
) -> None:
    """What it was made from, and what from it.

    Base models up and down, and what else saw the same data.
    """
    cluster, found = open_version(access, version)
    versions = _all_versions(cluster)
    up, down, shared = ancestors(found, versions), descendants(found, versions), same_data(found, versions)
    if output:
        made = [node.as_dict() for node in down]
        print_data(
            {"version": ref_of(found), "madeFrom": up.as_dict()["from"], "madeFromIt": made, "sameData": shared}, output
        )
        return
    below = [line for node in down for line in _tree(node, 1)]
    data = [f"  {key}: {', '.join(refs) or 'nothing else'}" for key, refs in shared.items()]
    for title, lines in (("MADE FROM", list(_tree(up))), ("MADE FROM IT", below), ("SAME DATA", data)):
        typer.echo(heading(title))
        for line in lines or ["  nothing that is recorded"]:
            typer.echo(line)


@on_cluster
def reproduce(
    access: Access,
    version: arguments.Version,
) -> None:
    """A script that sets its training up again.

    What to check out, which data, which packages, which hyperparameters; what was not recorded is said.
    """
    _, found = open_version(access, version)
    for line in recipe(found):
        typer.echo(line)


def _all_versions(cluster: "Cluster") -> list[dict[str, Any]]:
    from modelyard.kube.kinds import MODEL_VERSION

    try:
        return cluster.list(MODEL_VERSION, everywhere=True)
    except ForbiddenError:
        say(f"only namespace {cluster.namespace!r} is searched: you may not list versions in all of them")
        return cluster.list(MODEL_VERSION)


def ref_of(version: Obj) -> str:
    """How a version is named as somebody's base model."""
    return f"{SCHEME}{namespace_of(version)}/{version['spec']['model']}@{version['spec']['version']}"


def ancestors(version: Obj, versions: Iterable[Obj]) -> Node:
    """The version with all it was made from below it."""
    known = {ref_of(each): each for each in versions}
    return _above(ref_of(version), "", known, ())


def _above(ref: str, relation: str, known: Mapping[str, Obj], path: tuple[str, ...]) -> Node:
    version = known.get(ref)
    node = Node(ref, relation, known=version is not None)
    if version is not None and ref not in path:  # nothing keeps people from declaring a circle
        node.below = [
            _above(_normal(base["ref"], version), base.get("relation", ""), known, (*path, ref))
            for base in version["spec"].get("baseModels") or ()
        ]
    return node


def descendants(version: Obj, versions: Iterable[Obj]) -> list[Node]:
    """All that was made from the version, each with what was made from it below it."""
    made: dict[str, list[tuple[str, str]]] = {}
    for each in versions:
        for base in each["spec"].get("baseModels") or ():
            made.setdefault(_normal(base["ref"], each), []).append((ref_of(each), base.get("relation", "")))
    return list(_made_from(ref_of(version), made, ()))


def _made_from(ref: str, made: Mapping[str, list[tuple[str, str]]], path: tuple[str, ...]) -> Iterator[Node]:
    for child, relation in sorted(made.get(ref, ())):
        below = [] if child in path else list(_made_from(child, made, (*path, ref)))
        yield Node(child, relation, known=True, below=below)


def _normal(ref: str, owner: Obj) -> str:
    """`modelyard://fraud@6` is of the namespace of whoever says it."""
    if ref.startswith(SCHEME) and "/" not in ref.removeprefix(SCHEME):
        return f"{SCHEME}{namespace_of(owner)}/{ref.removeprefix(SCHEME)}"
    return ref


def same_data(version: Obj, versions: Iterable[Obj]) -> dict[str, list[str]]:
    """For each of its data sets, the other versions that name it with the same digest, or version."""
    mine = {_data_key(data) for data in version["spec"].get("datasets") or ()}
    found: dict[str, list[str]] = {key: [] for key in sorted(mine)}
    for other in versions:
        if ref_of(other) != ref_of(version):
            for key in {_data_key(data) for data in other["spec"].get("datasets") or ()} & mine:
                found[key].append(ref_of(other))
    return {key: sorted(refs) for key, refs in found.items()}


def _data_key(data: Obj) -> str:
    mark = data.get("digest") or data.get("version")
    return f"{data['name']} {mark}" if mark else str(data["name"])


def _tree(node: Node, depth: int = 0) -> Iterator[str]:
    if depth:
        note = "" if node.known or not node.ref.startswith(SCHEME) else "  (not in this cluster)"
        yield "  " * depth + node.ref + (f"  {node.relation}" if node.relation else "") + note
    for below in node.below:
        yield from _tree(below, depth + 1)


def recipe(version: Obj) -> Iterator[str]:
    """The script. What was never recorded is said in a comment, so that nobody takes its absence for a choice."""
    spec, name = version["spec"], name_of(version)
    source, dependencies = spec.get("source") or {}, spec.get("dependencies") or {}
    yield "#!/bin/sh"
    yield f"# Sets up the training of {namespace_of(version)}/{name} again. Read it before you run it."
    yield "set -eu"
    yield ""
    if source.get("repository") and source.get("revision"):
        if str(source["revision"]).endswith("-dirty"):
            yield "# The code had changes that were never committed: this is the commit they were made on."
        yield f"git clone -- {_q(source['repository'])} {_q(name)}"
        yield f"git -C {_q(name)} checkout --detach {_q(str(source['revision']).removesuffix('-dirty'))} --"
        yield f"cd {_q('/'.join(filter(None, (name, source.get('path', '').strip('/')))))}"
    else:
        yield "# code: not recorded (spec.source)"
    yield ""
    if dependencies.get("image"):
        yield f"# image it ran in: {_line(dependencies['image'])}"
    if dependencies.get("requirements"):
        yield "cat > requirements.lock.txt <<'END'"
        yield from map(_line, dependencies["requirements"])
        yield "END"
        yield "python3 -m venv .venv"
        yield ".venv/bin/pip install --requirement requirements.lock.txt"
    elif not dependencies:
        yield "# dependencies: not recorded (spec.dependencies)"
    yield ""
    for data in spec.get("datasets") or ():
        facts = " ".join(f"{key}={data[key]}" for key in ("context", "version", "digest", "uri") if key in data)
        yield f"# data: {_line(data['name'])} {_line(facts)}"
    if not spec.get("datasets"):
        yield "# data: not recorded (spec.datasets)"
    for base in spec.get("baseModels") or ():
        yield f"# base model: {_line(base['ref'])} {_line(base.get('relation', ''))}".rstrip()
    yield ""
    yield "cat > hyperparameters.json <<'END'"
    yield json.dumps(spec.get("hyperparameters") or {}, indent=2, sort_keys=True)
    yield "END"
    yield ""
    yield from _command(spec)
    digest = status_of(version).get("digest") or spec["artifact"].get("digest")
    yield f"# The registered bytes have the digest {digest}; compare with: modelyard digest FOLDER"


def _command(spec: Obj) -> Iterator[str]:
    """How training was started, as far as the record says: its pipeline, its run."""
    run, pipeline = spec.get("run") or {}, spec.get("pipeline") or {}
    if pipeline:
        facts = " ".join(filter(None, (pipeline.get("engine"), pipeline.get("runID"), pipeline.get("uri"))))
        yield f"# started by the pipeline: {_line(facts)}"
    if run:
        facts = " ".join(filter(None, (run.get("id"), run.get("experiment"), run.get("uri"))))
        yield f"# training run: {_line(facts)}"
    if not run and not pipeline:
        yield "# training run: not recorded (spec.run, spec.pipeline)"


def _line(text: object) -> str:
    """What stands in a comment must not leave it: a field with a line break in it would become a command."""
    return " ".join(str(text).split())


def _q(text: str) -> str:
    return shlex.quote(str(text))
