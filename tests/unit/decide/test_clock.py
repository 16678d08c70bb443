"""Decisions by a clock that goes wrong: another leader's, or the same before and after it was set right."""

from datetime import timedelta

import pytest

from tests.unit.decide.simulation import Cluster

AHEAD = timedelta(seconds=400)
BEHIND = timedelta(minutes=50)
"""More than a deadline."""


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


def test_a_candidate_has_its_time_though_the_clock_was_behind_when_it_began(cluster: Cluster) -> None:
    cluster.broken.add("2")
    cluster.now -= BEHIND
    cluster.version("2")
    cluster.settle(1)
    assert cluster.request("2")[0] == "Deploying"
    cluster.now += BEHIND
    cluster.clock_set_forth_at = cluster.now
    cluster.settle(1)
    assert cluster.request("2")[0] == "Deploying"
    cluster.settle(600)
    assert cluster.request("2") == ("Failed", "ProgressDeadlineExceeded")
