"""Gates with real pods: what lets a version through, every way in which one gives no answer, and what is undone."""

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.cluster.load import Load
from tests.cluster.registry import Registry
from tests.kube import PODS_READY, Obj, Timeout

pytestmark = pytest.mark.cluster

GATE_ANSWERS = Timeout("a gate has answered", 120)
TWENTY = 20


def job(program: str, *, limits: dict[str, str] | None = None, image: str = "modelyard:dev", **more: Any) -> Obj:
    """A gate's job that runs a Python program; `emit(...)` in it writes the answer."""
    emit = "import json; emit = lambda **n: open('/dev/termination-log', 'w').write(json.dumps(n))\n"
    container: Obj = {
        "name": "evaluate",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", emit + program],
        "securityContext": {"runAsUser": 65532},
    }
    if limits:
        container["resources"] = {"limits": limits}
    return {"template": {"spec": {"containers": [container]}}, **more}


def production(*gates: Obj, **more: Any) -> Obj:
    return {"name": "production", "gates": list(gates), "serving": {"replicas": 1}, **more}


def line(version: Obj, gate: str) -> Obj:
    """What is on record of a gate; an empty dict when nothing is."""
    lines = version.get("status", {}).get("gates", [])
    found: Obj = next((each for each in lines if each["name"] == gate), {})
    return found


def answered(registry: Registry, version: str, gate: str, result: str) -> Obj:
    """Wait until a gate has said something of a version; what is on record of it."""
    seen = registry.kube.wait(
        "modelversion",
        f"{registry.name}-{version}",
        lambda v: line(v, gate).get("result") == result,
        GATE_ANSWERS,
        f"gate {gate!r} is {result}",
    )
    return line(seen, gate)


COMPARE = """
read = lambda side: len(open(f'/mnt/models/{side}/answer.txt').read())
import os
if os.environ['MODELYARD_INCUMBENT_VERSION']:
    emit(candidate={'length': read('candidate')}, incumbent={'length': read('incumbent')})
else:
    emit(candidate={'length': read('candidate')})
"""


def test_a_better_version_is_let_through_and_a_worse_one_is_not(registry: Registry) -> None:
    longer = {"name": "longer", "job": job(COMPARE), "checks": ["candidate.length > incumbent.length"]}
    quality = {"name": "quality", "checks": ["candidate.auc >= 0.8"]}
    registry.model(stages=[production(quality, longer)])
    registry.version("1", metrics={"auc": 0.9})
    registry.serves("1")
    artifact = {"uri": registry.upload("2", {"answer.txt": b"a much longer answer"})}
    registry.version("2", metrics={"auc": 0.9}, artifact=artifact)
    registry.serves("2")
    said = registry.kube.run("describe", "modelversion", "fraud-2")
    assert re.search(r"Candidate:\s+Length:\s+20", said)
    assert re.search(r"Incumbent:\s+Length:\s+10", said)
    job_name = line(registry.kube.get("modelversion", "fraud-2"), "longer")["job"]
    kept = registry.kube.wait("job", job_name, lambda j: "ttlSecondsAfterFinished" in j["spec"], what="it has a TTL")
    assert kept["spec"]["ttlSecondsAfterFinished"] == 600
    registry.version("3", metrics={"auc": 0.9})
    message = registry.reaches("3", "Failed", "GateFailed")["status"]["request"]["message"]
    assert "candidate.length > incumbent.length" in message
    registry.version("4", metrics={"auc": 0.5})
    assert "0.5" in registry.reaches("4", "Failed", "GateFailed")["status"]["request"]["message"]
    assert registry.answer().split()[0] == "2"
    registry.kube.told("fraud-3", "GateFailed")


ASK = """
import os, urllib.request
answer = urllib.request.urlopen('http://' + os.environ['MODELYARD_ENDPOINT'], timeout=10).read().decode().split()
emit(version=answer[0], flavour=answer[2] if len(answer) > 2 else '')
"""


def asks(when: str, *checks: str) -> Obj:
    """A gate that asks the candidate's server which version it is."""
    return {"name": "smoke", "when": when, "inputs": "None", "job": job(ASK), "checks": list(checks)}


def test_the_candidates_pods_are_asked_while_the_incumbent_serves(registry: Registry) -> None:
    same = asks("BeforeTraffic", "candidate.version == version.version")
    registry.model(stages=[{**production(same), "name": "staging"}, production(same)])
    registry.version("1")
    registry.serves("1")
    registry.answered_by("1")
    with Load(registry.url()) as load:
        load.until("1")
        registry.version("2")
        registry.serves("2")
        load.until("2")
    assert load.failures == []
    results = registry.kube.get("modelversion", "fraud-2")["status"]["gates"]
    assert [(each["stage"], each["result"]) for each in results] == [("staging", "Passed"), ("production", "Passed")]
    registry.kube.wait(
        "model", "fraud", lambda _: services(registry) == ["fraud-production"], PODS_READY, "one Service"
    )
    assert all(name.startswith("fraud-production") for name in registry.deployments())


def services(registry: Registry) -> list[str]:
    return [service["metadata"]["name"] for service in registry.kube.items("services")]


@dataclass(frozen=True)
class NoAnswer:
    """A way in which a gate gives no answer, and what somebody does to it meanwhile."""

    reason: str
    job: Obj
    meanwhile: str = ""
    """Kind of what is deleted while it runs."""


LONG = "emit(text='x' * 4096)"
WAYS = {
    "crash": NoAnswer("Crashed", job("raise SystemExit(3)")),
    "memory": NoAnswer("OutOfMemory", job("x = bytearray(1 << 30)", limits={"memory": "64Mi"})),
    "image": NoAnswer("ImageNotPulled", job("", image="example.invalid/none:1")),
    "slow": NoAnswer("TimedOut", job("import time; time.sleep(600)", timeout="5s")),
    "silent": NoAnswer("NoOutput", job("")),
    "list": NoAnswer("InvalidOutput", job("open('/dev/termination-log', 'w').write('[1]')")),
    "nan": NoAnswer("InvalidOutput", job("emit(auc=float('nan'))")),
    "long": NoAnswer("OutputTooLong", job(LONG)),
    "evicted": NoAnswer("PodLost", job("import time; time.sleep(600)"), meanwhile="pod"),
    "deleted": NoAnswer("JobDeleted", job("import time; time.sleep(600)"), meanwhile="job"),
    "missing": NoAnswer("CheckError", job("emit(f1=1)")),
}


def test_without_an_answer_nothing_is_let_through(unprotected_registry: Registry) -> None:
    """All at the same time, each on a Model of its own."""
    for name, way in WAYS.items():
        registry = replace(unprotected_registry, name=name)
        gate = {"name": "gate", "inputs": "None", "job": way.job, "checks": ["candidate.auc > 0"]}
        registry.model(stages=[production(gate)])
        registry.version("1", artifact={"external": {"provider": "none", "model": name}})
    for name, way in WAYS.items():
        if way.meanwhile:
            registry = replace(unprotected_registry, name=name)
            running(registry, "1")
            delete_of(registry, way.meanwhile)
    found = {}
    for name in WAYS:
        registry = replace(unprotected_registry, name=name)
        failed = registry.reaches("1", "Failed", "GateError", GATE_ANSWERS)
        found[name] = line(failed, "gate")["reason"]
        assert "modelyard.dev/retry" in failed["status"]["request"]["message"]
    assert found == {name: way.reason for name, way in WAYS.items()}
    assert unprotected_registry.deployments() == {}


def running(registry: Registry, version: str) -> None:
    """Wait until the pod of a version's gate runs, and the operator has seen so."""
    known = answered(registry, version, "gate", "Running")
    registry.kube.wait(
        "job", known["job"], lambda j: j.get("status", {}).get("ready") == 1, GATE_ANSWERS, "its pod runs"
    )


def delete_of(registry: Registry, kind: str) -> None:
    """Delete the Job of the Model's gate, or that Job's pod."""
    (known,) = registry.kube.items(kind, selector=f"modelyard.dev/model={registry.name},modelyard.dev/job=gate")
    registry.kube.delete(kind, known["metadata"]["name"], wait=False)


def test_somebody_asks_for_another_attempt(registry: Registry) -> None:
    flaky = job("import os; emit(ok=int(os.environ['GOOD_MOOD']))")
    reference = {"name": "moods", "key": "good", "optional": True}
    variable = {"name": "GOOD_MOOD", "valueFrom": {"configMapKeyRef": reference}}
    flaky["template"]["spec"]["containers"][0]["env"] = [variable]
    mood = {"name": "mood", "inputs": "None", "job": flaky, "checks": ["candidate.ok == 1"]}
    registry.model(stages=[production(mood)])
    registry.version("1")
    registry.reaches("1", "Failed", "GateError")
    registry.kube.run("create", "configmap", "moods", "--from-literal=good=1")
    registry.kube.run("annotate", "modelversion", "fraud-1", "modelyard.dev/retry=the mood is better")
    registry.serves("1")
    assert line(registry.kube.get("modelversion", "fraud-1"), "mood")["retry"] == "the mood is better"


def no_trial(configmap: Obj) -> bool:
    return "modelyard.dev/on-trial" not in configmap["metadata"]["annotations"]


def test_a_revision_that_fails_in_traffic_is_undone_without_a_failed_request(registry: Registry) -> None:
    registry.model(stages=[production(asks("AfterTraffic", "candidate.flavour != 'bitter'"))])
    registry.version("1")
    registry.serves("1")
    answered(registry, "1", "smoke", "Passed")
    registry.kube.wait("configmap", "fraud-production", no_trial, GATE_ANSWERS, "the trial is over")
    registry.answered_by("1")
    with Load(registry.url()) as load:
        load.until("1")
        registry.version("2", serving={"env": [{"name": "FLAVOUR", "value": "bitter"}]})
        registry.reaches("2", "Failed", "GateFailed")
        registry.serves("1")
        load.until("1")
    assert load.failures == []
    assert load.answers["2"] > 0
    assert registry.history() == [("Promoted", "1"), ("Promoted", "2"), ("Undone", "1")]
    assert registry.reaches("1", "Serving", "Serving")
    registry.kube.told("fraud", "VersionUndone")


def test_a_gate_that_compares_is_asked_again_when_the_incumbent_changes(registry: Registry) -> None:
    compare = {"name": "compare", "job": job(COMPARE), "checks": ["candidate.length > 0"]}
    registry.model(stages=[production(compare)])
    for version in ("1", "2"):
        registry.version(version)
        registry.serves(version)
    waits = {"env": [{"name": "MODELYARD_TEST_BROKEN", "value": "1"}]}
    registry.version("3", serving=waits)
    assert answered(registry, "3", "compare", "Passed")["incumbentVersion"] == "2"
    registry.reaches("3", "Deploying", "WaitingForPods")
    registry.version("2", stage=None)
    registry.serves("1")
    registry.kube.wait(
        "modelversion",
        "fraud-3",
        lambda v: line(v, "compare").get("incumbentVersion") == "1" and line(v, "compare")["result"] == "Passed",
        GATE_ANSWERS,
        "it was compared with version 1",
    )


def test_twenty_at_once(registry: Registry) -> None:
    gate = {"name": "gate", "inputs": "None", "job": job("emit(ok=1)"), "checks": ["candidate.ok == 1"]}
    models = [replace(registry, name=f"model{number}") for number in range(TWENTY)]
    for one in models:
        one.kube.apply(
            {
                "apiVersion": "modelyard.dev/v1alpha1",
                "kind": "Model",
                "metadata": {"name": one.name},
                "spec": {"stages": [{"name": "production", "gates": [gate]}]},
            }
        )
        one.version("1", artifact={"external": {"provider": "none", "model": one.name}})
    for one in models:
        one.serves("1", effective=False)
        assert line(one.kube.get("modelversion", f"{one.name}-1"), "gate")["result"] == "Passed"
