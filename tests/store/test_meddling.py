"""Verify and fetch while the store fails now and then: the right digest, or a clear reason; never a wrong one.

What goes wrong is decided by a seed (printed on failure). MODELYARD_STORE_SEED sets the first, MODELYARD_STORE_RUNS
how many.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from modelyard.api.reasons import ArtifactReason
from tests.helper_process import HelperProcess
from tests.store.conftest import Bucket, Outcome, digest_of
from tests.store.gateway import Gateway
from tests.store.meddling import Meddling
from tests.store.proxy import StoreProxy

SEED = int(os.environ.get("MODELYARD_STORE_SEED", "1"))
RUNS = int(os.environ.get("MODELYARD_STORE_RUNS", "6"))
LANES = 4
SHARES = (0.1, 0.3, 0.6)
"""Of the calls, how many fail: hardly any, many, most."""
FILES = {
    "MLmodel": b"flavors: {sklearn: {}}\n",
    "data/weights.bin": bytes(range(256)) * 12_000,
    "model.pkl": b"\x80\x04N.",
    "empty": b"",
    **{f"shards/{number:02}.bin": bytes([number]) * 3000 for number in range(8)},
}


class Lane:
    """Runs one program after another against the store, through a proxy of its own."""

    def __init__(self, gateway: Gateway, proxy: StoreProxy, folder: Path) -> None:
        self._proxy, self._folder = proxy, folder
        self._env = {**gateway.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MODELYARD_"))}
        self._programs = HelperProcess("tests.store.hasty", clean)

    def close(self) -> None:
        """End the process that runs the programs."""
        self._programs.close()

    def __call__(self, program: str, task: dict[str, Any], meddling: Meddling, *arguments: str) -> Outcome:
        self._proxy.faults = meddling
        task_file, result_file, log = (self._folder / name for name in ("task.json", "result.json", "log"))
        task_file.write_text(json.dumps({"kind": program, **task}))
        result_file.unlink(missing_ok=True)
        files = {"MODELYARD_TASK_FILE": str(task_file), "MODELYARD_RESULT_FILE": str(result_file)}
        order = {"program": program, "arguments": arguments, "environment": self._env | files, "log": str(log)}
        code: int = self._programs.ask(order)
        text = result_file.read_bytes()
        return Outcome(code, json.loads(text), len(text), log.read_text())


@pytest.fixture(scope="module")
def lanes(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Queue[Lane]"]:
    free: Queue[Lane] = Queue()
    with ExitStack() as stack:
        for _ in range(LANES):
            proxy = stack.enter_context(StoreProxy(gateway.endpoint))
            lane = Lane(gateway, proxy, tmp_path_factory.mktemp("lane"))
            stack.callback(lane.close)
            free.put(lane)
        yield free


def must_be_clear(outcome: Outcome, what: str) -> None:
    """A failure says why, in words that a person can act on, and whether trying again may help."""
    said = f"{what}\n{outcome.result}\n{outcome.log[-2000:]}"
    assert outcome.code == 1, said
    assert outcome.reason in (ArtifactReason.STORE_UNAVAILABLE, ArtifactReason.ACCESS_DENIED), said
    assert outcome.transient == (outcome.reason == ArtifactReason.STORE_UNAVAILABLE), said
    assert "; " in outcome.message, said
    assert "Traceback" not in outcome.log, said


def test_verifying(bucket: Bucket, lanes: "Queue[Lane]") -> None:
    bucket.put(FILES, "m/")
    want = {"digest": digest_of(FILES), "sizeBytes": sum(map(len, FILES.values())), "fileCount": len(FILES)}

    def verify(seed: int) -> bool:
        meddling = Meddling(seed, SHARES[seed % len(SHARES)])
        lane = lanes.get()
        outcome = lane("verify", {"uri": bucket.uri("m/")}, meddling)
        lanes.put(lane)
        if outcome.code == 0:
            assert {key: outcome.result[key] for key in want} == want, f"seed {seed}: {meddling.done}"
        else:
            must_be_clear(outcome, f"seed {seed}: {meddling.done}")
        return outcome.code == 0

    run_all(verify)


def test_fetching(bucket: Bucket, lanes: "Queue[Lane]", tmp_path: Path) -> None:
    bucket.put(FILES, "m/")
    task = {"uri": bucket.uri("m/"), "digest": digest_of(FILES)}

    def fetch(seed: int) -> bool:
        meddling = Meddling(seed, SHARES[seed % len(SHARES)])
        target = tmp_path / f"fetched-{seed}"
        lane = lanes.get()
        outcome = lane("fetch", task, meddling, str(target))
        lanes.put(lane)
        found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        if outcome.code == 0:
            assert found == FILES, f"seed {seed}: {meddling.done}"
        else:
            assert found == {}, f"seed {seed}: {meddling.done}"
            must_be_clear(outcome, f"seed {seed}: {meddling.done}")
        return outcome.code == 0

    run_all(fetch)


def run_all(attempt: Any) -> None:
    """Every seed; faults must neither always win nor never matter."""
    with ThreadPoolExecutor(LANES) as pool:
        passed = list(pool.map(attempt, range(SEED, SEED + RUNS)))
    assert True in passed, "nothing ever got through: the faults leave nothing to be tested"
