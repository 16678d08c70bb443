"""Whom a signature policy concerns, and when: stories on a simulated cluster whose verify pods judge signers."""

import json
from typing import Any

import pytest

from tests.unit.decide.ledger import Ledger
from tests.unit.decide.simulation import Cluster

RELEASE = {"name": "release", "publicKey": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}
OTHER = {**RELEASE, "name": "other"}
SHARED = {"name": "shared", "publicKeyFrom": {"configMapKeyRef": {"name": "keys", "key": "shared.pem"}}}
ROOTS = {
    "name": "corporate",
    "rootsFrom": {"secretKeyRef": {"name": "ca", "key": "ca.crt"}},
    "identities": [{"email": "release@example.com"}],
}


class Yard(Cluster):
    """A cluster in which a version is signed by the key of a name, or by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.signed: dict[str, str] = {}

    def require(self, *keys: dict[str, Any], **policy: Any) -> None:
        self.model(artifactPolicy={"signature": {"required": True, "keys": list(keys), **policy}})
        self.settle(20)

    def tasks(self, version: str) -> list[dict[str, Any]]:
        """What the verify pods of a version were told, oldest first."""
        jobs = [obj for (kind, _), obj in self.objects.items() if kind == "Job"]
        return [
            json.loads(job["spec"]["template"]["metadata"]["annotations"]["modelyard.dev/task"])
            for job in jobs
            if job["metadata"]["labels"]["modelyard.dev/version"] == version
        ]

    def verified(self, version: str) -> dict[str, Any]:
        found = super().verified(version)
        task = self.tasks(version)
        policy = task[-1]["signature"] if task else None
        if not policy:
            return found
        listed = [entry for entry in policy["keys"] if entry["name"] == self.signed.get(version)]
        if listed:
            name, entry = listed[0]["name"], listed[0]["id"]
            return {**found, "signature": {"by": name, "method": "Key", "listedAs": name, "entry": entry}}
        if policy["required"]:
            return {"error": {"reason": "SignatureMissing", "message": "there is none", "transient": False}}
        return found

    def outcome(self, version: str) -> tuple[str, str]:
        known = self.status("ModelVersion", f"fraud-{version}")["verification"]
        return known["state"], known["reason"]


@pytest.fixture
def yard() -> Yard:
    made = Yard()
    made.model()
    return made


def serve(yard: Yard, version: str, by: str = "") -> None:
    yard.signed[version] = by
    yard.version(version)
    yard.settle(20)


def test_a_signed_version_serves_and_says_who_signed(yard: Yard) -> None:
    yard.require(RELEASE)
    serve(yard, "1", by="release")
    assert yard.live() == "1"
    status = yard.status("ModelVersion", "fraud-1")
    assert status["artifact"]["signature"]["by"] == "release"
    assert status["verification"]["message"].endswith("signed by 'release'")


def test_an_unsigned_version_never_serves(yard: Yard) -> None:
    serve(yard, "1", by="release")
    yard.require(RELEASE)
    serve(yard, "2")
    assert yard.live() == "1"
    assert yard.request("2") == ("Failed", "SignatureMissing")
    assert set(yard.pointed) == {None, yard.serving()["metadata"]["labels"]["modelyard.dev/revision"]}  # type: ignore[index]


def test_without_a_policy_pods_are_told_nothing(yard: Yard) -> None:
    serve(yard, "1", by="release")
    (task,) = yard.tasks("1")
    assert task["signature"] is None


def test_what_serves_serves_on_when_signatures_become_required(yard: Yard) -> None:
    serve(yard, "1")
    serve(yard, "2")
    before = len(yard.tasks("1")) + len(yard.tasks("2"))
    yard.require(RELEASE)
    assert (yard.live(), yard.outcome("2")) == ("2", ("Passed", "Verified"))
    yard.rollback("back")
    yard.settle(20)
    assert yard.live() == "1", "going back to what was good is no promotion"
    assert len(yard.tasks("1")) + len(yard.tasks("2")) == before


def test_the_next_request_of_a_version_is_judged_by_the_policy_as_it_is_then(yard: Yard) -> None:
    """Verified before anybody asked for signatures, it is verified anew; served elsewhere, it serves on there."""
    yard.signed["1"] = "release"
    for version in ("1", "2"):
        yard.version(version, "staging")
        yard.settle(20)
    yard.require(RELEASE)
    assert len(yard.tasks("1")) == len(yard.tasks("2")) == 1
    yard.version("1", "production")
    yard.settle(20)
    assert (yard.live(), len(yard.tasks("1"))) == ("1", 2)
    assert yard.tasks("1")[-1]["digest"] == yard.status("ModelVersion", "fraud-1")["digest"]
    digest = yard.status("ModelVersion", "fraud-2")["digest"]
    yard.version("2", "production")
    yard.settle(20)
    assert yard.request("2") == ("Failed", "SignatureMissing")
    assert (yard.live(), yard.live("staging")) == ("1", "2")
    status = yard.status("ModelVersion", "fraud-2")
    assert (status["digest"], status["artifact"]["fileCount"]) == (digest, 2), "what is known of the bytes stays"


def test_the_record_tells_who_signed(yard: Yard) -> None:
    yard.ledger = Ledger()
    yard.require(RELEASE)
    serve(yard, "1", by="release")
    told = {record.type: record.version.signature for record in yard.ledger.records if record.version}
    assert told["Verified"]["by"] == told["Promoted"]["by"] == "release"


def test_a_request_on_its_way_is_judged_by_the_policy_as_it_is(yard: Yard) -> None:
    yard.slow = True
    serve(yard, "1")
    assert yard.request("1")[0] == "Deploying"
    yard.require(RELEASE)
    yard.slow = False
    yard.settle(20)
    assert (yard.live(), yard.request("1")) == (None, ("Failed", "SignatureMissing"))


def test_a_key_that_was_removed_is_trusted_no_more_and_one_that_was_added_changes_nothing(yard: Yard) -> None:
    yard.require(RELEASE)
    yard.signed["1"] = "release"
    yard.version("1", "staging")
    yard.settle(20)
    yard.require(OTHER, RELEASE)
    yard.version("1", "production")
    yard.settle(20)
    assert (yard.live(), len(yard.tasks("1"))) == ("1", 1)
    yard.require(OTHER)
    assert yard.live() == "1"
    yard.version("1", "staging", annotations={"modelyard.dev/request": "again"})
    yard.settle(20)
    assert yard.outcome("1") == ("Failed", "SignatureMissing")
    yard.signed["1"] = "other"
    yard.annotate("1", retry="signed again")
    yard.settle(20)
    assert yard.outcome("1") == ("Passed", "Verified")


def test_another_policy_while_a_pod_verifies_makes_another_attempt(yard: Yard) -> None:
    """What a pod was told of the policy before does not count under the one after."""
    yard.require(RELEASE)
    yard.signed["1"] = "release"
    yard.version("1")
    yard.hanging.add(None)  # type: ignore[arg-type]
    yard.settle()
    yard.require(OTHER)
    yard.hanging.clear()
    yard.settle(20)
    assert yard.request("1") == ("Failed", "SignatureMissing")
    assert len(yard.tasks("1")) == 2


def test_a_helper_that_looks_at_no_signatures_is_not_believed(yard: Yard) -> None:
    yard.require(RELEASE)
    yard.results["1"] = [{"digest": "sha256:" + "1" * 64, "sizeBytes": 1, "fileCount": 1, "format": "other"}]
    yard.version("1")
    yard.settle(20)
    assert yard.request("1") == ("Failed", "SignatureMissing")


@pytest.mark.parametrize(
    ("policy", "artifact", "reason"),
    [
        pytest.param({"required": True}, {"uri": "s3://m/1/"}, "SignatureUntrusted", id="nobody is trusted"),
        pytest.param(
            {"required": True, "keys": [RELEASE]}, {"external": {"provider": "p", "model": "m"}},
            "SignatureUnsupported", id="hosted by a provider",
        ),
    ],
)  # fmt: skip
def test_what_no_signature_could_make_good_starts_no_pod(
    yard: Yard, policy: dict[str, Any], artifact: dict[str, Any], reason: str
) -> None:
    yard.model(artifactPolicy={"signature": policy})
    yard.version("1", artifact=artifact)
    yard.settle(20)
    assert (yard.request("1"), yard.tasks("1")) == (("Failed", reason), [])


def test_a_failed_version_rests(yard: Yard) -> None:
    yard.require(RELEASE)
    serve(yard, "1")
    yard.settle(20)
    yard.step()
    assert yard.plans[-1].is_empty
    assert len(yard.tasks("1")) == 1


def test_keys_of_other_objects_are_mounted_into_the_verify_pod_alone(yard: Yard) -> None:
    yard.signed["1"] = "shared"
    yard.require(RELEASE, SHARED, certificates=[ROOTS])
    serve(yard, "1", by="shared")
    (job,) = [obj for (kind, _), obj in yard.objects.items() if kind == "Job"]
    pod = job["spec"]["template"]["spec"]
    assert pod["volumes"][-1] == {
        "name": "modelyard-trust",
        "projected": {
            "sources": [
                {
                    "configMap": {
                        "name": "keys",
                        "items": [{"key": "shared.pem", "path": "key-1.pem"}],
                        "optional": True,
                    }
                },
                {"secret": {"name": "ca", "items": [{"key": "ca.crt", "path": "roots-0.pem"}], "optional": True}},
            ]
        },
    }
    (task,) = yard.tasks("1")
    release, shared = task["signature"]["keys"]
    assert (release["pem"], shared["file"]) == (RELEASE["publicKey"], "key-1.pem")
    assert shared["origin"] == "key 'shared.pem' of ConfigMap 'keys'"
    assert task["signature"]["certificates"][0]["identities"] == ROOTS["identities"]
    serving = yard.serving()
    assert serving
    assert "modelyard-trust" not in json.dumps(serving)
