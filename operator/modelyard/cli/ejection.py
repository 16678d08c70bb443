"""`eject MODEL`: plain manifests of what serves, for whoever wants to go on without Modelyard.

The names, selectors and pods are those that run, so that `kubectl replace` of these manifests leaves every pod alone;
what ties the objects to a Model (owner references, the operator's annotations and its label) is gone, and deleting the
Models or the CRDs no longer takes them along. Deployments that carry no stage are left out.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from modelyard.api import names
from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.errors import CommandError
from modelyard.cli.objects import current, name_of, stage_names
from modelyard.cli.output import as_yaml, say
from modelyard.cli.refs import open_model

Obj = Mapping[str, Any]
Json = dict[str, Any]
_GIVEN_BY_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_GIVEN_TO_SERVICE = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
_OPERATORS = (
    names.ANNOTATION_SEQUENCE,
    names.ANNOTATION_ON_TRIAL,
    names.ANNOTATION_REVISION,
    names.ANNOTATION_SCALED_AT,
    names.ANNOTATION_RESTARTED_AT,
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
)


@on_cluster
def eject(
    access: Access,
    model: arguments.Model,
) -> None:
    """Plain manifests of what serves.

    Deployments, Services and ConfigMaps that nobody owns, to go on without Modelyard.
    """
    from modelyard.kube.kinds import CONFIG_MAP, DEPLOYMENT, SERVICE

    cluster, found = open_model(access, model)
    labels = f"{names.MANAGED_SELECTOR}={name_of(found)}"
    objects = [obj for kind in (CONFIG_MAP, DEPLOYMENT, SERVICE) for obj in cluster.list(kind, labels=labels)]
    plain = [plainly(obj) for obj in serving(found, objects)]
    if not plain:
        raise CommandError(f"{name_of(found)}: no stage carries a version: there is nothing to eject")
    typer.echo("---\n".join(as_yaml(obj) for obj in plain), nl=False)
    say(
        f"{len(plain)} manifests. To leave Modelyard without restarting a pod: uninstall the operator, "
        "`kubectl replace -f` these, then delete the Models"
    )


def serving(model: Obj, objects: Iterable[Obj]) -> Iterator[Obj]:
    """Of a Model's objects those that what serves now is made of."""
    carried = {stage: current(model, stage).get("revision") for stage in stage_names(model)}
    for obj in objects:
        labels = obj["metadata"].get("labels") or {}
        revision = carried.get(labels.get(names.LABEL_STAGE, ""))
        # A Deployment, or the Service that gates find a candidate by, belongs to one revision; the others to the stage.
        if revision and labels.get(names.LABEL_REVISION, revision) == revision:
            yield obj


def plainly(obj: Obj) -> Json:
    """The object as somebody would have written it."""
    plain: Json = copy.deepcopy(dict(obj))
    plain.pop("status", None)
    metadata = plain["metadata"]
    for field in (*_GIVEN_BY_SERVER, "ownerReferences"):
        metadata.pop(field, None)
    metadata["labels"].pop(names.LABEL_MANAGED_BY, None)
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key not in _OPERATORS}
    if annotations:
        metadata["annotations"] = annotations
    if plain["kind"] == "Service":
        for field in _GIVEN_TO_SERVICE:
            plain["spec"].pop(field, None)
    return {field: plain[field] for field in ("apiVersion", "kind", "metadata", *plain) if field in plain}
