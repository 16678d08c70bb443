"""The helper that all cluster tests wait with: it sees what comes, and fails with what a person needs to know."""

import threading
import time
from dataclasses import replace

import pytest

from tests.api.conftest import Registry
from tests.api.manifests import Obj, full
from tests.checkout import find_kubeconfig
from tests.kube import API_SETTLES, KubectlError, Timeout, condition, has_condition

pytestmark = pytest.mark.api

SOON = Timeout("a moment", 2)


def described(obj: Obj) -> bool:
    return bool(obj["spec"]["description"] == "changed")


def test_a_wait_ends_when_the_change_comes(registry: Registry) -> None:
    kind = registry.resource("Model")
    registry.create(full("Model"))
    change = threading.Timer(0.5, registry.patch, (full("Model"), {"spec": {"description": "changed"}}))
    change.start()
    assert registry.kube.wait(kind, "fraud", described, API_SETTLES)["spec"]["description"] == "changed"
    change.join()


def test_a_wait_sees_an_object_that_is_not_there_yet(registry: Registry) -> None:
    creation = threading.Timer(0.5, registry.create, (full("Model"),))
    creation.start()
    found = registry.kube.wait(registry.resource("Model"), "fraud", lambda obj: True, API_SETTLES)
    assert found["metadata"]["name"] == "fraud"
    creation.join()


def test_a_wait_in_vain_shows_the_object_and_its_events(registry: Registry) -> None:
    created = registry.create(full("Model"))
    registry.kube.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "fraud.1"},
            "involvedObject": {**{k: created[k] for k in ("apiVersion", "kind")}, **_identity(created)},
            "type": "Warning",
            "reason": "VerificationFailed",
            "message": "the bucket does not exist",
        }
    )
    with pytest.raises(AssertionError) as failure:
        registry.kube.wait(registry.resource("Model"), "fraud", described, SOON, "a new description")
    text = str(failure.value)
    assert f"{registry.kube.namespace}/fraud: a new description: not seen within 2s" in text
    assert "description: Scores card payments for fraud." in text
    assert "Warning VerificationFailed: the bucket does not exist" in text
    assert "managedFields" not in text


def test_a_wait_for_nothing_says_that_there_is_nothing(registry: Registry) -> None:
    with pytest.raises(AssertionError, match=r"a moment: not seen within 2s; there is no such object"):
        registry.kube.wait(registry.resource("Model"), "absent", described, SOON)


def test_a_wait_for_an_unknown_kind_fails_at_once(registry: Registry) -> None:
    started = time.monotonic()
    with pytest.raises(KubectlError, match="the server doesn't have a resource type"):
        registry.kube.wait("nonsense", "fraud", described, API_SETTLES)
    assert time.monotonic() - started < API_SETTLES.seconds


def test_a_deletion_is_waited_for(registry: Registry) -> None:
    registry.create(full("Model"))
    deletion = threading.Timer(0.5, registry.kube.delete, (registry.resource("Model"), "fraud"))
    deletion.start()
    registry.kube.wait_gone(registry.resource("Model"), "fraud", API_SETTLES)
    assert registry.kube.find(registry.resource("Model"), "fraud") is None
    deletion.join()


def test_what_stays_stays_and_what_changes_fails_at_once(registry: Registry) -> None:
    kind = registry.resource("Model")
    registry.create(full("Model"))
    registry.kube.stays(kind, "fraud", lambda obj: not described(obj), SOON)
    change = threading.Timer(0.5, registry.patch, (full("Model"), {"spec": {"description": "changed"}}))
    change.start()
    with pytest.raises(AssertionError, match="the old description"):
        registry.kube.stays(kind, "fraud", lambda obj: not described(obj), API_SETTLES, "the old description")
    change.join()


@pytest.mark.parametrize("word", ["cm", "configmap", "ConfigMap", "configmaps"])
def test_what_succeeds_needs_no_kubectl_whatever_it_calls_the_kind(registry: Registry, word: str) -> None:
    kube = replace(registry.kube, kubectl="there-is-none")
    (created,) = kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}})
    assert kube.get(word, "one") == created
    assert [found for found in kube.items(word) if found["metadata"]["name"] == "one"] == [created]
    patched = kube.patch(word, "one", {"data": {"a": "2"}})
    assert kube.wait(word, "one", lambda obj: obj["data"] == {"a": "2"}, SOON) == patched
    kube.delete(word, "one")
    assert kube.find(word, "one") is None


def test_a_person_without_rights_is_told_so(registry: Registry) -> None:
    stranger = replace(registry, kube=registry.kube.as_user("mallory", "system:authenticated"))
    with pytest.raises(KubectlError, match='User "mallory" cannot create resource "models"'):
        stranger.create(full("Model"))


def test_a_refusal_that_does_not_come_is_a_failure(registry: Registry) -> None:
    with pytest.raises(AssertionError, match="expected a refusal, and it was accepted"):
        registry.refusal(full("Model"))


def test_a_condition_counts_only_for_the_present_generation() -> None:
    def model(generation: int) -> Obj:
        found = {"type": "Ready", "status": "True", "reason": "Serving", "observedGeneration": 2}
        return {"metadata": {"generation": generation}, "status": {"conditions": [found]}}

    assert has_condition("Ready", "True")(model(2))
    assert not has_condition("Ready", "True")(model(3))
    assert not has_condition("Ready", "True", "NothingServes")(model(2))
    assert not has_condition("Ready", "False")(model(2))
    assert condition(model(2), "Verified") == {}


def test_no_other_cluster_is_ever_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("KUBECONFIG", str(find_kubeconfig()))
    monkeypatch.setenv("MODELYARD_KUBECONFIG", f"{tmp_path}/absent")
    with pytest.raises(FileNotFoundError, match="run `make cluster` first"):
        find_kubeconfig()


def _identity(obj: Obj) -> Obj:
    return {key: obj["metadata"][key] for key in ("name", "namespace", "uid")}
