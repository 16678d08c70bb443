"""Objects as the API server would give them."""

from typing import Any

Obj = dict[str, Any]


def obj(kind: str, name: str, rv: int, *, namespace: str = "risk", uid: str = "", **parts: Any) -> Obj:
    labels = parts.pop("labels", {})
    metadata = {"name": name, "namespace": namespace, "uid": uid or f"uid-{kind}-{name}", "resourceVersion": str(rv)}
    metadata |= {"labels": labels, **parts.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **parts}


def model(
    name: str = "fraud", rv: int = 1, *, generation: int = 1, seen: int = 1, stages: Any = (), **more: Any
) -> Obj:
    status = {"observedGeneration": seen, "stages": list(stages)}
    return obj("Model", name, rv, metadata={"generation": generation}, spec={}, status=status, **more)


def version(number: str, rv: int = 1, *, settled: bool = False, of: str = "fraud", **more: Any) -> Obj:
    spec = {"model": of, "version": number}
    status = {"settled": settled} | {key: more.pop(key) for key in ("digest", "gates") if key in more}
    return obj("ModelVersion", f"{of}-{number}", rv, spec=spec, status=status, **more)


def rollback(name: str, rv: int = 1, *, outcome: str = "", of: str = "fraud") -> Obj:
    return obj("Rollback", name, rv, spec={"model": of}, status={"outcome": outcome} if outcome else {})


def approval(name: str, version: str, rv: int = 1, *, of: str = "fraud", **more: Any) -> Obj:
    return obj("Approval", name, rv, spec={"model": of, "version": version, "stage": "production"}, **more)


def managed(kind: str, name: str, rv: int = 1, *, of: str = "fraud", job: str = "", **more: Any) -> Obj:
    labels = {"app.kubernetes.io/managed-by": "modelyard", "modelyard.dev/model": of}
    if job:
        labels["modelyard.dev/job"] = job
    return obj(kind, name, rv, labels=labels, **more)


def verify_job(name: str, rv: int = 1, *, ended: str = "", **more: Any) -> Obj:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    return managed("Job", name, rv, job="verify", status={"conditions": conditions}, **more)


def is_settled(version: Any) -> bool:
    return bool(version["status"]["settled"])
