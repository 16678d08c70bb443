"""The real helm, as tests call it: arguments in, text or plain dicts out. Used by every test of this folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dev.cluster import programs

from tests.checkout import ROOT

CHART = ROOT / "charts" / "modelyard"

Manifest = dict[str, Any]


class Refused(Exception):
    """Helm said no; the text is what the user reads."""


@dataclass(frozen=True)
class Helm:
    """One helm program, and the chart it renders."""

    program: Path

    def run(self, *arguments: str) -> str:
        """What helm prints; Refused with its error text when it fails."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    def render(
        self, *arguments: str, release: str = "modelyard", namespace: str = "modelyard-system"
    ) -> list[Manifest]:
        """All objects of the chart, those of `helm test` included. `arguments` are helm's own, usually --set."""
        text = self.run("template", release, str(CHART), f"--namespace={namespace}", *arguments)
        return [manifest for manifest in yaml.load_all(text, Loader=yaml.CSafeLoader) if manifest]


def find_helm() -> Path:
    """The local cluster's pinned helm; built when it is not cached yet."""
    return programs.ensure(("helm",))["helm"]
