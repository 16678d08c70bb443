"""What `helm install` would send: pods fit for `restricted`, labels everywhere, configuration that arrives."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.runtime.config import Config

from .helm import CHART, ROOT, Helm, Manifest, Refused

COMMON_LABELS = {
    "app.kubernetes.io/name": "modelyard",
    "app.kubernetes.io/instance": "modelyard",
    "app.kubernetes.io/part-of": "modelyard",
    "app.kubernetes.io/managed-by": "Helm",
}


def one(objects: list[Manifest], kind: str, name: str = "modelyard") -> Manifest:
    """The only object of a kind and name."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
    return found[0]


def pods(objects: list[Manifest]) -> dict[str, dict[str, Any]]:
    """The spec of every pod that comes of the chart."""
    found = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Pod"}
    for each in objects:
        if "template" in each.get("spec", {}):
            found[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
    return found


def config(objects: list[Manifest], name: str = "modelyard") -> dict[str, Any]:
    """The operator's configuration file."""
    loaded: dict[str, Any] = json.loads(one(objects, "ConfigMap", name)["data"]["config.json"])
    return loaded


def test_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART))


def test_versions_agree() -> None:
    described = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (described["version"], described["appVersion"]) == (package, package)


def test_every_pod_is_restricted(objects: list[Manifest]) -> None:
    """The Pod Security Standard, and beyond it a read-only root, limits, and no variables of other Services."""
    assert set(pods(objects)) == {"modelyard", "modelyard-test"}
    for name, pod in pods(objects).items():
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod), name
        assert pod["enableServiceLinks"] is False, name
        assert pod["automountServiceAccountToken"] is True, name
        assert {next(iter(set(volume) - {"name"})) for volume in pod.get("volumes", [])} <= {"configMap", "emptyDir"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert set(container["resources"]) == {"requests", "limits"}, name


def test_the_platform_may_choose_the_user(helm: Helm) -> None:
    """OpenShift gives every namespace a range of user ids of its own."""
    objects = helm.render("--set=runAsUser=null")
    assert "runAsUser" not in pods(objects)["modelyard"]["securityContext"]
    large = pods(helm.render("--set=runAsUser=1000680000"))["modelyard"]["securityContext"]["runAsUser"]
    assert large == 1000680000


def test_labels_on_everything(objects: list[Manifest]) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    for each in objects:
        labels = each["metadata"]["labels"]
        name = f"{each['kind']} {each['metadata']['name']}"
        assert labels.items() >= COMMON_LABELS.items(), name
        assert labels["helm.sh/chart"] == f"modelyard-{version}", name
        assert labels["app.kubernetes.io/version"] == version, name
        assert labels["app.kubernetes.io/component"] in {"operator", "crds", "user-roles", "admission", "test"}, name


def test_the_chart_version_restarts_no_pod(objects: list[Manifest]) -> None:
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= COMMON_LABELS.items()
    assert "helm.sh/chart" not in labels


def test_selectors_find_the_operator_alone(objects: list[Manifest]) -> None:
    deployment = one(objects, "Deployment")
    wanted = deployment["spec"]["selector"]["matchLabels"]
    assert deployment["spec"]["template"]["metadata"]["labels"].items() >= wanted.items()
    test_pod = one(objects, "Pod", "modelyard-test")["metadata"]["labels"]
    assert not test_pod.items() >= wanted.items()
    assert one(objects, "Service", "modelyard-metrics")["spec"]["selector"] == wanted
    for kind in ("PodDisruptionBudget", "ServiceMonitor"):
        assert one(objects, kind)["spec"]["selector"]["matchLabels"] == wanted
    assert one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == wanted


def test_the_operator_pod(objects: list[Manifest]) -> None:
    deployment = one(objects, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    operator = pod["containers"][0]
    assert deployment["replicas"] == 2
    assert pod["terminationGracePeriodSeconds"] == 30
    assert operator["command"] + operator["args"] == [
        *("python3", "-m", "modelyard.runtime"),
        *("--config", "/etc/modelyard/config.json"),
    ]
    assert {env["name"]: env["valueFrom"]["fieldRef"]["fieldPath"] for env in operator["env"]} == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
    }
    probes = {name: operator[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/livez", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }
    assert config(objects)["listenPort"] == operator["ports"][0]["containerPort"]


def test_configuration_arrives(helm: Helm) -> None:
    objects = helm.render(
        "--set=watchNamespaces={risk},clusterName=west,logLevel=debug,logFormat=text,workers=2,sweepInterval=60",
        "--set=maxVerificationsPerNamespace=9,image.repository=registry.example/modelyard,image.tag=v1",
        "--set=helperPods.labels.team=ml,helperPods.imagePullSecrets[0].name=pull,admission.sharedAccounts={argocd}",
        release="west",
    )
    assert config(objects, "west-modelyard") == {
        "watchNamespaces": ["risk"],
        "clusterName": "west",
        "leaseName": "west-modelyard",
        "leaseNamespace": "modelyard-system",
        "listenPort": 8080,
        "logLevel": "debug",
        "logFormat": "text",
        "workers": 2,
        "maxVerificationsPerNamespace": 9,
        "sweepInterval": 60,
        "helperPods": {
            "image": "registry.example/modelyard:v1",
            "imagePullPolicy": "IfNotPresent",
            "imagePullSecrets": ["pull"],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
            "tolerations": [],
            "nodeSelector": {},
            "labels": {"team": "ml"},
            "runAsUser": 65532,
        },
        "admission": True,
        "sharedAccounts": ["argocd"],
        "ledger": None,
    }


LEDGER = "clusterName=west,ledger.url=s3://records/x,ledger.secretName=ledger-s3,ledger.claimName=volume"


def test_a_ledger_is_reached(helm: Helm) -> None:
    locked = "ledger.retention.mode=Compliance,ledger.retention.days=3650"
    objects = helm.render(f"--set={LEDGER},{locked},ledger.recoverFrom={{east}}")
    assert config(objects)["ledger"] == {
        "url": "s3://records/x",
        "endpoint": "",
        "region": "",
        "caBundle": "",
        "forcePathStyle": None,
        "retention": {"mode": "Compliance", "days": 3650},
        "recoverFrom": ["east"],
        "servePort": 8443,
        "signingKey": "",
    }
    pod = pods(objects)["modelyard"]
    (operator,) = pod["containers"]
    assert operator["envFrom"] == [{"secretRef": {"name": "ledger-s3"}}]
    assert {"name": "ledger", "mountPath": "/ledger"} in operator["volumeMounts"]
    assert {"name": "ledger", "persistentVolumeClaim": {"claimName": "volume"}} in pod["volumes"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="the defaults"),
        pytest.param(("--set=runAsUser=null,helperPods.runAsUser=null",), id="users chosen by the platform"),
        pytest.param(("--set=watchNamespaces={a,b},helperPods.runAsUser=1000680000",), id="large numbers"),
        pytest.param(("--set=admission.enabled=false",), id="no admission policies"),
        pytest.param((f"--set={LEDGER}",), id="a ledger"),
    ],
)
def test_the_operator_understands_its_configuration(helm: Helm, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Read by the operator's own code, which refuses a field it does not know."""
    written = config(helm.render(*arguments))
    (tmp_path / "config.json").write_text(json.dumps(written))
    read = Config.read(tmp_path / "config.json").model_dump(mode="json", by_alias=True)
    assert {name: read[name] for name in written} == written
    assert set(read) - set(written) == {"identity"}


def test_a_new_configuration_restarts_the_operator(helm: Helm) -> None:
    def checksum(*arguments: str) -> str:
        template = one(helm.render(*arguments), "Deployment")["spec"]["template"]
        found: str = template["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum() == checksum("--set=replicas=3")
    assert checksum() != checksum("--set=logLevel=debug")


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        pytest.param((), "modelyard:0.1.0", id="the chart's appVersion"),
        pytest.param(("--set=image.tag=dev",), "modelyard:dev", id="a tag"),
        pytest.param(
            ("--set=image.tag=dev", "--set=image.digest=sha256:" + "0" * 64),
            "modelyard@sha256:" + "0" * 64,
            id="a digest wins over the tag",
        ),
    ],
)
def test_image(helm: Helm, arguments: tuple[str, ...], want: str) -> None:
    objects = helm.render(*arguments)
    assert {container["image"] for pod in pods(objects).values() for container in pod["containers"]} == {want}
    assert config(objects)["helperPods"]["image"] == want


def test_optional_objects_are_off_by_default(helm: Helm) -> None:
    kinds = {each["kind"] for each in helm.render()}
    assert kinds.isdisjoint({"ServiceMonitor", "NetworkPolicy"})
    assert "PodDisruptionBudget" not in {
        each["kind"] for each in helm.render("--set=podDisruptionBudget.enabled=false")
    }


def test_a_closed_network_still_lets_helm_test_in(helm: Helm) -> None:
    objects = helm.render(
        "--set=networkPolicy.enabled=true",
        "--set=networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring",
    )
    peers = one(objects, "NetworkPolicy")["spec"]["ingress"][0]["from"]
    test_pod = one(objects, "Pod", "modelyard-test")["metadata"]["labels"]
    assert {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}} in peers
    assert any(
        test_pod.items() >= peer["podSelector"]["matchLabels"].items() for peer in peers if "podSelector" in peer
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param("replicas=two", "/replicas", id="a word for a number"),
        pytest.param("replicas=-1", "/replicas", id="below the minimum"),
        pytest.param("logLevel=loud", "/logLevel", id="not one of the choices"),
        pytest.param("logLevl=info", "'logLevl' not allowed", id="a misspelt value"),
        pytest.param("image.pullpolicy=Always", "'pullpolicy' not allowed", id="a misspelt field"),
        pytest.param("image.digest=latest", "/image/digest", id="a digest that is none"),
        pytest.param("watchNamespaces=risk", "/watchNamespaces", id="a word for a list"),
        pytest.param("watchNamespaces={Risk}", "/watchNamespaces/0", id="not a namespace's name"),
        pytest.param("watchNamespaces={risk,risk}", "/watchNamespaces", id="a namespace twice"),
        pytest.param("runAsUser=0", "/runAsUser", id="root"),
        pytest.param("helperPods.runAsUser=0", "/helperPods/runAsUser", id="helpers as root"),
        pytest.param("podLabels.app\\.kubernetes\\.io/name=x", "/podLabels", id="a label that is the chart's"),
        pytest.param("podDisruptionBudget.maxUnavailable=0", "/podDisruptionBudget/maxUnavailable", id="no drain"),
        pytest.param("serviceAccount.create=false", "serviceAccount.name", id="no ServiceAccount at all"),
        pytest.param("admission.enable=false", "'enable' not allowed", id="a misspelt switch of the policies"),
        pytest.param("ledger.url=/var/lib/ledger", "/ledger/url", id="a ledger nowhere"),
        pytest.param("ledger.url=s3://records/x", "clusterName", id="a ledger of a cluster without a name"),
        pytest.param("ledger.retention.mode=Compliance", "/ledger/retention", id="a retention without a time"),
        pytest.param("admission.exemptUsers=velero", "/admission/exemptUsers", id="a word for a list of users"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, setting: str, message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)):
        helm.render(f"--set={setting}")


def test_usable_as_a_dependency(helm: Helm) -> None:
    """A parent chart passes `global` and may switch this one on with `enabled`."""
    assert one(helm.render("--set=global.region=eu,enabled=true"), "Deployment")


def test_the_installation_that_recovers_is_as_documented(helm: Helm) -> None:
    text = (ROOT / "docs" / "recovery.md").read_text()
    settings = [setting.strip("'") for setting in re.findall(r"--set ('[^']+'|[^\s`]+)", text)]
    ledger = config(helm.render(*(f"--set={setting}" for setting in settings)))["ledger"]
    assert (ledger["url"], ledger["recoverFrom"]) == ("s3://records/modelyard", ["eu-1"])


def test_the_settings_in_the_documentation_exist(helm: Helm) -> None:
    """Every --set that a reader may copy."""
    text = "".join(path.read_text() for path in (ROOT / "docs" / "install.md", CHART / "README.md"))
    settings = {setting.strip("'") for setting in re.findall(r"--set(?:-string)? ('[^']+'|[^\s`]+)", text)}
    assert "watchNamespaces={risk,search}" in settings
    for setting in sorted(settings):
        assert helm.render(f"--set={setting}"), setting
