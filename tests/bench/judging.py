"""How long it takes to judge what a gate's Job left: reading its output, and three checks over both sides.

Every output has other numbers, as a registry's have; the checks repeat, as a Model's do. It is processor time: nothing
is waited for, and what else the machine does is no part of it.
"""

import json
import time

from modelyard.decide.gates import checks
from modelyard.decide.gates.output import Output, parse
from tests.bench.table import Row, percentile

RESULTS = 1000
TARGET_US = 100
CHECKS = (
    "candidate.auc >= 0.80",
    "candidate.auc >= incumbent.auc - 0.005",
    "candidate.slices.all(s, s.auc > 0.5) && candidate.p99_ms <= incumbent.p99_ms * 1.2",
)


def judging() -> list[Row]:
    """One row: microseconds a result, over a thousand of them."""
    texts = [_output(number) for number in range(RESULTS)]
    checks.judge(CHECKS, {}, {}, {})  # compiled once for each Model, not for each result
    taken = []
    for text in texts:
        since = time.process_time()
        found = parse(text)
        assert isinstance(found, Output)
        verdict = checks.outcome(checks.judge(CHECKS, found.candidate, found.incumbent, {}))
        taken.append(time.process_time() - since)
        assert verdict in ("Passed", "Failed")
    mean = sum(taken) / len(taken) * 1e6
    p99 = percentile(taken, 0.99) * 1e6
    measured = f"mean {mean:.0f} us, p99 {p99:.0f} us, n={len(taken)}"
    return [Row("judging a gate's result", measured, f"at most {TARGET_US} us each", mean <= TARGET_US)]


def _output(number: int) -> str:
    auc = 0.8 + number / 10_000
    slices = [{"name": name, "auc": auc - 0.1} for name in ("de", "fr", "it", "us")]
    candidate = {"auc": auc, "f1": 0.9, "p99_ms": 40 + number % 20, "slices": slices}
    return json.dumps({"candidate": candidate, "incumbent": {"auc": 0.85, "f1": 0.88, "p99_ms": 50}})
