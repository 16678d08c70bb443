"""What `kubectl modelyard` changes, and waits for, on a real API server.

Statuses are written by the tests, as the operator would; what the operator makes of what the plugin writes is tested
with real pods, in tests/cluster.
"""

import json
import time
from pathlib import Path

import pytest
import yaml

from tests.api.conftest import Registry
from tests.api.plugin_world import DIGEST, REQUEST, Obj, Operator, condition, furnish, model, rows, version
from tests.plugin import Plugin

pytestmark = pytest.mark.api


@pytest.fixture
def plugin(registry: Registry, tmp_path: Path) -> Plugin:
    """The plugin, speaking to the tests' group."""
    return Plugin.install(registry.kube, tmp_path, registry.group)


@pytest.fixture
def two(registry: Registry) -> Operator:
    """Two versions, and the operator's hand."""
    return furnish(registry)


# Changing


def test_promote_asks_for_the_stage_and_says_who_and_why(plugin: Plugin, two: Operator, registry: Registry) -> None:
    done = plugin("promote", "fraud-7", "production", "--reason", "better", "--change", "3f2a", "-o", "name").ok()
    assert done.out.strip() == f"modelversion.{registry.group}/fraud-7"
    assert "which serves 6" in done.err
    changed = registry.get("ModelVersion", "fraud-7")
    assert changed["spec"]["stage"] == "production"
    notes = changed["metadata"]["annotations"]
    assert notes[two.name("modelyard.dev/reason")] == "better"
    assert notes[two.name("modelyard.dev/change")] == "3f2a"
    assert notes[two.name("modelyard.dev/requested-by")] == registry.kube.run(
        "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"
    )


def test_what_is_asked_already_is_not_asked_again(plugin: Plugin, two: Operator, registry: Registry) -> None:
    before = registry.get("ModelVersion", "fraud-6")["metadata"]["resourceVersion"]
    assert "carries production" in plugin("promote", "fraud-6", "production").ok().err
    assert registry.get("ModelVersion", "fraud-6")["metadata"]["resourceVersion"] == before


def test_a_request_that_ended_is_asked_anew(plugin: Plugin, two: Operator, registry: Registry) -> None:
    plugin("promote", "fraud-7", "production", "--reason", "first").ok()
    two.says("7", "Failed", "ProgressDeadlineExceeded")
    assert "asked: changed ModelVersion fraud-7" in plugin("promote", "fraud-7", "production").ok().err
    notes = registry.get("ModelVersion", "fraud-7")["metadata"]["annotations"]
    assert two.name(REQUEST) in notes
    assert two.name("modelyard.dev/reason") not in notes


def test_a_dry_run_changes_nothing(plugin: Plugin, two: Operator, registry: Registry) -> None:
    done = plugin("promote", "fraud-7", "production", "--dry-run").ok()
    assert "nothing was changed" in done.err
    assert "stage" not in registry.get("ModelVersion", "fraud-7")["spec"]


@pytest.fixture
def named(two: Operator, registry: Registry) -> Operator:
    """The Model names version 6 for production itself."""
    stages = [{"name": "staging", "paused": True}, {"name": "production", "version": "6"}]
    registry.patch(model(), {"spec": {"stages": stages}})
    return two


def test_where_the_model_names_the_version_that_line_is_changed(
    plugin: Plugin, named: Operator, registry: Registry
) -> None:
    done = plugin("promote", "fraud-7", "production", "--reason", "better").ok()
    assert "asked: changed Model fraud" in done.err
    changed = registry.get("Model", "fraud")
    assert changed["spec"]["stages"] == [
        {"name": "staging", "paused": True},
        {"name": "production", "version": "7"},
    ]
    notes = changed["metadata"]["annotations"]
    assert notes[named.name("modelyard.dev/reason")] == "better"
    assert named.name("modelyard.dev/requested-by") in notes
    assert "stage" not in registry.get("ModelVersion", "fraud-7")["spec"]
    named.says_of_line("7", "Serving", "Serving")
    assert "carries production since" in plugin("promote", "fraud-7", "production").ok().err
    assert registry.get("Model", "fraud")["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    named.says_of_line("7", "RolledBack", "RolledBack")
    plugin("promote", "fraud-7", "production").ok()
    assert named.name(REQUEST) in registry.get("Model", "fraud")["metadata"]["annotations"]


def test_a_line_that_comes_from_git_is_left_alone(plugin: Plugin, named: Operator, registry: Registry) -> None:
    in_git = model(stages=[{"name": "staging"}, {"name": "production", "version": "6"}])
    registry.apply(in_git, manager="argocd-controller", force=True)
    done = plugin("promote", "fraud-7", "production")
    assert done.code == 1
    assert "argocd-controller keeps the version of stage 'production'" in done.err
    assert "name version '7' there in Git instead" in done.err
    assert registry.get("Model", "fraud")["spec"]["stages"][1]["version"] == "6"


def test_a_wait_for_the_models_line_does_not_end_with_the_one_before(plugin: Plugin, named: Operator) -> None:
    named.says_of_line("7", "Failed", "GateFailed")
    waiting = plugin.start("promote", "fraud-7", "production", "--wait", "--timeout", "60s")
    assert waiting.stderr is not None
    while "has not answered yet" not in waiting.stderr.readline():
        assert waiting.poll() is None
    named.says_of_line("7", "Failed", "DigestMismatch", "model.bin differs")
    assert waiting.wait(20) == 1
    assert "fraud-7: Failed: DigestMismatch: model.bin differs" in waiting.communicate()[1]
    assert plugin("wait", "fraud-7").code == 1


def test_a_model_may_want_reasons(plugin: Plugin, two: Operator, registry: Registry) -> None:
    registry.patch(model(), {"spec": {"requireReason": True}})
    assert "--reason" in plugin("promote", "fraud-7", "production").err
    plugin("promote", "fraud-7", "production", "--reason", "better").ok()


def test_who_may_not_is_told_so(plugin: Plugin, two: Operator, registry: Registry) -> None:
    nobody = Plugin(registry.kube.as_user("nobody"), plugin.folder, plugin.group)
    done = nobody("list")
    assert done.code == 4
    assert "forbidden" in done.err
    assert "nobody" in done.err


def test_retry_asks_for_another_attempt(plugin: Plugin, two: Operator, registry: Registry) -> None:
    plugin("promote", "fraud-7", "production").ok()
    two.says("7", "Failed", "GateFailed", gates=[{"stage": "production", "name": "smoke", "result": "Error"}])
    assert "gate production/smoke: Error" in plugin("retry", "fraud-7").ok().err
    notes = registry.get("ModelVersion", "fraud-7")["metadata"]["annotations"]
    assert notes[two.name("modelyard.dev/retry")]
    assert notes[two.name("modelyard.dev/retried-by")]


def test_a_wait_for_another_attempt_does_not_end_with_the_one_before(plugin: Plugin, two: Operator) -> None:
    plugin("promote", "fraud-7", "production").ok()
    two.says("7", "Failed", "GateFailed")
    waiting = plugin.start("retry", "fraud-7", "--wait", "--timeout", "60s")
    assert waiting.stderr is not None
    while "has not answered yet" not in waiting.stderr.readline():
        assert waiting.poll() is None
    two.says("7", "Serving", "Serving")
    assert waiting.wait(20) == 0
    waiting.communicate()


def test_rollback_says_where_to_and_creates_one(plugin: Plugin, two: Operator, registry: Registry) -> None:
    nowhere = plugin("rollback", "fraud@production")
    assert nowhere.code == 1
    assert "no good version was served before 6" in nowhere.err
    two.points("production", "7", rollbackTarget={"version": "6", "warm": True})
    done = plugin("rollback", "fraud@production", "--reason", "false positives", "--ticket", "INC-1", "-o", "json").ok()
    assert "from 7" in done.err
    assert "to 6 (its pods run: one write)" in done.err
    made = json.loads(done.out)
    expected = {"model": "fraud", "stage": "production", "reason": "false positives", "ticket": "INC-1"}
    assert made["spec"] == expected


# Waiting


def test_wait_tells_each_step_until_it_serves(plugin: Plugin, two: Operator, registry: Registry) -> None:
    plugin("promote", "fraud-7", "production").ok()
    waiting = plugin.start("wait", "fraud-7", "--timeout", "60s")
    assert waiting.stderr is not None
    assert "the operator has not answered yet" in waiting.stderr.readline()
    two.says("7", "Deploying", "Fetching", "pods are fetching")
    assert "Deploying  Fetching: pods are fetching" in waiting.stderr.readline()
    two.says("7", "Serving", "Serving")
    assert waiting.wait(20) == 0
    assert "Serving" in waiting.communicate()[1]


def test_wait_ends_within_seconds_of_a_failure(plugin: Plugin, two: Operator, registry: Registry) -> None:
    plugin("promote", "fraud-7", "production").ok()
    waiting = plugin.start("wait", "fraud-7")
    assert waiting.stderr is not None
    waiting.stderr.readline()
    failed_at = time.monotonic()
    two.says("7", "Failed", "ProgressDeadlineExceeded", "not ready within 10m")
    assert waiting.wait(20) == 1
    assert time.monotonic() - failed_at < 5
    assert "fraud-7: Failed: ProgressDeadlineExceeded: not ready within 10m" in waiting.communicate()[1]


def test_an_end_of_an_earlier_request_is_not_taken_for_this_ones(plugin: Plugin, two: Operator) -> None:
    plugin("promote", "fraud-7", "production").ok()
    two.says("7", "Failed", "FileMismatch")
    again = plugin.start("promote", "fraud-7", "production", "--wait", "--timeout", "60s")
    assert again.stderr is not None
    while "has not answered yet" not in again.stderr.readline():
        assert again.poll() is None
    two.says("7", "Serving", "Serving")
    assert again.wait(20) == 0
    again.communicate()


def test_wait_goes_on_while_gates_in_traffic_are_asked(plugin: Plugin, two: Operator) -> None:
    plugin("promote", "fraud-7", "production").ok()
    on_trial = [condition("Reconciling", "True", "GateRunning")]
    two.says("7", "Serving", "GateRunning", conditions=on_trial)
    assert plugin("wait", "fraud-7", "--timeout", "1s").code == 5
    two.says("7", "Serving", "Serving", conditions=[condition("Ready", "True", "Serving")])
    plugin("wait", "fraud-7").ok()


def test_wait_gives_up_in_time(plugin: Plugin, two: Operator) -> None:
    plugin("promote", "fraud-7", "production").ok()
    done = plugin("wait", "fraud-7", "--timeout", "1s")
    assert done.code == 5
    assert "not done within 1 s" in done.err


def test_a_version_without_a_request_is_waited_for_until_verified(plugin: Plugin, two: Operator) -> None:
    plugin("wait", "fraud-7").ok()
    two.write(version("7"), {"verification": {"state": "Failed"}})
    two.write(version("7"), {"conditions": [condition("Verified", "False", "FileMismatch", "model.bin differs")]})
    done = plugin("wait", "fraud-7")
    assert done.code == 1
    assert "FileMismatch: model.bin differs" in done.err


def test_a_refused_rollback_fails_the_wait(plugin: Plugin, two: Operator, registry: Registry) -> None:
    two.points("production", "7", rollbackTarget={"version": "6", "warm": False})
    waiting = plugin.start("rollback", "fraud@production", "--wait")
    assert waiting.stderr is not None
    waiting.stderr.readline()
    name = waiting.stderr.readline().split()[-1]
    refused = {"outcome": "Refused", "conditions": [condition("Applied", "False", "NotEligible", "was never good")]}
    two.write({"kind": "Rollback", "metadata": {"name": name}}, refused)
    assert waiting.wait(20) == 1
    assert "NotEligible: was never good" in waiting.communicate()[1]


# Judging


def test_approve_shows_both_versions_and_binds_the_digest(plugin: Plugin, two: Operator, registry: Registry) -> None:
    registry.patch(model(), {"spec": {"stages": [{"name": "production", "approvals": {"required": 2}}]}})
    plugin("promote", "fraud-7", "production").ok()
    gates = [{"stage": "production", "name": "smoke", "result": "Passed", "message": "p99 is 12 ms"}]
    two.says("7", "Held", "AwaitingApproval", gates=gates, approvals={"required": 2, "approvedBy": ["carol"]})
    done = plugin("approve", "fraud-7", "--comment", "fine", "--timeout", "0s", "-o", "json").ok()
    assert "beside fraud-6, which serves there" in done.err
    assert ["auc", "0.9", "0.91", "~ +0.01"] in rows(done.err)
    assert ["production/smoke", "Passed", "p99 is 12 ms"] in rows(done.err)
    assert "1 of 2 approvals so far: carol" in done.err
    assert json.loads(done.out)["spec"] == {
        "model": "fraud", "version": "7", "stage": "production", "digest": DIGEST["7"], "decision": "Approve",
        "comment": "fine",
    }  # fmt: skip


def test_reject_needs_a_stage_when_none_is_asked_for(plugin: Plugin, two: Operator, registry: Registry) -> None:
    assert plugin("reject", "fraud-7").code == 2
    made = plugin("reject", "fraud-7", "--stage", "production", "--timeout", "0s", "-o", "json").ok()
    assert json.loads(made.out)["spec"]["decision"] == "Reject"


@pytest.mark.parametrize(
    ("typed", "extra", "code", "made"), [("n\n", [], 1, 0), ("y\n", [], 0, 1), ("", ["--yes"], 0, 1)]
)
def test_on_a_terminal_it_asks_first(
    plugin: Plugin, two: Operator, registry: Registry, typed: str, extra: list[str], code: int, made: int
) -> None:
    done = plugin.on_terminal("approve", "fraud-7", "--stage", "production", "--timeout", "0s", *extra, typed=typed)
    assert done.code == code
    assert ("Approve fraud-7 for production?" in done.out) is (not extra)
    assert len(registry.kube.items(registry.resource("Approval"))) == made


def test_an_approval_that_does_not_count_fails(plugin: Plugin, two: Operator, registry: Registry) -> None:
    approving = plugin.start("approve", "fraud-7", "--stage", "production", "--timeout", "60s")
    assert approving.stderr is not None
    while not (line := approving.stderr.readline()).startswith("created: approval "):
        assert approving.poll() is None
    name = line.split()[2]
    status = {"conditions": [condition("Counted", "False", "RequesterExcluded", "you asked for it")]}
    two.write({"kind": "Approval", "metadata": {"name": name}}, status)
    assert approving.wait(20) == 1
    assert "does not count: RequesterExcluded: you asked for it" in approving.communicate()[1]


def test_bytes_that_nobody_read_cannot_be_approved(plugin: Plugin, registry: Registry) -> None:
    registry.create(model())
    registry.create(version("6", stage="staging"))
    done = plugin("approve", "fraud-6")
    assert done.code == 1
    assert "has no digest to judge" in done.err


# Leaving


def test_eject_makes_objects_that_nobody_owns(plugin: Plugin, two: Operator, registry: Registry) -> None:
    owner = registry.get("Model", "fraud")["metadata"]["uid"]
    for kind, name, revision, body in (
        ("Deployment", "fraud-production-r6", "r6", deployment("r6")),
        ("Deployment", "fraud-production-r5", "r5", deployment("r5")),
        ("Service", "fraud-production", "", {"spec": {"selector": {"a": "b"}, "ports": [{"port": 8080}]}}),
        ("ConfigMap", "fraud-production", "", {"data": {"version": "6"}}),
    ):
        registry.kube.create(managed(registry.group, kind, name, revision, owner) | body)
    address = registry.kube.get("service", "fraud-production")["spec"]["clusterIP"]
    text = plugin("eject", "fraud").ok().out
    made = {(obj["kind"], obj["metadata"]["name"]) for obj in yaml.safe_load_all(text)}
    stage = "fraud-production"
    assert made == {("Deployment", f"{stage}-r6"), ("Service", stage), ("ConfigMap", stage)}
    registry.kube.run("replace", "--filename=-", stdin=text)
    for kind, name in made:
        metadata = registry.kube.get(kind.lower(), name)["metadata"]
        assert "ownerReferences" not in metadata
        assert "app.kubernetes.io/managed-by" not in metadata["labels"]
    assert registry.kube.get("service", stage)["spec"]["clusterIP"] == address


def managed(group: str, kind: str, name: str, revision: str, owner: str) -> Obj:
    labels = {"app.kubernetes.io/managed-by": "modelyard", f"{group}/model": "fraud", f"{group}/stage": "production"}
    labels |= {f"{group}/revision": revision} if revision else {}
    reference = {"apiVersion": f"{group}/v1alpha1", "kind": "Model", "name": "fraud", "uid": owner, "controller": True}
    metadata = {"name": name, "labels": labels, "ownerReferences": [reference]}
    return {"apiVersion": "apps/v1" if kind == "Deployment" else "v1", "kind": kind, "metadata": metadata}


def deployment(revision: str) -> Obj:
    labels = {"revision": revision}
    pod = {"containers": [{"name": "server", "image": "none"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}}
