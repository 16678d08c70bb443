"""What users do and see, as verbs: one namespace with a storage Secret, Models, versions and Rollbacks in it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kube import PODS_READY, VERSION_VERIFIED, Kube, Obj, Timeout

BUCKET = "models"
SERVER = (Path(__file__).parent / "server.py").read_text()
ROUTED = Timeout("the node routes by the last switch", 15)
STAGE_MOVES = Timeout("the stage serves the version", PODS_READY.seconds + VERSION_VERIFIED.seconds)


def template(port: int = 8080, **environment: str) -> Obj:
    """A pod template with the test's server."""
    env = [{"name": name, "value": value} for name, value in ({"PORT": str(port)} | environment).items()]
    probe = {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1}
    container = {
        "name": "server",
        "image": "modelyard:dev",
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", SERVER],
        "env": env,
        "readinessProbe": probe,
        "securityContext": {"runAsUser": 65532},
    }
    return {"spec": {"containers": [container]}}


@dataclass
class Registry:
    """One namespace, as its team uses it."""

    kube: Kube
    s3: Any
    name: str = "fraud"

    @property
    def namespace(self) -> str:
        """The namespace."""
        assert self.kube.namespace
        return self.kube.namespace

    # What people do.

    def upload(self, version: str, files: Mapping[str, bytes] | None = None) -> str:
        """Put a version's artifact into the store; its URI."""
        prefix = f"{self.namespace}/{self.name}/{version}/"
        for path, body in (files or {"answer.txt": f"bytes-of-{version}".encode()}).items():
            self.s3.put_object(Bucket=BUCKET, Key=prefix + path, Body=body)
        return f"s3://{BUCKET}/{prefix}"

    def model(self, *, serving: Mapping[str, Any] | None = None, **spec: Any) -> None:
        """Declare the Model, production being its only stage unless said otherwise."""
        base = {"template": template(), **(serving or {})}
        stages = spec.pop("stages", [{"name": "production", "serving": {"replicas": 1}}])
        self.kube.apply(self._obj("Model", self.name, {"serving": base, "stages": stages, **spec}), force=True)

    def version(self, version: str, stage: str | None = "production", **spec: Any) -> None:
        """Declare a version (its artifact is uploaded first when the test did not say where it lies)."""
        known = self.kube.find("modelversion", f"{self.name}-{version}")
        artifact = spec.pop("artifact", None) or (known or {}).get("spec", {}).get("artifact")
        artifact = artifact or {"uri": self.upload(version)}
        body = {"model": self.name, "version": version, "artifact": artifact, **spec}
        if stage:
            body["stage"] = stage
        self.kube.apply(self._obj("ModelVersion", f"{self.name}-{version}", body), force=True)

    def rollback(self, name: str, to: str | None = None) -> None:
        """Create a Rollback of production."""
        spec = {"model": self.name, "stage": "production", "reason": "INC-1"} | ({"toVersion": to} if to else {})
        self.kube.create(self._obj("Rollback", name, spec))

    def _obj(self, kind: str, name: str, spec: Mapping[str, Any]) -> Obj:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "modelyard.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": dict(spec)}

    # What people see.

    def serves(self, version: str, *, effective: bool = True, timeout: Timeout = STAGE_MOVES) -> Obj:
        """Wait until production serves a version, and its endpoints are effective."""

        def holds(model: Obj) -> bool:
            current = self.current(model)
            return current.get("version") == version and (bool(current.get("effectiveSince")) or not effective)

        return self.kube.wait("model", self.name, holds, timeout, f"production serves version {version}")

    def current(self, model: Obj, stage: str = "production") -> Obj:
        """The pointer of a stage."""
        stages = model.get("status", {}).get("stages", [])
        found: Obj = next((s.get("current", {}) for s in stages if s["name"] == stage), {})
        return found

    def reaches(self, version: str, step: str, reason: str | None = None, timeout: Timeout = STAGE_MOVES) -> Obj:
        """Wait until a version's request is at a step, for a reason."""

        def holds(obj: Obj) -> bool:
            request = obj.get("status", {}).get("request", {})
            return request.get("step") == step and reason in (None, request.get("reason"))

        what = f"the request of version {version} is {step} ({reason})"
        return self.kube.wait("modelversion", f"{self.name}-{version}", holds, timeout, what)

    def applied(self, name: str, outcome: str = "Applied", timeout: Timeout = STAGE_MOVES) -> Obj:
        """Wait until a Rollback has its outcome."""
        return self.kube.wait(
            "rollback", name, lambda r: r.get("status", {}).get("outcome") == outcome, timeout, f"it is {outcome}"
        )

    def url(self, stage: str = "production") -> str:
        """The stage's Service, by its address."""
        service = self.kube.get("service", f"{self.name}-{stage}")
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}/"

    def answer(self) -> str:
        """What production answers. A Service that is new is known to kube-proxy a moment after its endpoints are."""
        deadline = time.monotonic() + ROUTED.budget
        while True:
            try:
                with urllib.request.urlopen(self.url(), timeout=10) as response:
                    return str(response.read().decode())
            except urllib.error.URLError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"{self.url()}: {ROUTED.name}: {error}") from error
                time.sleep(0.1)

    def answered_by(self, version: str) -> None:
        """Wait until new connections reach a version: the node routes by the last switch."""
        deadline = time.monotonic() + ROUTED.budget
        while (answer := self.answer().split()[0]) != version:
            assert time.monotonic() < deadline, f"{ROUTED.name}: version {answer} answers, not {version}"
            time.sleep(0.1)

    def deployments(self) -> dict[str, int]:
        """Replicas of the Deployments, by name."""
        return {d["metadata"]["name"]: d["spec"]["replicas"] for d in self.kube.items("deployments")}

    def history(self) -> list[tuple[str, str]]:
        """Every move so far: (type, version)."""
        lines = self.kube.get("model", self.name).get("status", {}).get("transitions", [])
        return [(line["type"], line["to"]["version"]) for line in lines]

    def selector(self) -> str:
        """The revision that production's Service names."""
        service = self.kube.get("service", f"{self.name}-production")
        return str(service["spec"]["selector"]["modelyard.dev/revision"])


def storage_secret(settings: Mapping[str, str]) -> Obj:
    """The namespace's default storage Secret."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL")
    data = {key: settings[key] for key in keys}
    return json.loads(
        json.dumps(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "modelyard-storage"}, "stringData": data}
        )
    )
