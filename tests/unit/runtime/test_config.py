"""Settings: defaults, the whole file, and mistakes that are named."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelyard.decide.snapshot import HelperPods, Settings
from modelyard.ledger.errors import KeyFileError
from modelyard.ledger.place import LedgerSettings, Retention
from modelyard.runtime.config import Config, ConfigError, Ledger
from modelyard.storage.settings import StorageSettings

WHOLE: dict[str, Any] = {
    "watchNamespaces": ["risk", "ads"],
    "clusterName": "eu-1",
    "leaseName": "yard",
    "leaseNamespace": "ml-system",
    "listenPort": 9000,
    "logLevel": "debug",
    "logFormat": "text",
    "workers": 2,
    "maxVerificationsPerNamespace": 7,
    "sweepInterval": 60,
    "helperPods": {
        "image": "registry.example.com/modelyard:1",
        "imagePullPolicy": "Always",
        "imagePullSecrets": ["pull"],
        "resources": {"limits": {"memory": "256Mi"}},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "nodeSelector": {"pool": "small"},
        "labels": {"team": "ml"},
        "runAsUser": None,
    },
    "admission": True,
    "sharedAccounts": ["argocd"],
    "ledger": {
        "url": "s3://records/ledger",
        "endpoint": "https://s3.example.com",
        "region": "eu-1",
        "caBundle": "PEM",
        "forcePathStyle": True,
        "retention": {"mode": "Compliance", "days": 3650},
        "recoverFrom": ["eu-0"],
        "signingKey": "/etc/modelyard/signing/key.pem",
        "servePort": 8443,
    },
}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_every_field_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    monkeypatch.setenv("POD_NAME", "modelyard-0")
    config = Config.read(written(tmp_path, {}))

    assert config.watch_namespaces == ()
    assert (config.lease_namespace, config.lease_name) == ("modelyard-system", "modelyard")
    assert config.identity == "modelyard-0"
    assert config.as_decided_on() == Settings(HelperPods(image="modelyard:dev"))


def test_the_lease_lives_where_the_pod_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "ml")

    assert Config().lease_namespace == "ml"


def test_every_field_can_be_set(tmp_path: Path) -> None:
    config = Config.read(written(tmp_path, WHOLE))

    assert config.model_dump(mode="json", by_alias=True, exclude={"identity"}) == WHOLE
    assert config.helper_pods.as_decided_on() == HelperPods(
        image="registry.example.com/modelyard:1",
        image_pull_policy="Always",
        image_pull_secrets=("pull",),
        resources={"limits": {"memory": "256Mi"}},
        tolerations=({"key": "gpu", "operator": "Exists"},),
        node_selector={"pool": "small"},
        labels={"team": "ml"},
        run_as_user=None,
    )
    assert config.ledger
    assert config.ledger.as_opened() == LedgerSettings(
        "s3://records/ledger",
        StorageSettings("https://s3.example.com", "eu-1", force_path_style=True, ca_bundle="PEM"),
        Retention("COMPLIANCE", 3650),
    )


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"wrokers": 2}, "wrokers: there is no such setting"),
        ({"workers": 0}, "workers: input should be greater than or equal to 1 (found 0)"),
        ({"helperPods": {"imagePullPolicy": "Sometimes"}}, "helperPods.imagePullPolicy: input should be 'Always'"),
        ({"watchNamespaces": "risk"}, "watchNamespaces: input should be a valid tuple (found 'risk')"),
        ({"ledger": {"url": "s3://records"}}, "ledger: its records need a clusterName: 1-63 letters"),
        ({"clusterName": "a", "ledger": {"url": "/var/lib"}}, "ledger.url: string should match pattern"),
        (
            {"clusterName": "a", "ledger": {"url": "s3://b", "retention": {"mode": "Governance"}}},
            "days: field required",
        ),
        (
            {"clusterName": "a", "ledger": {"url": "s3://records", "recoverFrom": ["eu/1"]}},
            "ledger.recoverFrom.0: string should match pattern",
        ),
        ("{", "not JSON"),
        ([], "(the whole file): input should be a valid dictionary"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(tmp_path: Path, given: Any, complaint: str) -> None:
    path = written(tmp_path, given)

    with pytest.raises(ConfigError) as refused:
        Config.read(path)

    assert str(refused.value).startswith(f"read settings: {path}: ")
    assert complaint in str(refused.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"workers: .*; listenPort: |listenPort: .*; workers: "):
        Config.read(written(tmp_path, {"workers": 0, "listenPort": -1}))


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Config.read(tmp_path / "absent.json")


def test_a_signing_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for content, complaint in ((None, "No such file"), ("nonsense", "no unencrypted private key in PEM")):
        if content:
            path.write_text(content)
        with pytest.raises(KeyFileError, match=f"read signing key {path}: {complaint}"):
            Ledger(url="s3://records", signing_key=str(path)).signer()
    assert Ledger(url="s3://records").signer() is None
