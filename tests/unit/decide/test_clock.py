"""Decisions by a clock that goes wrong: another leader's, or the same before and after it was set right."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.decide.simulation import SERVER, Cluster, stamp

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


def set_right(cluster: Cluster) -> None:
    """A clock that was behind is noticed to have the right time by now."""
    cluster.now += BEHIND
    cluster.clock_set_forth_at = cluster.now


def test_warm_pods_are_restarted_once_though_the_clock_was_ahead_when_they_were_replaced(cluster: Cluster) -> None:
    cluster.now += AHEAD
    cluster.version("2")
    while cluster.live() != "2":
        cluster.step()
    cluster.now -= AHEAD
    cluster.settle(310)
    assert is_restarted(cluster, "1")


def test_a_candidate_has_its_time_though_the_clock_was_behind_when_it_began(cluster: Cluster) -> None:
    cluster.broken.add("2")
    cluster.now -= BEHIND
    cluster.version("2")
    cluster.settle(1)
    assert cluster.request("2")[0] == "Deploying"
    set_right(cluster)
    cluster.settle(1)
    assert cluster.request("2")[0] == "Deploying"
    cluster.settle(600)
    assert cluster.request("2") == ("Failed", "ProgressDeadlineExceeded")


def test_a_gate_has_its_time_though_the_clock_was_behind_when_its_job_started(cluster: Cluster) -> None:
    job = started_job(cluster)
    cluster.now -= BEHIND
    job["status"] = {"startTime": stamp(cluster.now)}
    set_right(cluster)
    cluster.settle(1)
    assert cluster.gates("2")["slices"][0] == "Running"
    cluster.settle(1800)
    assert cluster.gates("2")["slices"] == ("Error", "TimedOut")


def test_what_a_gate_left_is_waited_for_though_the_clock_was_behind_when_its_job_ended(cluster: Cluster) -> None:
    job = started_job(cluster)
    cluster.now -= BEHIND
    done = {"type": "Complete", "status": "True", "lastTransitionTime": stamp(cluster.now)}
    job["status"] = {"conditions": [done]}
    set_right(cluster)
    cluster.settle(1)
    assert cluster.gates("2")["slices"][0] == "Running"
    cluster.settle(60)
    assert cluster.gates("2")["slices"] == ("Error", "PodLost")


def started_job(cluster: Cluster) -> dict[str, Any]:
    """The Job of a gate of version 2, which nothing is known of yet."""
    cluster.hanging.add("slices")
    job = {"template": {"spec": {"containers": [{"name": "gate", "image": "gates"}]}}, "timeout": "30m"}
    cluster.model(stages=[{"name": "production", "gates": [{"name": "slices", "job": job, "checks": ["true"]}]}])
    cluster.version("2")
    cluster.settle(1)
    (job,) = cluster.jobs("slices")
    return job


def test_what_served_is_not_touched_early_though_the_clock_was_behind_at_the_switch(cluster: Cluster) -> None:
    cluster.model(serving={"template": SERVER, "keepWarm": {"for": "0s"}})
    cluster.now -= BEHIND
    cluster.version("2")
    while cluster.live() != "2":
        cluster.step()
    cluster.step()
    set_right(cluster)
    cluster.settle(4)
    assert cluster.replicas("1") == [1]
    cluster.settle(1)
    assert cluster.replicas("1") == [0]


def test_warm_pods_serve_their_clients_on_though_the_clock_was_behind_at_the_switch(cluster: Cluster) -> None:
    cluster.model(serving={"template": SERVER, "keepWarm": {"for": "2h"}})
    cluster.now -= BEHIND
    cluster.version("2")
    cluster.settle(10)
    set_right(cluster)
    cluster.settle(290)
    assert not is_restarted(cluster, "1")
    cluster.settle(15)
    assert is_restarted(cluster, "1")


def is_restarted(cluster: Cluster, version: str) -> bool:
    metadata = cluster.deployment(version)["spec"]["template"]["metadata"]
    return "modelyard.dev/restarted-at" in metadata.get("annotations", {})
