"""The operator as a process on a real API server: it starts, watches, writes, hands over and stops."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api_runtime.conftest import Process
from tests.definitions import define, new_group, undefine
from tests.kube import OPERATOR_REACTS, Kube

pytestmark = pytest.mark.api

Start = Callable[..., Process]


class Registry:
    """One Model in a namespace, as its user sees it."""

    def __init__(self, here: Kube, group: str) -> None:
        self.here = here
        self._group = group

    def add_model(self) -> None:
        self._create("Model", "fraud", {"description": "Scores card payments."})

    def add_version(self, number: str) -> None:
        spec = {"model": "fraud", "version": number, "artifact": {"uri": f"s3://models/fraud/{number}/"}}
        self._create("ModelVersion", f"fraud-{number}", spec)

    def delete_version(self, number: str) -> None:
        self.here.delete(f"modelversions.{self._group}", f"fraud-{number}")

    def shows(self, versions: str, services: str = "fraud-staging", what: str = "") -> None:
        """Wait until the operator has written that it sees exactly these."""
        wanted = {"live": versions, "reason": services}

        def holds(model: dict[str, Any]) -> bool:
            return bool(model.get("status", {}).get("summary") == wanted)

        self.here.wait(f"models.{self._group}", "fraud", holds, what=what)

    def lease_holder(self) -> str:
        return str(self.here.get("lease", "modelyard")["spec"].get("holderIdentity", ""))

    def _create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        api_version = f"{self._group}/v1alpha1"
        self.here.create({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def registry(here: Kube, group: str) -> Registry:
    return Registry(here, group)


def messages(process: Process) -> list[str]:
    return [json.loads(line)["message"] for line in process.log.read_text().splitlines()]


def test_from_start_to_stop(registry: Registry, here: Kube, operator: Start) -> None:
    registry.add_model()
    registry.add_version("1")
    process = operator()
    process.until_leading()
    assert process.get("/readyz") == (200, "ok\n")
    assert process.get("/livez") == (200, "ok\n")
    registry.shows("fraud-1", what="what was there at the start")

    registry.add_version("2")
    registry.shows("fraud-1 fraud-2", what="what came later")
    registry.delete_version("1")
    registry.shows("fraud-2", what="what went")
    (event,) = here.events("fraud")
    assert event["reason"] == "Seen"
    here.wait("event", event["metadata"]["name"], lambda seen: seen["count"] == 3, OPERATOR_REACTS)
    assert process.metric('modelyard_writes_total{kind="Model",verb="update"}') == 3

    code, took = process.stop()
    assert code == 0
    assert took < 5
    assert registry.lease_holder() == ""
    assert messages(process)[-2:] == ["lease released", "operator stopped"]


def test_an_object_of_ours_that_somebody_deletes_comes_back(registry: Registry, here: Kube, operator: Start) -> None:
    registry.add_model()
    process = operator()
    process.until_leading()
    first = here.wait("service", "fraud-staging", lambda service: True)
    here.delete("service", "fraud-staging")

    here.wait("service", "fraud-staging", lambda service: service["metadata"]["uid"] != first["metadata"]["uid"])


def test_a_foreign_object_in_the_way_is_left_alone(registry: Registry, here: Kube, operator: Start) -> None:
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud-staging"}}
    here.create(foreign | {"spec": {"ports": [{"port": 80}]}})
    registry.add_model()
    operator().until_leading()

    registry.shows("", services="", what="the decision knows of the conflict")
    assert "labels" not in here.get("service", "fraud-staging")["metadata"]


def test_nothing_is_written_when_nothing_changed_but_the_lease(registry: Registry, operator: Start) -> None:
    registry.add_model()
    process = operator()
    registry.shows("")
    process.until(lambda: process.metric('modelyard_writes_total{kind="Event"') == 1, "everything written")

    def renewals() -> float:
        return process.metric('modelyard_writes_total{kind="Lease",verb="update"}')

    before, begun = process.metric("modelyard_writes_total") - renewals(), renewals()
    process.until(lambda: renewals() >= begun + 3, "the lease is renewed", within=20)

    assert process.metric("modelyard_writes_total") - renewals() == before


def test_a_standby_is_ready_writes_nothing_and_takes_over_at_once(
    registry: Registry, here: Kube, operator: Start
) -> None:
    first = operator("first")
    first.until_leading()
    second = operator("second")
    second.until_ready()
    registry.add_model()
    registry.shows("")
    assert second.metric("modelyard_leading") == 0
    assert second.metric("modelyard_writes_total") == 0
    assert registry.lease_holder() == "first"

    assert first.stop()[0] == 0
    second.until(lambda: second.metric("modelyard_leading") == 1, "taken over", within=5)
    registry.add_version("1")
    registry.shows("fraud-1")
    assert registry.lease_holder() == "second"


def test_a_process_whose_lease_is_taken_leaves(registry: Registry, here: Kube, operator: Start) -> None:
    process = operator()
    process.until_leading()
    here.patch("lease", "modelyard", {"spec": {"holderIdentity": "somebody"}})

    assert process.popen.wait(15) == 1
    assert messages(process)[-1] == "lease lost, leaving"
    assert registry.lease_holder() == "somebody"


def test_a_process_that_was_frozen_finds_that_others_took_over(registry: Registry, operator: Start) -> None:
    registry.add_model()
    first = operator("first")
    first.until_leading()
    registry.shows("")
    second = operator("second")
    second.until_ready()
    first.popen.send_signal(signal.SIGSTOP)
    second.until(lambda: second.metric("modelyard_leading") == 1, "taken over", within=30)
    registry.add_version("1")
    registry.shows("fraud-1")
    first.popen.send_signal(signal.SIGCONT)

    assert first.popen.wait(15) == 1
    assert "lease lost, leaving" in messages(first)
    assert registry.lease_holder() == "second"


def test_missing_crds_are_waited_for(kube: Kube, here: Kube, operator: Start) -> None:
    group = new_group()
    process = operator(within=group)
    process.until(lambda: "waiting for custom resource definitions" in process.log.read_text(), "told what is missing")
    assert process.get("/livez") == (200, "ok\n")
    assert process.get("/readyz") == (503, "the cluster was not read yet\n")
    try:
        define(kube, group)
        process.until_ready()
        registry = Registry(here, group)
        registry.add_model()
        registry.shows("")
    finally:
        undefine(kube, group)


def test_a_process_whose_crds_are_deleted_gives_its_lease_back_and_leaves(kube: Kube, operator: Start) -> None:
    group = new_group()
    define(kube, group)
    process = operator(within=group)
    process.until_leading()
    undefine(kube, group)

    assert process.popen.wait(60) == 1
    assert {"lease released", "operator cannot go on, leaving"} <= set(messages(process))


def test_a_signal_while_it_waits_ends_it_cleanly(operator: Start) -> None:
    process = operator(within=new_group())
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
