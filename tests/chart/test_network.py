"""Who may reach the operator, and whom it may reach: the chart's NetworkPolicy, as `helm install` would send it."""

from typing import Any

import pytest

from .helm import Helm
from .test_render import one

LEDGER = "clusterName=west,ledger.url=s3://records/x,ledger.secretName=ledger-s3"
DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
API_SERVER = {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}


def policy(helm: Helm, *settings: str) -> dict[str, Any]:
    found = one(
        helm.render("--set=networkPolicy.enabled=true", *(f"--set={each}" for each in settings)), "NetworkPolicy"
    )
    spec: dict[str, Any] = found["spec"]
    return spec


def test_nothing_but_probes_and_metrics_comes_in_and_the_api_server_is_all_that_is_asked(helm: Helm) -> None:
    spec = policy(helm)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert spec["egress"] == [DNS, API_SERVER]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("", 443),
        ("https://minio.storage.svc:9000", 9000),
        ("https://minio.example.com/", 443),
        ("http://minio.storage.svc", 80),
        ("http://[fd00::1]:9000", 9000),
    ],
)
def test_a_ledger_is_reached_and_asked(helm: Helm, endpoint: str, port: int) -> None:
    spec = policy(helm, LEDGER, f"ledger.endpoint={endpoint}")
    assert spec["ingress"][1] == {"ports": [{"port": "ledger", "protocol": "TCP"}]}
    assert spec["egress"] == [DNS, API_SERVER, {"ports": [{"port": port, "protocol": "TCP"}]}]


def test_a_ledger_that_is_not_served_or_on_a_volume_opens_nothing(helm: Helm) -> None:
    assert len(policy(helm, LEDGER, "ledger.service.enabled=false")["ingress"]) == 1
    volume = policy(helm, "clusterName=west,ledger.url=file:///ledger/x,ledger.claimName=volume")
    assert volume["egress"] == [DNS, API_SERVER]


def test_both_can_be_narrowed_to_where_they_are(helm: Helm) -> None:
    spec = policy(
        helm,
        LEDGER,
        "networkPolicy.apiServerTo[0].ipBlock.cidr=10.0.0.1/32",
        "networkPolicy.ledgerTo[0].namespaceSelector.matchLabels.team=storage",
    )
    assert spec["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    assert spec["egress"][2]["to"] == [{"namespaceSelector": {"matchLabels": {"team": "storage"}}}]
