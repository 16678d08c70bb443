"""Decisions by a clock that goes wrong: another leader's, or the same before and after it was set right."""

from datetime import timedelta

import pytest

from tests.unit.decide.simulation import Cluster

AHEAD = timedelta(seconds=400)


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.model()
    made.version("1")
    made.settle(10)
    return made


def test_warm_pods_are_restarted_once_though_the_clock_was_ahead_when_they_were_replaced(cluster: Cluster) -> None:
    cluster.now += AHEAD
    cluster.version("2")
    while cluster.live() != "2":
        cluster.step()
    cluster.now -= AHEAD
    cluster.settle(310)

    template = cluster.deployment("1")["spec"]["template"]
    assert "modelyard.dev/restarted-at" in template["metadata"]["annotations"]
