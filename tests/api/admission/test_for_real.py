"""What a dry run cannot show: an editor, Kubernetes' own controllers at work, a namespace that goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kube import OBJECT_GONE, Kube, Timeout

from .acts import delete, outcome
from .cast import OURS, SELECTOR, Cast, deployment, give_rights, model, populate, service, version
from .conftest import until_refused
from .words import lacks

pytestmark = pytest.mark.api

CONTROLLERS_ACT = Timeout("Kubernetes' controllers have acted", 30)


def test_kubectl_edit(cast: Cast, tmp_path: Path) -> None:
    """`kubectl edit` of another's request: refused with the sentence, and what was typed is kept in a file."""
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\np = pathlib.Path(sys.argv[1])\n"
        "p.write_text(p.read_text().replace('stage: staging', 'stage: production'))\n"
    )
    editor.chmod(0o755)
    command = cast.as_("alice").command("edit", cast.kind("modelversion"), "fraud-2")
    environment = {**os.environ, "KUBE_EDITOR": str(editor), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    said = cast.installed.spoken(done.stdout + done.stderr).replace(cast.namespace, "risk")
    refusal = lacks("promote", "production").partition(": ")[2].replace("{who}", "alice")
    assert refusal in said
    assert cast.as_("root").get(cast.kind("modelversion"), "fraud-2")["spec"]["stage"] == "staging"


@pytest.mark.parametrize("how", ["--server-side", "--server-side=false"])
def test_what_is_applied_all_day_is_written_once(cast: Cast, how: str) -> None:
    """The stamp is no part of the manifest: a GitOps tool that applies it again changes nothing, not even a time.

    Once the operator has answered: an object without status gets the status' defaults with its first update.
    """
    name = f"spam-{len(how)}"
    kube, text = cast.as_("alice"), cast.own(version(name, "staging"))
    kube.run("apply", how, "--field-manager=gitops", "-f-", stdin=text)
    answer = {"status": {"observedGeneration": 1}}
    cast.as_("operator").patch(cast.kind("modelversion"), name, answer, subresource="status")
    seen = set()
    for _ in range(3):
        kube.run("apply", how, "--field-manager=gitops", "-f-", stdin=text)
        metadata = kube.get(cast.kind("modelversion"), name)["metadata"]
        assert metadata["annotations"][f"{cast.installed.group}/requested-by"] == "alice"
        seen.add(metadata["resourceVersion"])
    assert len(seen) == 1


def test_the_question_in_a_refusal_can_be_asked(cast: Cast) -> None:
    """The command that a refusal names answers what the policy asked, for somebody who may and somebody who may not."""
    question = lacks("promote", "production").partition("kubectl ")[2].replace("risk", cast.namespace).split()
    for who, answer in (("bob", "yes"), ("alice", "no")):
        said = ask(cast.as_(who), [cast.installed.written(word) for word in question])
        assert said.splitlines()[-1] == answer, who


def ask(kube: Kube, question: list[str]) -> str:
    """`kubectl auth can-i`, which ends with an error when the answer is no."""
    done = subprocess.run(kube.command(*question), capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_kubernetes_makes_pods_and_endpoints(cast: Cast) -> None:
    """A revision's Deployment gets its pods, is scaled by a person, and its Service gets its endpoints."""
    operator, root = cast.as_("operator"), cast.as_("root")
    labels = {key: "other" if key.endswith("revision") else value for key, value in OURS.items()}
    pods = {key: value for key, value in labels.items() if key in SELECTOR}
    operator.create(cast.own(deployment("other", labels, labels)))
    operator.create(cast.own(service("other", labels, pods)))
    cast.as_("edith").run("scale", "deployment/other", "--replicas=2")
    root.wait("deployment", "other", lambda seen: seen["status"].get("replicas") == 2, CONTROLLERS_ACT)
    selector = ",".join(f"{key}={value}".replace("modelyard.dev", cast.installed.group) for key, value in pods.items())
    assert len(root.items("pods", selector)) == 2
    slices = root.items("endpointslices", "kubernetes.io/service-name=other")
    assert slices[0]["metadata"]["labels"][f"{cast.installed.group}/model"] == "fraud"
    operator.delete("deployment", "other", wait=False)
    operator.delete("service", "other", wait=False)
    for pod in root.items("pods", selector):
        root.wait_gone("pod", pod["metadata"]["name"], OBJECT_GONE)


def test_a_model_that_is_meant_to_go_takes_its_objects_along(cast: Cast) -> None:
    """An editor deletes it, and the garbage collector what the operator made for it."""
    owner = made_by_operator(cast.as_("operator"), cast, "leaving")
    editor = cast.as_("erin")
    assert outcome(cast, "erin", delete("model", "leaving")).startswith("deletion: Model leaving serves at production")
    editor.run("annotate", cast.kind("model"), "leaving", f"{cast.installed.group}/allow-deletion=true")
    editor.delete(cast.kind("model"), "leaving", wait=False)
    cast.as_("root").wait_gone("service", owner)


def test_a_namespace_goes_with_all_that_is_in_it(cast: Cast) -> None:
    """Models that serve, versions in production and objects of the operator are no obstacle."""
    installed = cast.installed
    with installed.kube.own_namespace("going", {installed.label: ""}) as here:
        assert here.namespace
        going = Cast(installed, here.namespace)
        give_rights(going)
        populate(going)
        until_refused(going, {("erin", "deletion"): delete("model", "fraud")})
        installed.kube.delete("namespace", here.namespace)
        installed.kube.wait_gone("namespace", here.namespace)


def made_by_operator(operator: Kube, cast: Cast, name: str) -> str:
    """A Model that serves, and its Service; the Service's name."""
    made = cast.as_("root").create(cast.own(model(name)))[0]
    owner = {
        "kind": "Model",
        **{key: made["metadata"][key] for key in ("name", "uid")},
        "apiVersion": made["apiVersion"],
    }
    owned = service(f"{name}-production", OURS, SELECTOR)
    owned["metadata"]["ownerReferences"] = [owner]
    operator.create(cast.own(owned))
    live = {"stages": [{"name": "production", "current": {"version": "1"}}]}
    operator.patch(cast.kind("model"), name, {"status": live}, subresource="status")
    return f"{name}-production"
