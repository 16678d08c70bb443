"""`kubectl modelyard …` as people run it: kubectl finds the plugin on its PATH, and hands it the words that follow."""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.api_runtime.group import VARIABLE
from tests.checkout import ROOT
from tests.kube import Kube

_SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
import tests.api_runtime.group  # before any of modelyard: the API group may be the tests' own
{run}
"""
_PLUGIN = "from modelyard.cli.main import main\nsys.argv[0] = 'kubectl-modelyard'\nsys.exit(main())"
_COMPLETION = "from modelyard.cli.completion import complete_for_kubectl\ncomplete_for_kubectl()"
WITHIN = 60
STORY = 300
PAGE = ROOT / "docs" / "plugin.md"


def typed(section: str) -> list[str]:
    """The commands of a section of docs/plugin.md, one a line, without their comments."""
    text = PAGE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    block = text.partition("```sh\n")[2].partition("```")[0]
    return [re.sub(r"\s+# .*$", "", line) for line in block.splitlines()]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def ok(self) -> "Done":
        """Itself; fails with what it said when its exit code is not 0."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}\n{self.out}"
        return self


@dataclass(frozen=True)
class Plugin:
    """kubectl with the plugin on its PATH, in one namespace, as one user."""

    kube: Kube
    folder: Path
    group: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def install(cls, kube: Kube, folder: Path, group: str = "", **environment: str) -> "Plugin":
        """Put the plugin of this checkout into a folder; `group`: the API group that it speaks to."""
        for name, run in (("kubectl-modelyard", _PLUGIN), ("kubectl_complete-modelyard", _COMPLETION)):
            script = folder / name
            script.write_text(_SCRIPT.format(python=sys.executable, root=str(ROOT), run=run))
            script.chmod(0o755)
        return cls(kube, folder, group, environment)

    def __call__(self, *words: str) -> Done:
        """Run a command to its end; its standard input is no terminal."""
        done = subprocess.run(
            self.command(*words), env=self.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=WITHIN, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *words: str, typed: str = "", **environment: str) -> Done:
        """Run a command on a terminal, on which somebody types; all of its output together."""
        ours, theirs = pty.openpty()
        env = {**self.env(), "TERM": "xterm-256color", **environment}
        process = subprocess.Popen(self.command(*words), env=env, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        os.write(ours, typed.encode())
        seen = b""
        with suppress(OSError):  # the terminal is gone when the last process on it has ended
            while piece := os.read(ours, 1 << 16):
                seen += piece
        os.close(ours)
        return Done(process.wait(WITHIN), seen.decode(), "")

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Run a command that waits for something."""
        return subprocess.Popen(
            self.command(*words), env=self.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def type(self, line: str, folder: Path, **environment: str) -> Done:
        """Run a line in a shell as somebody types it, in a folder; the namespace is that of the kubeconfig."""
        config = json.loads(self.kube.kubeconfig.read_text())
        config["contexts"][0]["context"]["namespace"] = self.kube.namespace
        (folder / "kubeconfig").write_text(json.dumps(config))
        env = {**self.env(), "KUBECONFIG": str(folder / "kubeconfig"), **environment}
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=STORY, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, f"{line}\n{done.stderr}")

    def command(self, *words: str) -> list[str]:
        """The command line."""
        namespace = ["--namespace", self.kube.namespace] if self.kube.namespace else []
        user = ["--as", self.kube.user] if self.kube.user else []
        groups = [option for group in self.kube.groups for option in ("--as-group", group)]
        return [self.kube.kubectl, "modelyard", *words, *namespace, *user, *groups]

    def env(self) -> dict[str, str]:
        """The environment of the person: their kubeconfig, the plugin on their PATH."""
        own = {
            "KUBECONFIG": str(self.kube.kubeconfig),
            "PATH": f"{self.folder}:{Path(self.kube.kubectl).parent}:{os.environ['PATH']}",
            "COLUMNS": "200",
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"modelyard-test-pycache-{os.getuid()}"),
        }
        if self.group:
            own[VARIABLE] = self.group
        dropped = ("AWS_", "MLFLOW_", "MODELYARD_", "PYTHONDONTWRITEBYTECODE")  # an installed plugin is compiled
        clean = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {**clean, **own, **self.environment}
