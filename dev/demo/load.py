"""Who answered, and did any request fail? Runs the application of `sorter.py` in the cluster and reads what it saw.

Used by the story. The times are those at which an answer was known here, on the clock that also times the commands, so
they include the way of the answer through `kubectl logs` and never flatter.
"""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.demo.console import Unexpected
from dev.demo.kubectl import CLUSTER, Kubectl

SORTER = Path(__file__).with_name("sorter.py")
PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    """One request's end."""

    at: float
    version: str | None = None
    answer: int | None = None
    ms: float = 0.0
    error: str | None = None


@dataclass
class Load:
    """The application and all answers it got so far."""

    kubectl: Kubectl
    namespace: str
    answers: list[Answer] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _ended: str | None = None
    _logs: subprocess.Popen[str] | None = None

    def start(self, service: str, request: Path, image: str) -> None:
        """Run the application and read along."""
        manifest = CLUSTER / "demo" / "sorter.json"
        manifest.write_text(json.dumps(_pod(service, request.read_text(), image), indent=1))
        self.kubectl.quiet("-n", self.namespace, "apply", "-f", str(manifest))
        self.kubectl.quiet("-n", self.namespace, "wait", "pod/sorter", "--for=condition=Ready", "--timeout=60s")
        self._logs = self.kubectl.start("-n", self.namespace, "logs", "--follow", "pod/sorter")
        threading.Thread(target=self._read, daemon=True).start()

    def stop(self) -> None:
        """Read no further; the application goes on."""
        if self._logs:
            self._logs.terminate()
            self._logs.wait()

    def _read(self) -> None:
        assert self._logs is not None
        assert self._logs.stdout is not None
        for line in self._logs.stdout:
            answer = Answer(at=time.monotonic(), **json.loads(line))
            with self._news:
                self.answers.append(answer)
                self._news.notify_all()
        with self._news:
            self._ended = "the application's log ended"
            self._news.notify_all()

    def wait(self, until: Callable[[list[Answer]], Answer | None], since: int, what: str) -> Answer:
        """The first answer that `until` finds among those after the first `since`."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                if found := until(self.answers[since:]):
                    return found
                if self._ended or not self._news.wait(timeout=max(0.0, deadline - time.monotonic())):
                    cause = self._ended or f"{PATIENCE:.0f} s passed"
                    raise Unexpected(f"expected {what}, but {cause}; seen: {Tally(self.answers[since:])}")

    def first(self, version: str, since: int) -> Answer:
        """The first answer of a version."""
        return self.wait(
            lambda seen: next((a for a in seen if a.version == version), None), since, f"version {version}"
        )

    def settled(self, version: str, since: int, count: int) -> None:
        """Wait until the last `count` answers all came from one version."""

        def run(seen: list[Answer]) -> Answer | None:
            last = seen[-count:]
            return last[-1] if len(last) == count and all(a.version == version for a in last) else None

        self.wait(run, since, f"{count} answers of version {version} in a row")

    def mark(self) -> int:
        """A moment to count from."""
        return len(self.answers)

    def tally(self, since: int = 0) -> "Tally":
        """What happened after that moment."""
        return Tally(self.answers[since:])


class Tally:
    """Requests counted."""

    def __init__(self, answers: list[Answer]) -> None:
        self.requests = len(answers)
        self.errors = Counter(a.error for a in answers if a.error)
        self.by = Counter(a.version for a in answers if a.version)

    def __str__(self) -> str:
        parts = ", ".join(f"{count} by version {version}" for version, count in sorted(self.by.items()))
        return f"{self.requests} requests, {self.errors.total()} failed" + (f"; {parts}" if parts else "")

    def check(self) -> None:
        """Nobody was refused."""
        if self.errors:
            kinds = "; ".join(f"{count} times {error}" for error, count in self.errors.most_common(3))
            raise Unexpected(f"expected no failed request, found {self}: {kinds}")


def _pod(service: str, request: str, image: str) -> dict[str, Any]:
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    environment = [{"name": "SERVICE", "value": service}, {"name": "REQUEST", "value": request}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "sorter"},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "sorter",
                    "image": image,
                    "command": ["python3", "-c", SORTER.read_text()],
                    "env": environment,
                    "securityContext": restricted,
                }
            ],
        },
    }
