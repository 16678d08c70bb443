"""The real helm, as tests call it: arguments in, text or plain dicts out. Used by every test of this folder."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "modelyard"
PROGRAMS = ROOT / "dev" / "programs"

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


def find_helm() -> Path | None:
    """The local cluster's pinned helm: of a running cluster, else of the build cache, else whatever the PATH has."""
    source = b"".join((PROGRAMS / name).read_bytes() for name in ("go.mod", "go.sum", "coredns/main.go"))
    key = hashlib.sha256(source).hexdigest()[:12]
    places = [ROOT / ".cluster" / "bin" / "helm", Path.home() / ".cache" / "modelyard" / "programs" / key / "helm"]
    if found := which("helm"):
        places.append(Path(found))
    return next((place for place in places if place.is_file()), None)
