"""A right in one namespace is none in another, for people who may write everything there as far as RBAC goes."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from tests.kube import Kube

from .acts import create, outcome
from .cast import WRITES, Act, Cast, approval, binding, model, own_role, rollback, version
from .conftest import until_refused

pytestmark = pytest.mark.api

REFUSED_BY: dict[tuple[str, str], Act] = {
    ("bob", "promote-versions"): create(version("fraud-9", "production")),
    ("carol", "approve"): create(approval("a")),
    ("dave", "rollback"): create(rollback("b")),
    ("erin", "configure"): create(model("mine")),
}
"""Who holds the verb next door, and the policy that asks for it here."""


@pytest.fixture(scope="module")
def elsewhere(cast: Cast, cluster: Kube) -> Iterator[Cast]:
    """Another namespace under the same policies, where the same people have all of RBAC's verbs and none of ours."""
    rules = [{"apiGroups": [cast.installed.group], "resources": ["*"], "verbs": WRITES}]
    with cluster.own_namespace("elsewhere", {cast.installed.label: ""}) as here:
        assert here.namespace
        people = [binding(f"{who}-writes", "User", who, "writes", "Role") for who, _ in REFUSED_BY]
        here.create(yaml.safe_dump_all([own_role("writes", rules), *people]))
        other = replace(cast, namespace=here.namespace)
        until_refused(other, REFUSED_BY)
        yield other


@pytest.mark.parametrize(("who", "policy"), REFUSED_BY)
def test_a_right_ends_with_its_namespace(cast: Cast, elsewhere: Cast, who: str, policy: str) -> None:
    act = REFUSED_BY[who, policy]
    assert outcome(elsewhere, who, act).startswith(f"{policy}: {cast.known_as(who)} may not")
    if who != "erin":  # who makes Models at home as well, but not under this name
        assert outcome(cast, who, act) == "allowed"
