"""How GitOps tools judge an object: the rules of Argo CD and of kstatus, run as these tools run them."""

from pathlib import Path
from typing import Any

import yaml
from lupa import lua51

ROOT = Path(__file__).parents[3]
ARGO = yaml.safe_load((ROOT / "examples" / "argocd" / "argocd-cm.yaml").read_text())["data"]
ABNORMAL = {"Reconciling": "InProgress", "Stalled": "Failed"}

Obj = dict[str, Any]


class Argo:
    """Argo CD: a health check is Lua 5.1 with the libraries base, table and package, and `obj` as a global."""

    CLOSED = ("string", "math", "io", "os", "debug", "coroutine", "python")
    STATUSES = ("Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown")

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(register_eval=False)
        self._lua.execute("getmetatable('').__index = nil")  # so that ('x'):upper() fails as it does there
        for name in self.CLOSED:
            self._lua.globals()[name] = None

    def health(self, kind: str, obj: Obj) -> tuple[str, str]:
        """Status and message."""
        said = self.run(ARGO[f"resource.customizations.health.modelyard.dev_{kind}"], obj)
        assert said.status in self.STATUSES
        return said.status, said.message

    def run(self, script: str, obj: Obj) -> Any:
        """What a script returns that is given an object."""
        self._lua.globals().obj = self._lua.table_from(obj, recursive=True)
        return self._lua.execute(script)


def kstatus(obj: Obj) -> str:
    """The status that kstatus computes for a custom resource, by its generic rules (cli-utils, pkg/kstatus/status):
    deletion, generation, then the first of Reconciling and Stalled that is True, then Ready, and Current for all else.
    Flux judges by it, and so does `helm --wait`.
    """
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions") or ()
    for condition in conditions:
        if condition["type"] in ABNORMAL and condition["status"] == "True":
            return ABNORMAL[condition["type"]]
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "True")
    return "Current" if ready == "True" else "InProgress"
