"""What real pods of gates leave behind is read as what happened to them."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.decide import jobs
from modelyard.decide.gates import ending, job
from modelyard.decide.gates.ending import GateError
from modelyard.decide.gates.output import Output
from modelyard.decide.snapshot import HelperPods, Snapshot
from modelyard.decide.state import Revision
from modelyard.decide.world import World
from modelyard.storage.digest import FileDigest, digest_of
from tests.cluster.conftest import NAMESPACE_LABELS, read_storage, s3_client
from tests.cluster.registry import Registry, storage_secret
from tests.kube import Kube, Obj, Timeout
from tests.sharing import UNPROTECTED

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("gate jobs")]

RUNS = Timeout("the gate's pod runs", 60)
ENDED = Timeout("the gate's Job has an outcome", 300)
READS = """
import json, os
said = {side: open(f"/mnt/models/{side}/answer.txt").read() for side in ("candidate", "incumbent")}
told = {name: text for name, text in os.environ.items() if name.startswith("MODELYARD_")}
sides = {"candidate": {"said": said["candidate"], **told}, "incumbent": {"said": said["incumbent"]}}
json.dump(sides, open("/dev/termination-log", "w"))
"""
WAITS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); signal.pause()"


def python(program: str, **more: Any) -> Obj:
    """A container that runs a program."""
    return {"image": "modelyard:dev", "imagePullPolicy": "Never", "command": ["python3", "-c", program], **more}


def writes(text: str) -> Obj:
    """A container that leaves an output."""
    return python(f"open('/dev/termination-log', 'w').write({text!r})")


@dataclass
class Gates:
    """A namespace in which Jobs of gates run and no operator looks at them."""

    kube: Kube
    candidate: Revision
    incumbent: Revision

    def start(self, name: str, container: Obj, timeout: str = "10m", **gate: Any) -> None:
        """Run a gate's Job."""
        evaluate = {"name": "evaluate", "securityContext": {"runAsUser": 65532}, **container}
        written = {
            "name": name,
            "job": {"timeout": timeout, "template": {"spec": {"containers": [evaluate]}}},
            "checks": ["candidate.a > incumbent.a"],
            **gate,
        }
        world = self._world(gates=[written])
        (stage,) = world.stages
        made = job.build(world, stage, stage.gates[0], name, self.candidate, self.incumbent, "fraud.svc:8080")
        self.kube.create({**made, "metadata": {**made["metadata"], "ownerReferences": []}})

    def outcomes(self, names: Iterable[str]) -> dict[str, Output | GateError]:
        """The outcomes of all Jobs, each as soon as the operator would know it."""
        found: dict[str, Output | GateError] = {}
        missing = set(names)
        deadline = time.monotonic() + ENDED.budget
        while missing and time.monotonic() < deadline:
            world = self._world(tuple(self.kube.items("pods")))
            for of in self.kube.items("jobs"):
                name = of["metadata"]["name"]
                at = world
                if name in NEVER_START and jobs.wait(world, of, "its"):  # it will still wait when its time is over
                    at = replace(world, now=ending.look_again_at(world, of) or world.now)
                if name in missing and (outcome := ending.outcome(at, of)):
                    found[name] = outcome
                    missing.remove(name)
            time.sleep(0.3)
        assert not missing, f"{missing}: {ENDED.name}: {json.dumps(self.kube.items('pods'))}"
        return found

    def take_away(self, name: str, how: str) -> None:
        """Let somebody take the pod of a Job away while it runs."""
        self.kube.wait("job", name, lambda found: found.get("status", {}).get("ready", 0) > 0, RUNS)
        (pod,) = (pod["metadata"]["name"] for pod in self.kube.items("pods", f"job-name={name}"))
        if how == "deletion":
            self.kube.delete("pod", pod, wait=False)
            return
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.kube.namespace}/pods/{pod}/eviction"
        self.kube.run("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))

    def _world(self, pods: tuple[Obj, ...] = (), gates: Any = ()) -> World:
        metadata = {"name": "fraud", "namespace": self.kube.namespace, "uid": "none"}
        model = {"kind": "Model", "metadata": metadata, "spec": {"stages": [{"name": "production", "gates": gates}]}}
        helper = HelperPods(image="modelyard:dev", image_pull_policy="Never")
        seen = Snapshot(str(self.kube.namespace), "fraud", model, pods=pods, helper=helper)
        return World.of(seen, model, datetime.now(UTC))


@pytest.fixture(scope="module")
def outcomes() -> Iterator[tuple[Gates, Mapping[str, Output | GateError]]]:
    """What became of all Jobs, started at once: most of the time is the starting of pods."""
    storage = read_storage()
    with Kube.connect().own_namespace("gates", NAMESPACE_LABELS | UNPROTECTED) as kube:
        kube.create(storage_secret(storage))
        registry = Registry(kube, s3_client(storage))
        candidate, incumbent = (revision(registry, version) for version in ("7", "6"))
        registry.s3.close()
        gates = Gates(kube, candidate, incumbent)
        for how in ("deletion", "eviction"):
            gates.start(how, python(WAITS), inputs="None")
        for name, (container, settings, *_) in {**ANSWERS, **NO_ANSWERS}.items():
            gates.start(name, container, **settings)
        Gates(kube, replace(candidate, digest="sha256:" + "0" * 64), incumbent).start("tampered", writes("{}"))
        for how in ("deletion", "eviction"):
            gates.take_away(how, how)
        yield gates, gates.outcomes([*ANSWERS, *NO_ANSWERS, "tampered", "deletion", "eviction"])


def revision(registry: Registry, version: str) -> Revision:
    """An uploaded version."""
    uri = registry.upload(version)
    body = hashlib.sha256(f"bytes-of-{version}".encode()).hexdigest()
    digest = digest_of([FileDigest("answer.txt", 0, body)])
    return Revision(hash=version * 10, version=version, digest=digest, uri=uri)


ANSWERS: dict[str, Any] = {
    "reads": (python(READS), {}),
    "wants-no-files": (writes('{"a": 1}'), {"inputs": "None", "checks": ["candidate.a > 0"]}),
}
NO_ANSWERS: dict[str, Any] = {
    "crashes": (python("raise SystemExit('no data for slice eu')"), {},
                "Crashed", "container 'evaluate' ended with exit code 1: no data for slice eu"),
    "violates-memory": (python("import ctypes; ctypes.string_at(0)"), {},
                        "Crashed", "container 'evaluate' was killed by SIGSEGV"),
    "no-command": ({**python(""), "command": ["nothing-of-the-kind"]}, {},
                   "Crashed", "container 'evaluate' could not be started: "),
    "fills-memory": (python("x = bytearray(1 << 30)", resources={"limits": {"memory": "64Mi"}}), {},
                     "OutOfMemory", "container 'evaluate' used more memory than its limit"),
    "no-image": ({"image": "modelyard.invalid/none:1", "imagePullPolicy": "Never"}, {},
                 "ImageNotPulled", "its pod waits: ErrImageNeverPull: "),
    "image-not-found": ({"image": "127.0.0.1:1/none:1"}, {"inputs": "None"},
                        "ImageNotPulled", "no answer within 10m: its pod waits: "),
    "no-node": (writes("{}") | {"resources": {"requests": {"cpu": "10k"}}}, {},
                "Unschedulable", "no answer within 10m: its pod fits no node: "),
    "too-slow": (python(WAITS), {"timeout": "10s", "inputs": "None"}, "TimedOut", "no answer within 10s"),
    "no-secret": (writes("{}") | {"envFrom": [{"secretRef": {"name": "none"}}]}, {"inputs": "None"},
                  "TimedOut", "no answer within 10m: its pod waits: CreateContainerConfigError: "),
    "silent": (python("print('0.9')"), {}, "NoOutput", "it ended well and left no numbers"),
    "prose": (writes("all good"), {}, "InvalidOutput", "its output is not JSON"),
    "not-a-number": (writes('{"a": NaN}'), {}, "InvalidOutput", "its output has the number NaN"),
    "verbose": (writes(json.dumps({"a": "x" * 5000})), {}, "OutputTooLong", "its output is cut off at 4096 bytes"),
}  # fmt: skip
NEVER_START = ("no-node", "image-not-found", "no-secret")


def test_the_evaluation_finds_both_models_and_what_it_is_about(outcomes: Any) -> None:
    gates, found = outcomes
    assert found["reads"].incumbent == {"said": "bytes-of-6"}
    assert found["reads"].candidate == {
        "said": "bytes-of-7",
        "MODELYARD_MODEL": "fraud",
        "MODELYARD_VERSION": "7",
        "MODELYARD_DIGEST": gates.candidate.digest,
        "MODELYARD_STAGE": "production",
        "MODELYARD_ENDPOINT": "fraud.svc:8080",
        "MODELYARD_INCUMBENT_VERSION": "6",
        "MODELYARD_INCUMBENT_DIGEST": gates.incumbent.digest,
    }
    assert found["wants-no-files"] == Output({"a": 1}, {})


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_no_answer(outcomes: Any, name: str) -> None:
    _, _, reason, message = NO_ANSWERS[name]
    assert reads_as(outcomes, name, message) == (reason, message)


def test_other_bytes_than_were_verified_are_not_evaluated(outcomes: Any) -> None:
    text = "the candidate could not be fetched: "
    assert reads_as(outcomes, "tampered", text) == ("FetchFailed", text)


@pytest.mark.parametrize("how", ["deletion", "eviction"])
def test_a_pod_that_is_taken_away(outcomes: Any, how: str) -> None:
    """Who looks at the right moment sees who took it; a moment later the pod is gone, and the reason is the same."""
    assert reads_as(outcomes, how, "its pod w") == ("PodLost", "its pod w")


def reads_as(outcomes: Any, name: str, message: str) -> tuple[str, str]:
    """The reason of an error, and as much of its message."""
    found = outcomes[1][name]
    assert isinstance(found, GateError)
    return found.reason, found.message[: len(message)]
