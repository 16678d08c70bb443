"""The operator as a process on a real API server: it starts, watches, writes, hands over and stops."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api_runtime.conftest import Process
from tests.kube import Kube

pytestmark = pytest.mark.api

Start = Callable[..., Process]
MODEL: dict[str, Any] = {
    "apiVersion": "modelyard.dev/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "fraud"},
    "spec": {"description": "Scores card payments."},
}


def version(number: str) -> dict[str, Any]:
    return {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"fraud-{number}"},
        "spec": {"model": "fraud", "version": number, "artifact": {"uri": f"s3://models/fraud/{number}/"}},
    }


def summary(live: str, services: str = "fraud-staging") -> Callable[[dict[str, Any]], bool]:
    wanted = {"live": live, "reason": services}
    return lambda model: model.get("status", {}).get("summary") == wanted


def lease_holder(here: Kube) -> str:
    return str(here.get("lease", "modelyard")["spec"].get("holderIdentity", ""))


def messages(process: Process) -> list[str]:
    return [json.loads(line)["message"] for line in process.log.read_text().splitlines()]


def test_from_start_to_stop(here: Kube, operator: Start) -> None:
    here.create(MODEL)
    here.create(version("1"))
    process = operator()
    process.until_leading()
    assert process.get("/readyz") == (200, "ok\n")
    assert process.get("/livez") == (200, "ok\n")
    here.wait("model", "fraud", summary("fraud-1"), what="what was there at the start")

    here.create(version("2"))
    here.wait("model", "fraud", summary("fraud-1 fraud-2"), what="what came later")
    here.delete("modelversion", "fraud-1")
    here.wait("model", "fraud", summary("fraud-2"), what="what went")
    (event,) = here.events("fraud")
    assert (event["reason"], event["count"]) == ("Seen", 3)
    assert process.metric('modelyard_writes_total{kind="Model",verb="apply"}') == 3

    code, took = process.stop()
    assert code == 0
    assert took < 5
    assert lease_holder(here) == ""
    assert messages(process)[-2:] == ["lease released", "operator stopped"]


def test_an_object_of_ours_that_somebody_deletes_comes_back(here: Kube, operator: Start) -> None:
    here.create(MODEL)
    process = operator()
    process.until_leading()
    first = here.wait("service", "fraud-staging", lambda service: True)
    here.delete("service", "fraud-staging")

    here.wait("service", "fraud-staging", lambda service: service["metadata"]["uid"] != first["metadata"]["uid"])


def test_a_foreign_object_in_the_way_is_left_alone(here: Kube, operator: Start) -> None:
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud-staging"}}
    here.create(foreign | {"spec": {"ports": [{"port": 80}]}})
    here.create(MODEL)
    operator().until_leading()

    here.wait("model", "fraud", summary("", services=""), what="the decision knows of the conflict")
    assert "labels" not in here.get("service", "fraud-staging")["metadata"]


def test_nothing_is_written_when_nothing_changed_but_the_lease(here: Kube, operator: Start) -> None:
    here.create(MODEL)
    process = operator()
    here.wait("model", "fraud", summary(""))
    process.until(lambda: process.metric('modelyard_writes_total{kind="Event"') == 1, "everything written")

    def renewals() -> float:
        return process.metric('modelyard_writes_total{kind="Lease",verb="update"}')

    before, begun = process.metric("modelyard_writes_total") - renewals(), renewals()
    process.until(lambda: renewals() >= begun + 3, "the lease is renewed", within=20)

    assert process.metric("modelyard_writes_total") - renewals() == before


def test_a_standby_is_ready_writes_nothing_and_takes_over_at_once(here: Kube, operator: Start) -> None:
    first = operator("first")
    first.until_leading()
    second = operator("second")
    second.until_ready()
    here.create(MODEL)
    here.wait("model", "fraud", summary(""))
    assert second.metric("modelyard_leading") == 0
    assert second.metric("modelyard_writes_total") == 0
    assert lease_holder(here) == "first"

    assert first.stop()[0] == 0
    second.until(lambda: second.metric("modelyard_leading") == 1, "taken over", within=5)
    here.create(version("1"))
    here.wait("model", "fraud", summary("fraud-1"))
    assert lease_holder(here) == "second"


def test_a_process_whose_lease_is_taken_leaves(here: Kube, operator: Start) -> None:
    process = operator()
    process.until_leading()
    here.patch("lease", "modelyard", {"spec": {"holderIdentity": "somebody"}})

    assert process.popen.wait(15) == 1
    assert messages(process)[-1] == "lease lost, leaving"
    assert lease_holder(here) == "somebody"


def test_an_interrupt_before_the_world_was_read_ends_it_cleanly(here: Kube, operator: Start, namespace: str) -> None:
    process = operator(watchNamespaces=[namespace])
    process.until(lambda: process.get("/livez")[0] == 200, "alive")

    assert process.stop(signal.SIGINT)[0] == 0


def test_a_mistake_in_the_settings_ends_it_with_a_sentence(operator: Start) -> None:
    process = operator(workers="many")

    assert process.popen.wait(15) == 2
    assert "workers: input should be a valid integer" in process.log.read_text()


def test_no_cluster_ends_it_with_a_sentence(operator: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.api_runtime.conftest.find_kubeconfig", lambda: tmp_path / "absent")
    process = operator()

    assert process.popen.wait(15) == 1
    assert messages(process)[-1] == "no access to a cluster"
