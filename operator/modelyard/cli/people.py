"""`who MODEL`: who may promote, approve, roll back and configure, stage by stage.

The rights are plain RBAC on the virtual resources `models/<stage>`. What oneself may do is asked of the API server;
what others may do is read from roles and bindings, as far as the caller may read those. Group members are not known to
a cluster, so a group is named as such; rights that another authorizer gives are not seen here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from modelyard.api.names import GROUP
from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.objects import name_of, stage_names
from modelyard.cli.output import DataOutput, heading, print_data, print_table, say
from modelyard.cli.refs import Reference, check_stage, find_model
from modelyard.kube.errors import ForbiddenError
from modelyard.kube.kinds import Kind

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster

Obj = Mapping[str, Any]
VERBS = ("promote", "approve", "rollback", "configure")
_RBAC = "rbac.authorization.k8s.io"
ROLE = Kind("Role", _RBAC, "v1", "roles")
BINDING = Kind("RoleBinding", _RBAC, "v1", "rolebindings")
CLUSTER_ROLE = Kind("ClusterRole", _RBAC, "v1", "clusterroles")
CLUSTER_BINDING = Kind("ClusterRoleBinding", _RBAC, "v1", "clusterrolebindings")


READER = "modelyard-auditor"
"""The chart's role that may list all of them, when it is bound in the whole cluster."""


@dataclass(frozen=True)
class Right:
    """Somebody may do something at a stage, because of a binding."""

    stage: str
    verb: str
    who: str
    via: str


@on_cluster
def who(
    access: Access,
    what: arguments.ModelOrStage,
    output: DataOutput = None,
) -> None:
    """Who may promote, approve, roll back.

    What you may do is asked of the API server; what others may do is read from roles and bindings.
    """
    reference = Reference.parse(what, "MODEL[@STAGE]")
    cluster = access.connect(reference.namespace)
    model = find_model(cluster, reference.name)
    if reference.stage is not None:
        check_stage(model, reference.stage)
    stages = [reference.stage] if reference.stage else stage_names(model)
    me = cluster.whoami()
    own = {stage: [verb for verb in VERBS if cluster.may(verb, f"models/{stage}", name_of(model))] for stage in stages}
    found, unread = _read_rights(cluster, name_of(model), stages)
    if output:
        print_data({"you": me, "youMay": own, "rights": [asdict(right) for right in found], "notRead": unread}, output)
        return
    typer.echo(heading(f"You ({me})"))
    print_table(("STAGE", *map(str.upper, VERBS)), [_own_row(stage, own[stage]) for stage in stages], empty="")
    typer.echo("")
    rows = [(right.stage, right.verb, right.who, right.via) for right in found]
    nobody = "who else may is not shown" if unread else "no binding gives anybody a right at these stages"
    print_table(("STAGE", "MAY", "WHO", "THROUGH"), rows, empty=nobody)
    if unread:
        say(f"not read: {', '.join(unread)}, which takes the right to list them; the ClusterRole {READER} gives it")


def _own_row(stage: str, verbs: list[str]) -> tuple[str, ...]:
    return (stage, *("yes" if verb in verbs else "no" for verb in VERBS))


def _read_rights(cluster: "Cluster", model: str, stages: Iterable[str]) -> tuple[list[Right], list[str]]:
    """The rights that roles and bindings give, and what of those could not be read."""
    unread: list[str] = []

    def read(kind: Kind) -> list[Obj]:
        try:
            return list(cluster.list(kind, everywhere=kind.name.startswith("Cluster")))
        except ForbiddenError:
            unread.append(kind.plural)
            return []

    rules = {("Role", name_of(role)): role.get("rules") or () for role in read(ROLE)}
    rules |= {("ClusterRole", name_of(role)): role.get("rules") or () for role in read(CLUSTER_ROLE)}
    bindings = [*read(BINDING), *read(CLUSTER_BINDING)]
    return list(rights(bindings, rules, model, stages)), unread


def rights(
    bindings: Iterable[Obj], rules: Mapping[tuple[str, str], Iterable[Obj]], model: str, stages: Iterable[str]
) -> Iterator[Right]:
    """Who gets what, stage by stage and verb by verb. `rules`: by kind and name of the role."""
    bound = [(binding, tuple(rules.get(_role(binding)) or ())) for binding in bindings]
    for stage in stages:
        for verb in VERBS:
            for binding, given in bound:
                if any(allows(rule, verb, stage, model) for rule in given):
                    via = f"{binding['kind']} {name_of(binding)} ({_role(binding)[0]} {_role(binding)[1]})"
                    yield from (Right(stage, verb, _subject(s), via) for s in binding.get("subjects") or ())


def allows(rule: Obj, verb: str, stage: str, model: str) -> bool:
    """Whether an RBAC rule lets this be done at this stage of this Model."""
    resources = rule.get("resources") or ()
    named = rule.get("resourceNames") or ()
    return (
        any(group in ("*", GROUP) for group in rule.get("apiGroups") or ())
        and any(resource in ("*", f"models/{stage}", f"*/{stage}") for resource in resources)
        and any(each in ("*", verb) for each in rule.get("verbs") or ())
        and (not named or model in named)
    )


def _role(binding: Obj) -> tuple[str, str]:
    return str(binding["roleRef"]["kind"]), str(binding["roleRef"]["name"])


def _subject(subject: Obj) -> str:
    if subject["kind"] == "ServiceAccount":
        return f"system:serviceaccount:{subject.get('namespace', '')}:{subject['name']}"
    return f"group {subject['name']}" if subject["kind"] == "Group" else str(subject["name"])
