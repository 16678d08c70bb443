"""The operator's rights, compared as a whole with the table of what it needs: one verb more fails here."""

from itertools import product

import pytest

from .helm import Helm, Manifest

Rights = set[tuple[str, str]]
"""(verb, resource with its group, resource name or nothing)."""

READ = ("get", "list", "watch")
WRITE = (*READ, "create", "patch", "delete")


def rights(*table: tuple[tuple[str, ...], tuple[str, ...]]) -> Rights:
    return {pair for verbs, resources in table for pair in product(verbs, resources)}


KINDS = tuple(f"{kind}.modelyard.dev" for kind in ("models", "modelversions", "approvals", "rollbacks"))
STATUSES = tuple(f"{kind}/status.modelyard.dev" for kind in ("models", "modelversions", "approvals", "rollbacks"))
IN_NAMESPACES = rights(
    (READ, KINDS),
    (("update",), STATUSES),
    (WRITE, ("deployments.apps", "services", "configmaps", "jobs.batch")),
    (READ, ("pods", "endpointslices.discovery.k8s.io")),
    (("create", "patch"), ("events",)),
)
LEASE = rights((("create",), ("leases.coordination.k8s.io",))) | rights(
    (("get", "update"), ("leases.coordination.k8s.io modelyard",))
)


CHANGE = ("create", "update", "patch", "delete", "deletecollection")


def stages(*names: str) -> tuple[str, ...]:
    """The virtual resources that the admission policies ask about."""
    return tuple(f"models/{name}.modelyard.dev" for name in names)


def granted(role: Manifest) -> Rights:
    """A role as a set of pairs, so that how its rules are grouped does not matter."""
    found: Rights = set()
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
        for verb, group, resource, name in product(
            rule["verbs"], rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""])
        ):
            found.add((verb, f"{resource}{'.' if group else ''}{group} {name}".rstrip()))
    return found


def roles(objects: list[Manifest]) -> dict[tuple[str, str, str], Rights]:
    """The roles bound to the operator: (kind, namespace, name) -> rights. Those of `helm test` are not, and those of
    the ledger have a test of their own."""
    others = ("test", "ledger")
    objects = [each for each in objects if each["metadata"]["labels"]["app.kubernetes.io/component"] not in others]
    by_name = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in objects
        if each["kind"] in ("Role", "ClusterRole")
    }
    bound = {}
    for binding in objects:
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": "modelyard", "namespace": "modelyard-system"}
            ]
            key = (binding["roleRef"]["kind"], binding["metadata"].get("namespace", ""), binding["roleRef"]["name"])
            bound[key] = granted(by_name[key])
    return bound


def test_all_namespaces(objects: list[Manifest]) -> None:
    assert roles(objects) == {
        ("ClusterRole", "", "modelyard-system:modelyard"): IN_NAMESPACES,
        ("Role", "modelyard-system", "modelyard-leader-election"): LEASE,
    }


def test_some_namespaces(helm: Helm) -> None:
    """Then it may do nothing anywhere else, nor to anything that belongs to no namespace."""
    objects = helm.render("--set=watchNamespaces={risk,search},rbac.userRoles=false")
    assert roles(objects) == {
        ("Role", "risk", "modelyard"): IN_NAMESPACES,
        ("Role", "search", "modelyard"): IN_NAMESPACES,
        ("Role", "modelyard-system", "modelyard-leader-election"): LEASE,
    }
    assert {each["kind"] for each in objects}.isdisjoint({"ClusterRole", "ClusterRoleBinding"})


def test_nothing_when_rights_are_given_elsewhere(helm: Helm) -> None:
    kinds = {each["kind"] for each in helm.render("--set=rbac.create=false")}
    assert kinds.isdisjoint({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


@pytest.mark.parametrize("arguments", [(), ("--set=watchNamespaces={risk}",)], ids=["everywhere", "one namespace"])
def test_no_role_has_a_wildcard_or_reaches_secrets(helm: Helm, arguments: tuple[str, ...]) -> None:
    """Of every role in the chart, the users' too."""
    for role in (each for each in helm.render(*arguments) if each["kind"] in ("Role", "ClusterRole")):
        words = {word for rule in role["rules"] for part in rule.values() for word in part}
        forbidden = {"*", "secrets", "impersonate", "escalate", "bind", "pods/exec"}
        assert words.isdisjoint(forbidden), role["metadata"]["name"]


def test_the_ledger_is_served_to_whom_rbac_allows(helm: Helm) -> None:
    """Everybody who is logged in gets through to the operator, and the operator may ask who that is."""
    serving = "--set=ledger.url=s3://records,clusterName=eu-1"
    objects = helm.render(serving)
    (role,) = (each for each in objects if each["kind"] == "Role" and each["metadata"]["name"] == "modelyard-ledger")
    finds = ("get", "configmaps modelyard-ledger")
    assert granted(role) == {finds, ("get", "services/proxy https:modelyard-ledger:https")}
    bindings = {
        (each["roleRef"]["name"], each["subjects"][0]["name"])
        for each in objects
        if each["kind"].endswith("Binding") and each["metadata"]["labels"]["app.kubernetes.io/component"] == "ledger"
    }
    assert bindings == {("modelyard-ledger", "system:authenticated"), ("system:auth-delegator", "modelyard")}
    unserved = helm.render(serving, "--set=ledger.service.enabled=false,watchNamespaces={risk},rbac.userRoles=false")
    (role,) = (each for each in unserved if each["kind"] == "Role" and each["metadata"]["name"] == "modelyard-ledger")
    assert granted(role) == {finds}
    assert {each["kind"] for each in unserved}.isdisjoint({"ClusterRole", "ClusterRoleBinding"})


USERS = {
    "viewer": (rights(), {"view", "edit", "admin"}),
    "auditor": (
        rights(
            (
                ("get", "list"),
                tuple(
                    f"{kind}.rbac.authorization.k8s.io"
                    for kind in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
                ),
            )
        ),
        set(),
    ),
    "registrar": (
        rights((CHANGE, ("modelversions.modelyard.dev",)), (("promote",), stages("staging", "archived"))),
        {"edit", "admin"},
    ),
    "reviewer": (
        rights((("create", "delete"), ("approvals.modelyard.dev",)), (("approve",), stages("staging", "production"))),
        set(),
    ),
    "promoter": (
        rights(
            (("update", "patch"), ("models.modelyard.dev", "modelversions.modelyard.dev")),
            (("promote",), stages("staging", "production", "archived")),
        ),
        {"admin"},
    ),
    "oncall": (
        rights((("create",), ("rollbacks.modelyard.dev",)), (("rollback",), stages("staging", "production"))),
        {"admin"},
    ),
    "editor": (
        rights((CHANGE, ("models.modelyard.dev",)), (("configure",), stages("staging", "production"))),
        {"admin"},
    ),
}
"""By role: what it may beyond reading, and the built-in roles that it joins."""


def test_what_users_get(objects: list[Manifest]) -> None:
    """Nobody gets status; approving joins no built-in role; what consumers use is not for whoever may edit."""
    found = {
        each["metadata"]["name"].removeprefix("modelyard-"): (granted(each), aggregated(each))
        for each in objects
        if each["kind"] == "ClusterRole"
        and each["metadata"]["name"].startswith("modelyard-")
        and each["metadata"]["labels"]["app.kubernetes.io/component"] == "user-roles"
    }
    every = rights((READ, KINDS), (("get", "list"), stages("ledger")))
    assert found == {name: (every | more, joins) for name, (more, joins) in USERS.items()}


def test_what_helm_test_may_do(objects: list[Manifest]) -> None:
    """Create Approvals, which nobody counts: it lacks the verb that the policies ask for."""
    (role,) = (each for each in objects if each["kind"] == "Role" and each["metadata"]["name"] == "modelyard-test")
    assert granted(role) == {("create", "approvals.modelyard.dev")}


def aggregated(role: Manifest) -> set[str]:
    """The built-in roles that Kubernetes adds this one to."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {label.removeprefix(prefix) for label in role["metadata"]["labels"] if label.startswith(prefix)}
