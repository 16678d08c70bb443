"""The example of policies for a tenant's namespace: Kubernetes takes it, and it selects what the operator makes."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from modelyard.api import names
from tests.checkout import ROOT
from tests.kube import Kube

EXAMPLE = ROOT / "examples" / "network-policies.yaml"
OURS = {
    "app.kubernetes.io/part-of": {"modelyard"},
    names.LABEL_JOB: {"verify", "check", "gate"},
    names.LABEL_REVISION: {None},
}
"""Labels of the pods that come of a Model, as tests/unit/decide finds them there."""


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(EXAMPLE.read_text()))


@pytest.mark.api
def test_kubernetes_takes_it(cluster: Kube, namespace: str) -> None:
    own = [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in documents()]
    assert len(cluster.within(namespace).create(yaml.safe_dump_all(own))) == len(own)


def test_it_selects_pods_by_labels_that_they_have() -> None:
    chosen = list(selected())
    assert {name for name, _ in chosen} == set(OURS)
    assert all(value in OURS[name] for name, value in chosen)


def selected() -> Iterator[tuple[str, str | None]]:
    for policy in documents():
        spec = policy["spec"]
        peers = [peer for rule in spec.get("egress", ()) for peer in rule.get("to", ())]
        peers += [peer for rule in spec.get("ingress", ()) for peer in rule.get("from", ())]
        for selector in [spec["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]:
            yield from selector.get("matchLabels", {}).items()
            yield from ((each["key"], None) for each in selector.get("matchExpressions", ()))


def test_no_policy_opens_the_way_to_the_metadata_of_a_cloud() -> None:
    text = EXAMPLE.read_text()
    rules = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert "ipBlock" not in rules
    assert "169.254" not in rules
    assert documents()[0]["spec"]["policyTypes"] == ["Ingress", "Egress"]
