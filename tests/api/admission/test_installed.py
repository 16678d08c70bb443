"""The policies as the API server sees them."""

import subprocess

import pytest

from tests.kube import API_SETTLES, Obj

from .cast import Cast, version

pytestmark = pytest.mark.api


def test_no_expression_is_mistyped(cast: Cast) -> None:
    """The API server checks each expression against the schemas of the kinds it is about, and warns in status."""
    kube = cast.installed.kube
    ours = [
        policy["metadata"]["name"]
        for policy in kube.items("validatingadmissionpolicies")
        if f".{cast.installed.prefix}." in policy["metadata"]["name"]
    ]
    assert len(ours) == 15
    for name in ours:
        policy = kube.wait("validatingadmissionpolicy", name, is_type_checked, API_SETTLES)
        assert policy["status"]["typeChecking"].get("expressionWarnings", []) == [], name


def is_type_checked(policy: Obj) -> bool:
    """Whether the warnings, or that there are none, are about the present policy."""
    status = policy.get("status", {})
    return status.get("observedGeneration") == policy["metadata"]["generation"] and "typeChecking" in status


def test_a_stage_that_the_model_lacks_is_warned_of(cast: Cast) -> None:
    """At once, where it is typed; that it is not there yet may still be right."""
    for manifest, model in ((version("fraud-9", "prod"), "fraud"), (version("doomed-9", "prod"), "doomed")):
        command = cast.as_("root").command("create", "--dry-run=server", "-f-")
        done = subprocess.run(command, input=cast.own(manifest), capture_output=True, text=True, check=True)
        assert f": Model {model} has no stage prod; it has staging, production" in done.stderr
    silent = subprocess.run(
        command, input=cast.own(version("fraud-9", "production")), capture_output=True, text=True, check=True
    )
    assert silent.stderr == ""
