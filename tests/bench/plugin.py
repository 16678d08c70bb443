"""How long does a person wait for `kubectl modelyard list` on a Model with 1,000 versions?"""

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.table import Row, milliseconds, percentile
from tests.definitions import define, new_group, undefine
from tests.kube import Kube
from tests.plugin import Plugin

VERSIONS = 1000
ROUNDS = 10


def listing() -> list[Row]:
    """Start to output, from kubectl on; in an API group that no operator sees. kubectl's own list is the floor."""
    kube, group = Kube.connect(), new_group()
    define(kube, group)
    try:
        with kube.own_namespace("bench") as here, tempfile.TemporaryDirectory() as folder:
            _register(here, group)
            plugin = Plugin.install(here, Path(folder), group)
            listed = _timed(plugin.command("list", "fraud"), plugin.env())
            helped = _timed([str(Path(folder) / "kubectl-modelyard"), "--help"], plugin.env())
            floor = _timed(here.command("get", f"modelversions.{group}"), plugin.env())
    finally:
        undefine(kube, group)
    what = f"kubectl modelyard list, {VERSIONS} versions"
    return [
        Row(f"floor: kubectl get, {VERSIONS} versions", milliseconds(floor), ""),
        Row(what, milliseconds(listed), "p50 under 700 ms", percentile(listed, 0.5) < 0.7),
        Row("modelyard --help", milliseconds(helped), "p50 under 300 ms", percentile(helped, 0.5) < 0.3),
    ]


def _register(here: Kube, group: str) -> None:
    model = {"apiVersion": f"{group}/v1alpha1", "kind": "Model", "metadata": {"name": "fraud"}, "spec": {}}
    here.create(model)
    versions = [
        {
            "apiVersion": f"{group}/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": f"fraud-{number}"},
            "spec": {
                "model": "fraud",
                "version": str(number),
                "artifact": {"uri": f"s3://models/fraud/{number}/"},
                "metrics": {"auc": number / VERSIONS, "loss": 0.1},
                "datasets": [{"name": "payments", "digest": "sha256:" + "0" * 64}],
            },
        }
        for number in range(1, VERSIONS + 1)
    ]
    here.run("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": versions}))


def _timed(command: Sequence[str], environment: dict[str, str]) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        started = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.monotonic() - started)
    return taken
