"""The policies as the API server sees them."""

import pytest

from tests.kube import API_SETTLES, Obj

from .cast import Cast

pytestmark = pytest.mark.api


def test_no_expression_is_mistyped(cast: Cast) -> None:
    """The API server checks each expression against the schemas of the kinds it is about, and warns in status."""
    kube = cast.installed.kube
    ours = [
        policy["metadata"]["name"]
        for policy in kube.items("validatingadmissionpolicies")
        if f".{cast.installed.prefix}." in policy["metadata"]["name"]
    ]
    assert len(ours) == 13
    for name in ours:
        policy = kube.wait("validatingadmissionpolicy", name, is_type_checked, API_SETTLES)
        assert policy["status"]["typeChecking"].get("expressionWarnings", []) == [], name


def is_type_checked(policy: Obj) -> bool:
    """Whether the warnings, or that there are none, are about the present policy."""
    status = policy.get("status", {})
    return status.get("observedGeneration") == policy["metadata"]["generation"] and "typeChecking" in status
