"""The main job with real pods: verify, serve, promote under load, tamper, roll back, withdraw, reconfigure."""

import json

import pytest

from tests.cluster.load import Load
from tests.cluster.registry import BUCKET, STAGE_MOVES, Registry, template
from tests.kube import PODS_READY, VERSION_VERIFIED, Obj, Timeout, condition, has_condition

pytestmark = pytest.mark.cluster

LONG_ENOUGH = Timeout("a change that must not come", 8)


def promote(registry: Registry, *versions: str) -> None:
    for version in versions:
        registry.version(version)
        registry.serves(version)
    registry.answered_by(versions[-1])


def test_a_version_is_verified_and_served(registry: Registry) -> None:
    registry.model()
    promote(registry, "1")
    assert registry.answer().split()[:2] == ["1", "bytes-of-1"]
    version = registry.reaches("1", "Serving")["status"]
    assert version["stage"] == "production"
    assert version["artifact"]["fileCount"] == 1
    configmap = registry.kube.get("configmap", "fraud-production")["data"]
    assert configmap["digest"] == version["digest"]
    assert configmap["endpoint"] == f"fraud-production.{registry.namespace}.svc:8080"
    row = registry.kube.run("get", "models").splitlines()[1].split()
    assert row[:2] == ["fraud", "1"]


def test_promotion_under_load_fails_no_request(registry: Registry) -> None:
    registry.model(stages=[{"name": "production", "serving": {"replicas": 2}}])
    promote(registry, "1")
    with Load(registry.url()) as load:
        load.until("1")
        promote(registry, "2")
        load.until("2")
    assert load.failures == []
    registry.reaches("1", "StandingBy")


def test_an_altered_file_is_refused_by_name(registry: Registry) -> None:
    registry.model()
    promote(registry, "1")
    declared = {"path": "answer.txt", "sha256": "0" * 64}
    registry.version("2", artifact={"uri": registry.upload("2"), "files": [declared]})
    failed = registry.reaches("2", "Failed", "FileMismatch")
    assert "answer.txt" in failed["status"]["request"]["message"]
    assert registry.answer().split()[0] == "1"
    registry.kube.told("fraud-2", "VerificationFailed")


def test_bytes_changed_after_verification_never_serve(registry: Registry) -> None:
    registry.model()
    promote(registry, "1")
    registry.version("2", stage=None)
    registry.kube.wait("modelversion", "fraud-2", has_condition("Verified", "True"), VERSION_VERIFIED)
    # The store keeps versions, and those of the verified bytes are pinned: with them gone, only other bytes are left.
    key = f"{registry.namespace}/fraud/2/answer.txt"
    registry.s3.put_object(Bucket=BUCKET, Key=key, Body=b"other bytes")
    kept = registry.s3.list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions", [])
    for old in kept:
        if not old["IsLatest"]:
            registry.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=old["VersionId"])
    registry.version("2")
    registry.reaches("2", "Failed")
    assert registry.answer().split()[0] == "1"


def test_warm_rollback_under_load_fails_no_request_and_holds(registry: Registry) -> None:
    registry.model()
    promote(registry, "1", "2")
    with Load(registry.url()) as load:
        load.until("2")
        registry.rollback("back")
        registry.applied("back")
        load.until("1")
        registry.version("2")  # the old manifest is asserted again
        registry.kube.delete("rollback", "back")
        registry.kube.stays(
            "model", "fraud", lambda m: registry.current(m)["version"] == "1", LONG_ENOUGH, "production serves 1"
        )
    assert load.failures == []
    assert registry.history()[-1] == ("RolledBack", "1")


def test_keep_alive_clients_leave_the_bad_version_at_a_rollback(registry: Registry) -> None:
    registry.model()
    promote(registry, "1", "2")
    with Load(registry.url(), keep_alive=True) as load:
        load.until("2")
        registry.rollback("back")
        registry.applied("back")
        load.until("1", seconds=90)
    assert load.failures == []


def test_cold_rollback_serves_on_until_the_target_is_ready(registry: Registry) -> None:
    registry.model(serving={"keepWarm": {"for": "0s"}})
    promote(registry, "1", "2")
    cold = (
        f"fraud-production-{registry.kube.get('model', 'fraud')['status']['stages'][0]['rollbackTarget']['revision']}"
    )
    registry.kube.wait("deployment", cold, lambda d: d["spec"]["replicas"] == 0, PODS_READY, "it is scaled to zero")
    with Load(registry.url()) as load:
        load.until("2")
        registry.rollback("back")
        registry.applied("back")
        load.until("1")
    assert load.failures == []


def test_a_version_that_never_gets_ready_is_given_up(registry: Registry) -> None:
    registry.model(serving={"progressDeadline": "5s"})
    promote(registry, "1")
    registry.version("2", serving={"env": [{"name": "MODELYARD_TEST_BROKEN", "value": "1"}]})
    registry.reaches("2", "Failed", "ProgressDeadlineExceeded")
    assert registry.answer().split()[0] == "1"
    registry.kube.wait(
        "model", "fraud", lambda _: len(registry.deployments()) == 1, PODS_READY, "its Deployment is gone"
    )


def test_a_template_change_takes_over_without_a_failed_request(registry: Registry) -> None:
    registry.model()
    promote(registry, "1")
    before = registry.selector()
    with Load(registry.url()) as load:
        load.until("1")
        registry.model(serving={"template": template(FLAVOUR="spicy")})
        registry.kube.wait(
            "service",
            "fraud-production",
            lambda s: s["spec"]["selector"]["modelyard.dev/revision"] != before,
            STAGE_MOVES,
            "the Service names another revision",
        )
    assert load.failures == []
    assert registry.history()[-1] == ("Reconfigured", "1")


def test_another_port_replaces_the_one_before(registry: Registry) -> None:
    registry.model()
    promote(registry, "1")
    registry.model(serving={"template": template(port=9000), "port": 9000})
    registry.kube.wait(
        "service",
        "fraud-production",
        lambda s: [port["port"] for port in s["spec"]["ports"]] == [9000],
        STAGE_MOVES,
        "the Service has the other port alone",
    )
    registry.answered_by("1")
    assert registry.history()[-1] == ("Reconfigured", "1")


def test_a_service_of_another_name_has_its_pods_before_the_one_before_goes(registry: Registry) -> None:
    registry.model()
    promote(registry, "1")
    registry.model(stages=[{"name": "production", "serving": {"replicas": 1, "serviceName": "fraud"}}])
    registry.kube.wait_gone("service", "fraud-production")
    (piece,) = registry.kube.items("endpointslices", selector="kubernetes.io/service-name=fraud")
    assert [endpoint["conditions"]["ready"] for endpoint in piece["endpoints"]] == [True]


@pytest.mark.parametrize("how", ["edit", "deletion"])
def test_withdrawal_gives_the_stage_back(registry: Registry, how: str) -> None:
    registry.model()
    promote(registry, "1", "2")
    if how == "edit":
        registry.version("2", stage=None)
    else:
        registry.kube.delete("modelversion", "fraud-2")
    registry.serves("1")
    assert registry.history()[-1] == ("Succeeded", "1")


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")], ids=["asked first", "withdrawn first"])
def test_reverting_the_promoting_commit_is_a_rollback(registry: Registry, order: tuple[str, str]) -> None:
    registry.model()
    promote(registry, "1")
    registry.version("2")
    registry.version("1", stage=None)
    registry.serves("2")
    for version in order:
        registry.version(version, stage="production" if version == "1" else None)
    registry.serves("1")


def test_replicas_set_by_an_autoscaler_are_kept_and_matched(registry: Registry) -> None:
    registry.model(stages=[{"name": "production"}])
    promote(registry, "1")
    (name,) = registry.deployments()
    registry.kube.run("scale", f"deployment/{name}", "--replicas=2")
    registry.kube.stays("deployment", name, lambda d: d["spec"]["replicas"] == 2, LONG_ENOUGH, "2 replicas")
    promote(registry, "2")
    serving = f"fraud-production-{registry.selector()}"
    assert registry.deployments()[serving] == 2


def test_a_name_that_is_taken_is_not_adopted(registry: Registry) -> None:
    ports = {"ports": [{"port": 80}]}
    registry.kube.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fraud-production"}, "data": {"mine": "yes"}}
    )
    registry.kube.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud-production"}, "spec": ports}
    )
    registry.model()
    registry.version("1")
    registry.kube.wait("model", "fraud", has_condition("Accepted", "False", "NameConflict"), STAGE_MOVES)
    assert "selector" not in registry.kube.get("service", "fraud-production")["spec"]


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        pytest.param({"AWS_SECRET_ACCESS_KEY": "wrong"}, "CredentialsInvalid", id="wrong credentials"),
        pytest.param({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "StoreUnavailable", id="store down"),
    ],
)
def test_trouble_with_the_store_has_its_own_reason(registry: Registry, secret: Obj, reason: str) -> None:
    registry.kube.patch("secret", "modelyard-storage", {"stringData": secret})
    registry.model()
    registry.version("1")

    def says(obj: Obj) -> bool:
        return bool(condition(obj, "Verified").get("reason") == reason)

    registry.kube.wait("modelversion", "fraud-1", says, VERSION_VERIFIED, f"Verified says {reason}")


def test_wiped_status_moves_nothing(unprotected_registry: Registry) -> None:
    registry = unprotected_registry
    registry.model()
    promote(registry, "1", "2")
    registry.rollback("back")
    registry.applied("back")
    registry.serves("1")
    serving = registry.selector()
    for kind, name in (("modelversion", "fraud-1"), ("modelversion", "fraud-2"), ("model", "fraud")):
        registry.kube.patch(kind, name, json.loads('{"status": null}'), subresource="status")
    registry.serves("1")
    registry.kube.stays(
        "service",
        "fraud-production",
        lambda s: s["spec"]["selector"]["modelyard.dev/revision"] == serving,
        LONG_ENOUGH,
        "the same revision serves",
    )
    registry.reaches("2", "RolledBack")
