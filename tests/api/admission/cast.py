"""The people, the rights and the objects that the authorization table is about.

One namespace called risk (with a random suffix), where the Model fraud serves; what the operator would have made and
written stands there as it would have left it. Nobody here is an administrator but `root`.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import yaml
from dev.cluster.access import PEOPLE

from modelyard.api.names import GROUP, VERSION
from tests.kube import Kube, Obj

from .installed import Installed

DIGEST = f"sha256:{'0' * 64}"
RBAC = "rbac.authorization.k8s.io"

WRITES = ["get", "list", "create", "update", "patch", "delete", "deletecollection"]


@dataclass(frozen=True)
class Cast:
    """The namespace, and everybody who acts in it."""

    installed: Installed
    namespace: str

    def as_(self, who: str) -> Kube:
        """kubectl of a person, with a token of their own where the cluster has one; others are impersonated by root.

        `eve as alice` is eve, who uses her right to act as alice.
        """
        who, _, other = who.partition(" as ")
        if other:
            return self.as_(who).as_user(self.names.get(other, other), *PEOPLE.get(other, []))
        root = replace(self.installed.kube, namespace=self.namespace)
        if who == "root":
            return root
        token = root.kubeconfig.parent / "users" / f"{who}.kubeconfig"
        if who in PEOPLE and token.is_file():
            return replace(root, kubeconfig=token)
        groups = {**PEOPLE, "velero": ["backups"], "node": ["system:nodes"]}
        return root.as_user(self.names.get(who, who), *groups.get(who, []))

    def known_as(self, who: str) -> str:
        """What the API server calls them."""
        name = who.rpartition(" as ")[2]
        spoken = self.installed.spoken(self.names.get(name, name)).replace(self.namespace, "risk")
        return "admin" if spoken == "root" else spoken

    @property
    def names(self) -> dict[str, str]:
        """The full names of those who are no people."""
        return {
            "operator": self.installed.operator,
            "ci": f"system:serviceaccount:{self.namespace}:ci",
            "argocd": "system:serviceaccount:argocd:argocd-application-controller",
            "replicasets": "system:serviceaccount:kube-system:replicaset-controller",
            "garbage": "system:serviceaccount:kube-system:generic-garbage-collector",
        }

    def kind(self, kind: str) -> str:
        """What kubectl calls a kind: those of Modelyard by their group, beside others of the same name."""
        ours = ("model", "modelversion", "approval", "rollback")
        return f"{kind}s.{self.installed.group}" if kind in ours else kind

    def own(self, manifest: Obj) -> str:
        """A manifest as JSON, in the group of this installation."""
        return json.dumps(manifest).replace(GROUP, self.installed.group)


def custom(kind: str, name: str, spec: Obj, **metadata: Any) -> Obj:
    """An object of one of Modelyard's kinds."""
    metadata = {"name": name, **metadata}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, "spec": spec}


def model(name: str, **spec: Any) -> Obj:
    """A Model with the usual two stages and no server."""
    return custom("Model", name, {"stages": [{"name": "staging"}, {"name": "production"}], **spec})


def version(name: str, stage: str | None = None, **metadata: Any) -> Obj:
    """A version `<model>-<version>`, asking for a stage or for none."""
    of, _, number = name.rpartition("-")
    spec = {"model": of, "version": number, "artifact": {"uri": f"s3://models/{of}/{number}/"}}
    return custom("ModelVersion", name, spec | ({"stage": stage} if stage else {}), **metadata)


def approval(name: str, stage: str = "production", of: str = "fraud", **metadata: Any) -> Obj:
    """An Approval of version 2."""
    spec = {"model": of, "version": "2", "stage": stage, "digest": DIGEST, "decision": "Approve"}
    return custom("Approval", name, spec, **metadata)


def rollback(name: str, stage: str = "production", of: str = "fraud", **metadata: Any) -> Obj:
    """A Rollback."""
    return custom("Rollback", name, {"model": of, "stage": stage, "reason": "INC-1"}, **metadata)


OURS = {
    "app.kubernetes.io/managed-by": "modelyard",
    f"{GROUP}/model": "fraud",
    f"{GROUP}/stage": "production",
    f"{GROUP}/revision": "abc",
}
GATE_POD = "fraud-gate-0123456789abcdef-x7k2p"
"""Named as a gate's Job and Kubernetes name it; tests/chart/test_admission.py compares with the operator's names."""
SELECTOR = {key: value for key, value in OURS.items() if key.startswith(GROUP)}
POD: Obj = {
    "schedulingGates": [{"name": "example.com/never"}],  # admitted and stored, and never started
    "containers": [{"name": "server", "image": "modelyard:dev"}],
}


def pod(name: str, labels: Obj) -> Obj:
    """A pod that no node ever starts."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": POD}


def deployment(name: str, labels: Obj, pods: Obj) -> Obj:
    """A Deployment without pods."""
    template = {"metadata": {"labels": pods}, "spec": POD}
    spec = {"replicas": 0, "selector": {"matchLabels": pods}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


def service(name: str, labels: Obj, selector: Obj) -> Obj:
    """A Service with one port."""
    spec = {"selector": selector, "ports": [{"port": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": spec}


def configmap(name: str, labels: Obj) -> Obj:
    """A ConfigMap."""
    data = {"version": "1"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}


def job(name: str, labels: Obj, pods: Obj) -> Obj:
    """A Job that is suspended, so that it makes no pod."""
    template = {"metadata": {"labels": pods}, "spec": POD | {"restartPolicy": "Never"}}
    spec = {"suspend": True, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec}


def cronjob(name: str, pods: Obj) -> Obj:
    """A CronJob that makes pods with these labels, once a year."""
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job(name, {}, pods)["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


USERS_OBJECTS = [
    model("fraud"),
    model("spam"),
    model("idle"),
    model("wide", stages=[{"name": f"stage{number}"} for number in range(16)]),
    custom("Model", "doomed", {}, annotations={f"{GROUP}/allow-deletion": "true"}),
    model("unrecorded"),
    custom("Model", "unheard", {}, annotations={f"{GROUP}/allow-deletion": "true"}),
    custom("Model", "unmissed", {}, annotations={f"{GROUP}/allow-deletion": "unrecorded"}),
    model("quiet", requireReason=True),
    model("pinned", stages=[{"name": "staging"}, {"name": "production", "version": "1"}]),
    version("fraud-1", "production"),
    version("fraud-2", "staging"),
    version("fraud-3"),
    version("fraud-4"),
    version("spam-1"),
    version("quiet-1"),
    approval("yes"),
    rollback("back"),
    pod("mine", {"app": "mine"}),
    deployment("mine", {"app": "mine"}, {"app": "mine"}),
    service("mine", {"app": "mine"}, {"app": "mine"}),
]
OPERATORS_OBJECTS = [
    pod("fraud-pod", OURS),
    pod(GATE_POD, {**OURS, f"{GROUP}/job": "gate"}),
    deployment("fraud-production-abc", OURS, SELECTOR),
    service("fraud-production", OURS, SELECTOR),
    configmap("fraud-production", OURS),
    job("fraud-2-verify", {**OURS, f"{GROUP}/job": "verify"}, {**OURS, f"{GROUP}/job": "verify"}),
]
LEDGER_DOWN = {
    "conditions": [
        {
            "type": "LedgerSynced",
            "status": "False",
            "reason": "LedgerUnavailable",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "ledger": {"outbox": [{"ordinal": 1, "entry": {}}, {"ordinal": 2, "entry": {}}]},
}
SERVING = {"stages": [{"name": "production", "current": {"version": "1"}}]}
STATUSES = {
    ("model", "fraud"): SERVING,
    ("model", "doomed"): SERVING,
    ("model", "unrecorded"): LEDGER_DOWN,
    ("model", "unheard"): {**SERVING, **LEDGER_DOWN},
    ("model", "unmissed"): {**SERVING, **LEDGER_DOWN},
    ("modelversion", "fraud-1"): {"stages": [{"name": "production"}]},
    ("modelversion", "fraud-4"): {"stages": [{"name": "staging"}, {"name": "production"}]},
}


def give_rights(cast: Cast) -> None:
    """Give everybody their rights in the namespace."""
    cast.as_("root").run("apply", "--filename=-", stdin=yaml.safe_dump_all(rights(cast)))


def populate(cast: Cast) -> None:
    """Put everything in place, each thing by whoever would have made it."""
    root, operator = cast.as_("root"), cast.as_("operator")
    root.create("\n---\n".join(map(cast.own, USERS_OBJECTS)))
    for manifest in OPERATORS_OBJECTS:
        operator.create(cast.own(manifest))
    for (kind, name), status in STATUSES.items():
        operator.patch(cast.kind(kind), name, {"status": status}, subresource="status")


def rights(cast: Cast) -> Iterable[Obj]:
    """The chart's roles, Kubernetes' own, and a few of a cluster administrator's own making, to each their people."""
    role = cast.installed.role
    group = cast.installed.group
    for name, kind, to in (
        ("risk-ml", "Group", "registrar"),
        ("reviewers", "Group", "reviewer"),
        ("oncall", "Group", "oncall"),
        ("bob", "User", "promoter"),
        ("eve", "User", "viewer"),
        ("erin", "User", "editor"),
        ("argocd", "User", "promoter"),
    ):
        subject = "system:serviceaccount:argocd:argocd-application-controller" if name == "argocd" else name
        yield binding(f"{name}-{to}", kind, subject, role(to))
    yield binding("edith", "User", "edith", "edit")
    yield binding("adam", "User", "adam", "admin")
    # May act as alice and as ci, whatever they may.
    yield own_role("ci-stand-in", [impersonation("serviceaccounts", "ci")])
    yield binding("ci-stand-in", "User", "eve", "ci-stand-in", "Role")
    # The operator's rights are tested elsewhere (tests/chart/test_rbac.py); here only who it is counts.
    yield binding("operator", "User", cast.installed.operator, "cluster-admin")
    yield binding("node", "User", "node", "cluster-admin")
    yield binding("velero", "Group", "backups", "cluster-admin")
    ci = f"system:serviceaccount:{cast.namespace}:ci"
    yield binding("ci", "User", ci, role("registrar"))
    # May write everything there is, status and all, but has none of Modelyard's verbs.
    yield own_role("writer", [{"apiGroups": ["*"], "resources": ["*"], "verbs": WRITES}])
    yield binding("mallory", "User", "mallory", "writer", "Role")
    # May promote one Model, and to production alone.
    yield own_role(
        "fraud-to-production",
        [
            {
                "apiGroups": [group],
                "resources": ["modelversions"],
                "verbs": ["get", "create", "update", "patch", "delete"],
            },
            {
                "apiGroups": [group],
                "resources": ["models/production"],
                "resourceNames": ["fraud"],
                "verbs": ["promote"],
            },
        ],
    )
    yield binding("frank", "User", "frank", "fraud-to-production", "Role")


def stand_in(cast: Cast) -> list[Obj]:
    """The right to act as alice, who belongs to no namespace, for eve."""
    name = f"{cast.namespace}-alice-stand-in"
    role = own_role(name, [impersonation("users", "alice"), impersonation("groups", "risk-ml")])
    bound = binding(name, "User", "eve", name)
    return [role | {"kind": "ClusterRole"}, bound | {"kind": "ClusterRoleBinding"}]


def impersonation(resource: str, name: str) -> Obj:
    """A rule that lets act as one other."""
    return {"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": ["impersonate"]}


def own_role(name: str, rules: list[Obj]) -> Obj:
    """A Role."""
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}


def binding(name: str, kind: str, subject: str, role: str, role_kind: str = "ClusterRole") -> Obj:
    """A role for somebody, in this namespace."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": kind, "name": subject}],
    }


Act = Callable[[Cast, str], str]
"""Something a person does; what kubectl answers."""
