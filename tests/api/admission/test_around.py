"""Nothing serves around the registry: attempts to steal a stage's traffic or a gate's verdict, and what stays free."""

import pytest

from modelyard.api.names import GROUP

from .acts import annotate, apply, create, delete, evict, execute, label, outcome, patch, replace, scale, status
from .cast import GATE_POD, OURS, SELECTOR, Act, Cast, configmap, cronjob, deployment, job, pod, service
from .table import Row, rows, words
from .words import ALLOWED, NO_COMMANDS, lookalike, managed, reported

pytestmark = pytest.mark.api

DEPLOYMENT = "fraud-production-abc"
SERVICE_CHANGE = managed("change", "Service", "fraud-production")
POD_CHANGE = managed("change", "Pod", "fraud-pod")
ELSEWHERE = {"spec": {"selector": {f"{GROUP}/revision": "def"}}}
IMAGE = {"containers": [{"name": "server", "image": "evil"}]}
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}
GATE_CONDITION = {"conditions": [{"type": "example.com/ready", "status": "True"}]}

SERVICES: list[Row] = [
    ("led elsewhere", "edith", patch("service", "fraud-production", ELSEWHERE), SERVICE_CHANGE),
    ("by an administrator", "root", patch("service", "fraud-production", ELSEWHERE), SERVICE_CHANGE),
    ("by apply", "edith", apply(service("fraud-production", OURS, {"app": "mine"})), SERVICE_CHANGE),
    ("by replace", "edith", replace("service", "fraud-production", selector={"app": "mine"}), SERVICE_CHANGE),
    ("deleted", "edith", delete("service", "fraud-production"), managed("delete", "Service", "fraud-production")),
    ("disowned", "edith", label("service", "fraud-production", dict.fromkeys(OURS)), SERVICE_CHANGE),
    ("hidden", "edith", label("service", "fraud-production", {"app.kubernetes.io/managed-by": "me"}), SERVICE_CHANGE),
    ("its state altered", "edith", annotate("service", "fraud-production", sequence="99"), SERVICE_CHANGE),
    ("a team's label", "edith", label("service", "fraud-production", {"team": "risk"}), ALLOWED),
    ("a detour", "edith", create(service("detour", {}, SELECTOR)), lookalike("create", "Service", "detour")),
    (
        "one's own led here",
        "edith",
        patch("service", "mine", {"spec": {"selector": SELECTOR}}),
        lookalike("change", "Service", "mine"),
    ),
    ("one's own", "edith", patch("service", "mine", {"spec": {"selector": {"app": "other"}}}), ALLOWED),
    ("the operator switches", "operator", patch("service", "fraud-production", ELSEWHERE), ALLOWED),
    ("garbage", "garbage", delete("service", "fraud-production"), ALLOWED),
]
PODS: list[Row] = [
    ("made with the labels", "edith", create(pod("thief", SELECTOR)), managed("create", "Pod", "thief")),
    ("given the labels", "edith", label("pod", "mine", SELECTOR), managed("change", "Pod", "mine")),
    ("moved to the incumbent", "edith", label("pod", "fraud-pod", {f"{GROUP}/revision": "def"}), POD_CHANGE),
    ("taken out of traffic", "edith", label("pod", "fraud-pod", {f"{GROUP}/model": None}), POD_CHANGE),
    ("another image", "edith", patch("pod", "fraud-pod", {"spec": IMAGE}, type="strategic"), POD_CHANGE),
    ("a finalizer", "edith", patch("pod", "fraud-pod", {"metadata": {"finalizers": ["example.com/hold"]}}), POD_CHANGE),
    ("an owner", "edith", patch("pod", "fraud-pod", {"metadata": {"ownerReferences": [OWNER]}}), POD_CHANGE),
    ("another task", "edith", annotate("pod", "fraud-pod", task="{}"), POD_CHANGE),
    ("a mesh's label", "edith", label("pod", "fraud-pod", {"mesh": "on"}), ALLOWED),
    ("started anew", "edith", delete("pod", "fraud-pod"), ALLOWED),
    ("evicted", "edith", evict("fraud-pod"), ALLOWED),
    ("made by Kubernetes", "replicasets", create(pod("fraud-pod-2", OURS)), ALLOWED),
    ("restored", "velero", create(pod("fraud-pod-2", OURS)), ALLOWED),
]
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
VERDICTS: list[Row] = [
    ("made up", "mallory", status("pod", GATE_POD, {"phase": "Succeeded"}), reported("Pod", GATE_POD)),
    ("a condition is none", "mallory", status("pod", GATE_POD, GATE_CONDITION), ALLOWED),
    ("by its node", "node", status("pod", GATE_POD, {"phase": "Succeeded"}), ALLOWED),
    ("a pod made ready", "mallory", status("pod", "fraud-pod", READY), reported("Pod", "fraud-pod")),
    (
        "a pod's address",
        "mallory",
        status("pod", "fraud-pod", {"podIPs": [{"ip": "192.0.2.1"}]}),
        reported("Pod", "fraud-pod"),
    ),
    (
        "a Deployment made ready",
        "mallory",
        status("deployment", DEPLOYMENT, {"readyReplicas": 0, "replicas": 1}),
        reported("Deployment", DEPLOYMENT),
    ),
    (
        "a Job made complete",
        "mallory",
        status("job", "fraud-2-verify", {"active": 1}),
        reported("Job", "fraud-2-verify"),
    ),
    ("one's own pod", "mallory", status("pod", "mine", READY), ALLOWED),
    ("by a command", "edith", execute(GATE_POD), NO_COMMANDS),
    ("by an administrator's", "root", execute(GATE_POD), NO_COMMANDS),
    (
        "in a server",
        "edith",
        execute("fraud-pod"),
        "error: unable to upgrade connection: pod fraud-pod does not have a host assigned",
    ),
]
WORKLOADS: list[Row] = [
    ("labelled", "edith", create(deployment("thief", OURS, {"app": "x"})), managed("create", "Deployment", "thief")),
    ("with such pods", "edith", create(deployment("thief", {}, SELECTOR)), lookalike("create", "Deployment", "thief")),
    (
        "with such pods later",
        "edith",
        patch("deployment", "mine", {"spec": {"template": {"metadata": {"labels": SELECTOR}}}}),
        lookalike("change", "Deployment", "mine"),
    ),
    ("a Job", "edith", create(job("thief", {"app": "x"}, SELECTOR)), lookalike("create", "Job", "thief")),
    ("a CronJob", "edith", create(cronjob("thief", SELECTOR)), lookalike("create", "CronJob", "thief")),
    (
        "another image",
        "edith",
        patch("deployment", DEPLOYMENT, {"spec": {"template": {"spec": IMAGE}}}, type="strategic"),
        managed("change", "Deployment", DEPLOYMENT),
    ),
    (
        "another size past scale",
        "edith",
        patch("deployment", DEPLOYMENT, {"spec": {"replicas": 9}}),
        managed("change", "Deployment", DEPLOYMENT),
    ),
    ("kubectl scale", "edith", scale(DEPLOYMENT), ALLOWED),
    ("deleted", "edith", delete("deployment", DEPLOYMENT), managed("delete", "Deployment", DEPLOYMENT)),
    ("a Job deleted", "edith", delete("job", "fraud-2-verify"), managed("delete", "Job", "fraud-2-verify")),
    (
        "a ConfigMap rewritten",
        "edith",
        patch("configmap", "fraud-production", {"data": {"version": "9"}}),
        managed("change", "ConfigMap", "fraud-production"),
    ),
    ("a ConfigMap forged", "edith", create(configmap("thief", OURS)), managed("create", "ConfigMap", "thief")),
]


@pytest.mark.parametrize(("who", "act", "want"), rows(service=SERVICES, pod=PODS, workload=WORKLOADS, verdict=VERDICTS))
def test_who_may(cast: Cast, who: str, act: Act, want: str) -> None:
    assert outcome(cast, who, act) == words(cast, who, want)
