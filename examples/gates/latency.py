"""Is the candidate fast enough? Asks its pods and the incumbent's in turn, so that both have the same weather.

Runs before any traffic is moved: the candidate's pods are ready, behind a Service of their own. Needs no model files
and nothing but the standard library.
"""

import json
import os
import time
from http.client import HTTPConnection
from pathlib import Path

RESULT = Path("/dev/termination-log")
WARM_UP, REQUESTS = 10, 100
BODY = json.dumps({"inputs": [[0.0] * 64]})


def sides() -> dict[str, str]:
    """Where each model answers. The incumbent serves the stage, so it is where the stage's clients find it."""
    endpoint = os.environ["MODELYARD_ENDPOINT"]
    found = {"candidate": endpoint}
    if os.environ["MODELYARD_INCUMBENT_VERSION"]:
        stage = f"{os.environ['MODELYARD_MODEL']}-{os.environ['MODELYARD_STAGE']}"
        found["incumbent"] = f"{stage}:{endpoint.rpartition(':')[2]}"
    return found


def ask(connection: HTTPConnection) -> float:
    """Milliseconds that one prediction takes."""
    begun = time.perf_counter()
    connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise SystemExit(f"{connection.host}: status {response.status}: {text[:200]!r}")
    return 1000 * (time.perf_counter() - begun)


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 1)


def main() -> None:
    """Measure, taking turns."""
    connections = {side: HTTPConnection(address, timeout=30) for side, address in sides().items()}
    taken: dict[str, list[float]] = {side: [] for side in connections}
    for _ in range(WARM_UP + REQUESTS):
        for side, connection in connections.items():
            taken[side].append(ask(connection))
    for connection in connections.values():
        connection.close()
    measured = {side: values[WARM_UP:] for side, values in taken.items()}
    result = {side: {"p50_ms": quantile(ms, 0.5), "p99_ms": quantile(ms, 0.99)} for side, ms in measured.items()}
    RESULT.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
