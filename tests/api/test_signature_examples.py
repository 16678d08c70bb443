"""The example of a signature policy is what a real API server takes, and says so by field where it is broken."""

import pytest
import yaml

from tests.api.conftest import Obj, Registry
from tests.checkout import ROOT

pytestmark = pytest.mark.api


def example(name: str) -> Obj:
    """An example's manifest, for whatever namespace it is applied in."""
    found: Obj = yaml.safe_load((ROOT / "examples" / "signatures" / f"{name}.yaml").read_text())
    del found["metadata"]["namespace"]
    return found


def test_the_examples_are_applied(registry: Registry) -> None:
    policy = registry.apply(example("model"))["spec"]["artifactPolicy"]["signature"]
    assert policy == example("model")["spec"]["artifactPolicy"]["signature"], "nothing is dropped or defaulted"
    version = registry.apply(example("version"))
    assert version["spec"]["artifact"]["signature"] == {"uri": "s3://signatures/fraud/7.sig"}


def test_where_a_versions_signature_lies_cannot_change(registry: Registry) -> None:
    registry.apply(example("version"))
    moved = example("version")
    moved["spec"]["artifact"]["signature"]["uri"] = "s3://signatures/fraud/other.sig"
    assert "spec.artifact is immutable" in registry.refusal_of_replacing(moved)
