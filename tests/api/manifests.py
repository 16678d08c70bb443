"""One object of each kind that uses every field of its spec, and edits of it.

The tests break or change one thing at a time in them. That they use every field is itself tested, so a new field
comes under all these tests by being added here.
"""

import copy
from typing import Any

import yaml

Obj = dict[str, Any]
Path = tuple[str | int, ...]

_DIGEST = "sha256:" + "7e" * 32

_TEXT = f"""
apiVersion: modelyard.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  description: Scores card payments for fraud.
  owner: {{team: risk-ml, contact: risk-ml@example.com}}
  consumers: [{{name: checkout-api, contact: payments@example.com}}]
  card: {{inline: "# Fraud model"}}
  storage:
    secretRef: {{name: models-s3}}
    serviceAccountName: fraud
    endpoint: https://minio.storage.svc:9000
    region: eu-central-1
    caBundle: "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"
    forcePathStyle: true
  artifactPolicy:
    requireDeclaredFiles: true
    pickle: Refuse
    signature:
      required: false
      keys:
      - {{name: release, publicKey: "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"}}
      - {{name: next, publicKeyFrom: {{secretKeyRef: {{name: keys, key: next.pem}}}}}}
      - {{name: shared, publicKeyFrom: {{configMapKeyRef: {{name: keys, key: shared.pem}}}}}}
      certificates:
      - name: corporate
        roots: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
        identities: [{{email: release@example.com}}, {{uri: "spiffe://example.com/release"}}]
      - name: shared
        rootsFrom: {{configMapKeyRef: {{name: roots, key: ca.crt}}}}
        identities: [{{dnsName: release.example.com}}, {{subject: "CN=release,O=Example"}}]
      - {{name: own, rootsFrom: {{secretKeyRef: {{name: ca, key: ca.crt}}}}, identities: [{{subject: CN=release}}]}}
  requireReason: false
  serving: &serving
    port: 9000
    template:
      metadata: {{labels: {{team: risk-ml}}}}
      spec:
        securityContext: {{fsGroup: 2000}}
        containers: [{{name: server, image: "registry.example.com/server:1", ports: [{{containerPort: 9000}}]}}]
    progressDeadline: 5m
    scheduleDeadline: 1h
    imagePullDeadline: 90s
    fetchDeadline: 1h30m
    keepWarm: {{for: 2h, replicas: 0}}
    drainPeriod: 500ms
    revisionHistoryLimit: 5
    rollout: {{strategy: Replace}}
  stages:
  - name: production
    gates:
    - name: smoke
      when: BeforeTraffic
      inputs: Candidate
      job: {{template: {{metadata: {{}}, spec: {{containers: [{{name: evaluate}}]}}}}, timeout: 30m, retries: 1}}
      checks: ["candidate.p99_ms < 80"]
    approvals: {{required: 2, excludeRequester: true, expireAfter: 168h, allowServiceAccounts: false}}
    serving: {{<<: *serving, replicas: 3, serviceName: fraud}}
    version: "7"
    paused: false
    suspend: false
---
apiVersion: modelyard.dev/v1alpha1
kind: ModelVersion
metadata: {{name: fraud-7}}
spec:
  model: fraud
  version: "7"
  stage: production
  artifact:
    uri: s3://models/fraud/7/
    digest: {_DIGEST}
    files: [{{path: data/model.safetensors, sha256: {"3f" * 32}, size: 1048576}}]
    signature: {{uri: s3://models/fraud/7.sig}}
  framework: {{name: scikit-learn, version: 1.7.2}}
  format: safetensors
  serving:
    image: registry.example.com/server:2
    env: [{{name: WORKERS, value: "2"}}, {{name: TOKEN, valueFrom: {{secretKeyRef: {{name: token, key: token}}}}}}]
    resources: {{limits: {{memory: 1Gi, nvidia.com/gpu: 1}}, requests: {{cpu: 500m, memory: 1Gi}}}}
  author: alice@example.com
  source: {{repository: https://git.example.com/risk/fraud, revision: 3f2a9c1, path: train/}}
  run: {{id: 4c0ffee, uri: https://tracking.example.com/4c0ffee, experiment: fraud}}
  pipeline: {{engine: argo-workflows, runID: train-8xk2p, uri: https://argo.example.com/train-8xk2p}}
  datasets:
  - {{name: payments-2025q3, uri: s3://data/p/, version: "3", digest: {_DIGEST}, context: training}}
  baseModels: [{{ref: hf://org/name@3f2a9c1, relation: finetune}}]
  hyperparameters: {{depth: 6, learning_rate: 0.1, features: [amount, country], search: {{trials: 40}}}}
  metrics: {{auc: 0.913, slices: {{eu: {{auc: 0.91}}, us: {{auc: 0.92}}}}}}
  dependencies: {{image: registry.example.com/train:1, requirements: [scikit-learn==1.7.2]}}
  inputSchema: {{columns: [{{name: amount, type: double}}]}}
  outputSchema: {{type: double}}
  license: Apache-2.0
  description: Trained on the third quarter.
---
apiVersion: modelyard.dev/v1alpha1
kind: Approval
metadata: {{name: fraud-7-alice}}
spec:
  {{model: fraud, version: "7", stage: production, digest: "{_DIGEST}", decision: Approve, comment: Looks fine.}}
---
apiVersion: modelyard.dev/v1alpha1
kind: Rollback
metadata: {{name: inc-4711}}
spec: {{model: fraud, stage: production, toVersion: "6", reason: False positives., ticket: INC-4711}}
"""

FULL: dict[str, Obj] = {obj["kind"]: obj for obj in yaml.safe_load_all(_TEXT)}

EXTERNAL: Obj = {"provider": "openai", "model": "gpt-4o", "revision": "2024-08-06"}
"""The other half of spec.artifact, which a version has instead of a uri."""


def full(kind: str) -> Obj:
    """A copy of the full object."""
    return copy.deepcopy(FULL[kind])


def with_(obj: Obj, path: Path, value: Any) -> Obj:
    """A copy with the value at the path; what is missing on the way is made."""
    changed = copy.deepcopy(obj)
    at: Any = changed
    for part in path[:-1]:
        at = at.setdefault(part, {}) if isinstance(part, str) else at[part]
    at[path[-1]] = value
    return changed


def without(obj: Obj, path: Path) -> Obj:
    """A copy without what is at the path."""
    changed = copy.deepcopy(obj)
    at: Any = changed
    for part in path[:-1]:
        at = at[part]
    del at[path[-1]]
    return changed


def written(path: Path) -> str:
    """A path as the API server writes it: `spec.stages[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
