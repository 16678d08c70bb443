"""The CRDs in an API group that nobody else uses.

An operator that may be installed in the cluster does not see objects of such a group, so what tests write there stays
as it is, and definitions can be missing without harm to anybody.
"""

import uuid

from modelyard.api.names import GROUP
from modelyard.kube.kinds import CUSTOM
from tests.checkout import ROOT
from tests.kube import Kube


def new_group() -> str:
    """A name that nobody else uses."""
    return f"t{uuid.uuid4().hex[:8]}.modelyard.test"


def define(kube: Kube, group: str) -> None:
    """Make the CRDs in that group."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        kube.apply(file.read_text().replace(GROUP, group))
    kube.run("wait", "--for=condition=Established", *_named(group), "--timeout=30s")


def undefine(kube: Kube, group: str) -> None:
    """Delete that group's CRDs, with all objects of theirs."""
    kube.run("delete", "--wait=false", "--ignore-not-found", *_named(group))


def _named(group: str) -> list[str]:
    return [f"crd/{kind.plural}.{group}" for kind in CUSTOM]
