"""What the page on signatures shows is what the API takes and verification reads."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from modelyard.api.model import ModelSpec
from modelyard.api.reasons import ArtifactReason
from modelyard.storage.signatures.bundle import MAX_BYTES
from modelyard.storage.signatures.examining import INSIDE, SUFFIX
from modelyard.storage.signatures.keys import CURVES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "signatures.md").read_text()
MODEL, KEYS = (ROOT / "examples" / "signatures" / f"{name}.yaml" for name in ("model", "keys"))


def test_the_manifest_is_the_one_of_the_example() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert shown == MODEL.read_text()
    policy = ModelSpec.model_validate(yaml.safe_load(shown)["spec"]).artifact_policy
    assert policy
    assert policy.signature
    assert policy.signature.required


def test_every_reason_is_explained() -> None:
    explained = re.findall(r"^\| `(Signature\w+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(explained) == sorted(reason for reason in ArtifactReason if reason.startswith("Signature"))


def test_numbers_and_names_are_those_of_the_code() -> None:
    assert f"{MAX_BYTES >> 20} MiB" in PAGE
    assert f"as `{INSIDE}`" in PAGE
    assert f"its name and `{SUFFIX}`" in PAGE
    assert len(CURVES) == 3


def keys() -> list[Any]:
    spec = yaml.safe_load(MODEL.read_text())["spec"]
    inline = [key["publicKey"] for key in spec["artifactPolicy"]["signature"]["keys"] if "publicKey" in key]
    return [*inline, *yaml.safe_load(KEYS.read_text())["data"].values()]


@pytest.mark.parametrize("pem", keys())
def test_keys_of_the_examples_can_be_used(pem: str) -> None:
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, EllipticCurvePublicKey)
    assert key.curve.name in CURVES
