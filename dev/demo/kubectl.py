"""How does the story talk to the cluster? Through kubectl alone, so that everything it does can be typed by the reader.

Used by the story and the load. It uses the cluster that `make cluster` left, or the one MODELYARD_KUBECONFIG names, and
never the user's own current context.
"""

import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dev.demo.console import Unexpected, command, output, progress

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / ".cluster"


def _environment() -> dict[str, str]:
    config = Path(os.environ.get("MODELYARD_KUBECONFIG") or CLUSTER / "kubeconfig")
    if not config.is_file():
        raise Unexpected(f"there is no cluster: {config} does not exist; run `make cluster`")
    path = os.pathsep.join([str(CLUSTER / "bin"), os.environ.get("PATH", "")])
    if not shutil.which("kubectl", path=path):
        raise Unexpected("kubectl is neither in .cluster/bin nor on the PATH; run `make cluster`")
    return {**os.environ, "KUBECONFIG": str(config), "PATH": path}


class Kubectl:
    """kubectl on the demo's cluster, run from the root of the checkout."""

    def __init__(self) -> None:
        self.environment = _environment()

    def start(self, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start kubectl and leave it running."""
        return subprocess.Popen(
            ["kubectl", *arguments], cwd=ROOT, env=self.environment, text=True, stdout=stdout, stderr=subprocess.PIPE
        )

    def quiet(self, *arguments: str) -> str:
        """Run kubectl without telling; Unexpected when it fails."""
        line = ["kubectl", *arguments]
        done = subprocess.run(line, cwd=ROOT, env=self.environment, text=True, capture_output=True, check=False)
        if done.returncode:
            raise Unexpected(f"`kubectl {shlex.join(arguments)}` failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def show(self, line: str, *, take: str = "") -> str:
        """Run a command line the way the reader would, and show what it prints; `take` hides all but these lines."""
        command(f"kubectl {line}")
        text = self.quiet(*shlex.split(line))
        output("\n".join(row for row in text.splitlines() if take in row))
        return text

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(self.quiet("-n", namespace, "get", kind, name, "-o", "json"))
        return found

    def wait(self, line: str, *, follow: str, what: str) -> None:
        """Run a `kubectl wait` as typed, showing meanwhile each state of the ModelVersion that `follow` gets."""
        command(f"kubectl {line}")
        path = "jsonpath={.status.request.step} {.status.request.reason}{'\\n'}"
        watch = self.start(*shlex.split(follow), "--watch", "-o", path)
        with progress(what) as shown:
            reader = threading.Thread(target=_states, args=(watch, shown.update), daemon=True)
            reader.start()
            try:
                text = self.quiet(*shlex.split(line))
            except Unexpected as failure:
                message = self.quiet(*shlex.split(follow), "-o", "jsonpath={.status.request.message}")
                raise Unexpected(f"{failure}\n  the version says: {shown.state or 'nothing'}: {message}") from failure
            finally:
                watch.terminate()
                watch.wait()
                reader.join()
        output(text)


def _states(watch: subprocess.Popen[str], tell: Callable[[str], None]) -> None:
    assert watch.stdout is not None
    for line in watch.stdout:
        words = line.split()
        tell(" ".join(dict.fromkeys(words)))  # step and reason are often the same word
