"""How GitOps tools judge an object: the rules of Argo CD, of kstatus and of Flux, run as these tools run them."""

from pathlib import Path
from typing import Any

import yaml
from cel_expr_python import cel
from lupa import lua51

ROOT = Path(__file__).parents[3]
ARGO = yaml.safe_load((ROOT / "examples" / "argocd" / "argocd-cm.yaml").read_text())["data"]
FLUX = {
    entry["kind"]: entry
    for entry in yaml.safe_load((ROOT / "examples" / "flux" / "kustomization.yaml").read_text())["spec"][
        "healthCheckExprs"
    ]
}

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
    """The status that kstatus computes for a custom resource: what it documents, in its order."""
    status = obj.get("status") or {}
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != obj["metadata"]["generation"]:
        return "InProgress"
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    for kind in conditions:
        if kind in ("Reconciling", "Stalled") and conditions[kind] == "True":
            return "InProgress" if kind == "Reconciling" else "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


class Flux:
    """Flux with healthCheckExprs: the generation first, then inProgress, failed, current, else InProgress."""

    ORDER = (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current"))

    def __init__(self) -> None:
        anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        self._env = cel.NewEnv(variables=dict.fromkeys(("metadata", "spec", "status"), anything))
        self._programs = {
            (kind, field): self._env.compile(entry[field])
            for kind, entry in FLUX.items()
            for field, _ in self.ORDER
            if field in entry
        }

    def status(self, kind: str, obj: Obj) -> str:
        """The status of an object that the operator has seen; of one that it has not, Flux waits for a status."""
        if "status" not in obj or obj["status"].get("observedGeneration") != obj["metadata"]["generation"]:
            return "InProgress"
        given = self._env.Activation({field: obj[field] for field in ("metadata", "spec", "status")})
        for field, status in self.ORDER:
            program = self._programs.get((kind, field))
            if program is None:
                continue
            answer = program.eval(given).value()
            assert isinstance(answer, bool), f"{kind} {field}: {answer}"
            if answer:
                return status
        return "InProgress"
