"""All inputs on a real API server, with an operator process that watches: what is refused, and what is let through.

Every refusal names the field, or the one around it where two exclude each other. What is let through is stored, in
Models that are changed again and again and in objects that come in hundreds. The operator does not crash, it rests,
and a neighbour in the same namespace gets its versions all the while.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

import pytest

from tests.api_runtime.conftest import Process
from tests.connections import KeptOpen
from tests.faults.kubelet import NODE_SELECTOR
from tests.inputs.generate import Input, inputs
from tests.kube import Kube, Timeout

pytestmark = pytest.mark.api

LANES = 4
AT_LEAST = 5000
STORED_EVERY = 9
"""What is stored costs the operator several writes; all of it would take it many minutes."""
MODELS = 40
"""Among which the versions are divided: each has a few dozen."""
NEIGHBOUR_SERVES = Timeout("a neighbour's version is served while others write nonsense", 45)
NEIGHBOUR_ASKS_EVERY = 3.0
QUIET, QUIET_WITHIN = 3.0, 90.0
WRITES_EACH = 12
"""Of the operator for each object let through: its statuses, its Job, its Deployments, its Events, once or twice."""
NESTING = 9_900
"""The API server takes 10,000."""


class Server:
    """The API server, with what is in a namespace."""

    def __init__(self, group: str, namespace: str) -> None:
        self._api = KeptOpen()
        self.group = f"{group}/v1alpha1"
        self._objects = f"/apis/{self.group}/namespaces/{namespace}"
        self.close = self._api.close

    def write(self, method: str, obj: dict[str, Any], how: str = "") -> tuple[int, dict[str, Any]]:
        """Create or replace an object; the status code and what is answered."""
        name = f"/{obj['metadata']['name']}" if method != "POST" else ""
        return self.call(method, f"{obj['kind'].lower()}s{name}{how}", {**obj, "apiVersion": self.group})

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """One call; the status code and what is answered."""
        code, answer = self._api.exchange(method, f"{self._objects}/{path}", json.dumps(body) if body else None)
        return code, json.loads(answer)

    def send(self, path: str, text: str) -> int:
        """Create what a text says; the status code. What is answered is not read as JSON."""
        return self._api.exchange("POST", f"{self._objects}/{path}", text)[0]


class Trial:
    """Tries inputs, each in its own lane, and counts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._versions: dict[str, str] = {}
        self.taken: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.unclear: list[str] = []
        self.stored = 0

    def prepare(self) -> None:
        """The Models that are changed, and those that have the versions."""
        for name in [*(f"changed{lane}" for lane in range(LANES)), *(f"m{n}" for n in range(MODELS))]:
            code, made = self._server.write("POST", {"kind": "Model", "metadata": {"name": name}, "spec": {}})
            assert code == 201, made
            self._versions[name] = made["metadata"]["resourceVersion"]

    def run(self, lane: int, some: list[tuple[int, Input]]) -> None:
        """One lane."""
        for number, wrong in some:
            code, answer = self._try(lane, number, wrong)
            if code < 300 or (code == 409 and "already exists" in answer["message"]):  # answered twice, or asked
                self.taken[wrong.kind] += 1
            else:
                self.refused[wrong.kind] += 1
                self._judge(wrong, code, answer["message"])

    def _try(self, lane: int, number: int, wrong: Input) -> tuple[int, dict[str, Any]]:
        """Ask whether an object would be taken; every so often it is stored as well, for the operator to see."""
        if number % STORED_EVERY:
            return self._server.write("POST", wrong.obj, "?dryRun=All&fieldValidation=Ignore")
        self.stored += 1
        return self._replace(lane, wrong) if wrong.kind == "Model" else self._create(number, wrong)

    def _replace(self, lane: int, wrong: Input) -> tuple[int, dict[str, Any]]:
        name = f"changed{lane}"
        for _ in range(20):  # the operator writes statuses meanwhile
            metadata = {**wrong.obj["metadata"], "name": name, "resourceVersion": self._versions[name]}
            code, answer = self._server.write("PUT", {**wrong.obj, "metadata": metadata}, "?fieldValidation=Ignore")
            if code != 409:
                break
            self._versions[name] = self._server.call("GET", f"models/{name}")[1]["metadata"]["resourceVersion"]
        if code == 200:
            self._versions[name] = answer["metadata"]["resourceVersion"]
        return code, answer

    def _create(self, number: int, wrong: Input) -> tuple[int, dict[str, Any]]:
        obj = wrong.obj
        obj["metadata"]["name"] = f"{wrong.kind.lower()}-{number}"
        spec = obj.get("spec")
        if wrong.kind == "ModelVersion" and isinstance(spec, dict):
            if wrong.path[:2] not in (("spec", "model"), ("spec", "version")):
                spec |= {"model": f"m{number % MODELS}", "version": str(number)}
            if wrong.path[:2] != ("spec", "stage"):
                spec.pop("stage", None)
            obj["metadata"]["name"] = f"{spec.get('model')}-{spec.get('version')}"[:200].lower()
        return self._server.write("POST", obj, "?fieldValidation=Ignore")

    def _judge(self, wrong: Input, code: int, said: str) -> None:
        if code == 500 and "larger than max" in said:
            return  # etcd's own limit for an object as a whole
        around = wrong.field.rpartition(".")[0]
        named = wrong.field in said or (around != "spec" and around in said) or "metadata." in said
        top = wrong.path == ("spec",) and "spec" in said
        if code not in (400, 422) or not (named or top or wrong.path[-1] in said):
            self.unclear.append(f"{wrong.id}: {code} {said[:300]}")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_nonsense_is_refused_by_name_or_lived_with(
    here: Kube,
    group: str,
    namespace: str,
    operator: Callable[..., Process],
    stack: ExitStack,
) -> None:
    server = Server(group, namespace)
    stack.callback(server.close)
    trial = Trial(server)
    trial.prepare()
    process = operator(program="real_operator", helperPods={"nodeSelector": NODE_SELECTOR})
    process.until_leading()
    deeply_nested(server)
    server.write("POST", {"kind": "Model", "metadata": {"name": "neighbour"}, "spec": {"description": "quiet"}})

    # Of the Models every second one, so that it all takes a minute; `test_decide` has the others.
    numbered = [(n, each) for n, each in enumerate(inputs()) if each.kind != "Model" or n % 2]
    with ThreadPoolExecutor(LANES) as pool:
        lanes = [pool.submit(trial.run, lane, numbered[lane::LANES]) for lane in range(LANES)]
        served = 0
        while served < 3 or not all(lane.done() for lane in lanes):
            served += 1
            a_neighbour_is_served(here, server, group, str(served))
            assert process.popen.poll() is None, process.log.read_text()[-4000:]
            wait(lanes, timeout=NEIGHBOUR_ASKS_EVERY)
        for lane in lanes:
            lane.result()

    tried = trial.taken + trial.refused
    print(f"{tried.total()} inputs: {trial.refused.total()} refused, {dict(trial.taken)} let through")
    assert tried.total() >= AT_LEAST
    assert trial.unclear == []
    writes = comes_to_rest(process)
    crashes = process.metric('modelyard_reconcile_seconds_count{outcome="crashed"')
    assert crashes == 0, process.log.read_text()[-4000:]
    assert "crashed" not in process.log.read_text()
    assert writes < WRITES_EACH * (trial.stored + MODELS + served), "a storm of writes"
    a_neighbour_is_served(here, server, group, str(served + 1))


def deeply_nested(server: Server) -> None:
    """What the API server's parser just takes, and Python's would not by itself."""
    spec = {"model": "m0", "version": "deep", "artifact": {"uri": "s3://models/deep/"}, "hyperparameters": {"in": "@"}}
    obj = {"apiVersion": server.group, "kind": "ModelVersion", "metadata": {"name": "m0-deep"}, "spec": spec}
    text = json.dumps(obj).replace('"@"', "[" * NESTING + "]" * NESTING)
    assert server.send("modelversions", text) == 201


def a_neighbour_is_served(here: Kube, server: Server, group: str, version: str) -> None:
    """A version without bytes of its own goes to production of a Model without a server."""
    artifact = {"external": {"provider": "test", "model": "test", "revision": version}}
    spec = {"model": "neighbour", "version": version, "stage": "production", "artifact": artifact}
    code, answer = server.write(
        "POST", {"kind": "ModelVersion", "metadata": {"name": f"neighbour-{version}"}, "spec": spec}
    )
    assert code == 201, answer
    deadline = time.monotonic() + NEIGHBOUR_SERVES.budget
    while time.monotonic() < deadline:
        status = server.call("GET", "models/neighbour")[1].get("status", {})
        if status.get("summary", {}).get("live") == version:
            return
        time.sleep(0.2)
    raise AssertionError(f"{NEIGHBOUR_SERVES.name}: not within {NEIGHBOUR_SERVES.budget:g} s: {status}")


def comes_to_rest(process: Process) -> float:
    """Wait until nothing but the Lease is written; how much was."""

    def writes() -> float:
        return process.metric("modelyard_writes_total") - process.metric('modelyard_writes_total{kind="Lease"')

    seen, since, deadline = writes(), time.monotonic(), time.monotonic() + QUIET_WITHIN
    while time.monotonic() < since + QUIET:
        assert time.monotonic() < deadline, f"goes on writing: {process.log.read_text()[-4000:]}"
        time.sleep(0.2)
        if (now := writes()) != seen:
            seen, since = now, time.monotonic()
    return seen
