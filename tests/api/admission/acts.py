"""What people do, as they type it: each act is kubectl's arguments, and asks the server to try without storing.

A dry run goes through authorization and admission like the real thing, so one namespace serves the whole table.
"""

import json
from typing import Any

from modelyard.api.names import GROUP
from tests.kube import KubectlError, Obj

from .cast import Act, Cast

TRY = "--dry-run=server"


def does(cast: Cast, who: str, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as somebody, in the tests' API group."""
    group = cast.installed.group
    return cast.as_(who).run(
        *(argument.replace(GROUP, group) for argument in arguments), stdin=stdin and stdin.replace(GROUP, group)
    )


def create(manifest: Obj) -> Act:
    """`kubectl create`."""
    return lambda cast, who: does(cast, who, "create", TRY, "-o=json", "-f-", stdin=json.dumps(manifest))


def patch(kind: str, name: str, body: Any, *options: str, type: str = "merge") -> Act:
    """`kubectl patch`."""
    text = json.dumps(body)
    return lambda cast, who: does(
        cast, who, "patch", cast.kind(kind), name, f"--type={type}", f"--patch={text}", TRY, "-o=json", *options
    )


def stage(name: str, stage: str | None, **annotations: str) -> Act:
    """Ask for a stage, or for none."""
    metadata = {"annotations": {f"{GROUP}/{key}": value for key, value in annotations.items()}}
    return patch("modelversion", name, {"spec": {"stage": stage}, "metadata": metadata})


def annotate(kind: str, name: str, **annotations: str | None) -> Act:
    """Set annotations of Modelyard's, underscores for dashes; None takes one away."""
    named = {f"{GROUP}/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return patch(kind, name, {"metadata": {"annotations": named}})


def label(kind: str, name: str, labels: Obj) -> Act:
    """Set labels; None takes one away."""
    return patch(kind, name, {"metadata": {"labels": labels}})


def replace(kind: str, name: str, **spec: Any) -> Act:
    """`kubectl replace` of the object as it is, but for fields of its spec."""

    def act(cast: Cast, who: str) -> str:
        obj = cast.as_("root").get(cast.kind(kind), name)
        obj["spec"] = {key: value for key, value in {**obj["spec"], **spec}.items() if value is not None}
        obj["metadata"].pop("resourceVersion")
        return does(cast, who, "replace", TRY, "-o=json", "-f-", stdin=json.dumps(obj))

    return act


def apply(manifest: Obj, manager: str = "another") -> Act:
    """Server-side apply by another field manager, which takes over what it names."""
    options = ("--server-side", f"--field-manager={manager}", "--force-conflicts", TRY, "-o=json", "-f-")
    return lambda cast, who: does(cast, who, "apply", *options, stdin=json.dumps(manifest))


def delete(kind: str, name: str) -> Act:
    """`kubectl delete`."""
    return lambda cast, who: does(cast, who, "delete", cast.kind(kind), name, TRY)


def delete_collection(path: str) -> Act:
    """One request that deletes everything of a kind; kubectl itself deletes one by one."""
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
    return lambda cast, who: does(
        cast, who, "delete", f"--raw=/{path.format(namespace=cast.namespace)}", "-f-", stdin=json.dumps(options)
    )


def status(kind: str, name: str, body: Obj) -> Act:
    """`kubectl patch --subresource=status`."""
    return patch(kind, name, {"status": body}, "--subresource=status")


def scale(name: str) -> Act:
    """`kubectl scale`."""
    return lambda cast, who: does(cast, who, "scale", f"deployment/{name}", "--replicas=1", TRY)


def read(path: str) -> Act:
    """One GET, and nothing before it: kubectl loses the text of what is refused while it looks around."""
    return lambda cast, who: does(cast, who, "get", f"--raw=/{path}")


def execute(pod: str) -> Act:
    """`kubectl exec`."""
    return lambda cast, who: does(cast, who, "exec", pod, "--", "true")


def evict(name: str) -> Act:
    """What `kubectl drain` does to a pod."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name},
        "deleteOptions": {"dryRun": ["All"]},
    }
    return lambda cast, who: does(
        cast,
        who,
        "create",
        f"--raw=/api/v1/namespaces/{cast.namespace}/pods/{name}/eviction",
        "-f-",
        stdin=json.dumps(body | {"metadata": {"name": name, "namespace": cast.namespace}}),
    )


def outcome(cast: Cast, who: str, act: Act) -> str:
    """`allowed`, or who refused and why, in the chart's own names."""
    try:
        act(cast, who)
    except KubectlError as error:
        said = cast.installed.spoken(error.message).replace(cast.namespace, "risk")
        for mark in ("denied request: ", "is forbidden: "):
            if mark in said:
                policy = said.partition("ValidatingAdmissionPolicy 'modelyard-system.modelyard.")[2].partition("'")[0]
                return f"{policy or 'RBAC'}: {said.partition(mark)[2]}"
        return said
    return "allowed"
