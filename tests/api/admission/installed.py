"""The chart's admission policies and roles, installed for a test's own API group and namespaces alone.

What is installed is what `helm template` prints, with the group, and with it the labels and annotations, renamed to
the tests' own: an operator or a release of the chart in the same cluster takes no part in the tests, nor they in its
work. Names carry a prefix of the session's own, so that two sessions can run at the same time.
"""

import json
from dataclasses import dataclass

from modelyard.api.names import GROUP
from tests.chart.helm import Helm
from tests.kube import Kube, Obj

NAMESPACE = "modelyard-system"
KINDS = frozenset(
    f"{kind}AdmissionPolicy{suffix}" for kind in ("Validating", "Mutating") for suffix in ("", "Binding")
) | {"ClusterRole"}


@dataclass(frozen=True)
class Installed:
    """One installation: where it holds, who the operator is, and how its texts read."""

    kube: Kube
    group: str
    prefix: str

    @property
    def operator(self) -> str:
        """The account that the policies take for the operator's."""
        return f"system:serviceaccount:{NAMESPACE}:{self.prefix}"

    @property
    def label(self) -> str:
        """The label of the namespaces in which the policies hold."""
        return f"{self.group}/{self.prefix}"

    def role(self, name: str) -> str:
        """The ClusterRole that the chart calls modelyard-<name>."""
        return f"{self.prefix}-{name}"

    def spoken(self, text: str) -> str:
        """A text of the API server with the names that the chart has, not those of this installation."""
        return text.replace(self.group, GROUP).replace(self.prefix, "modelyard")

    def written(self, text: str) -> str:
        """A text of the chart's with the names of this installation."""
        return text.replace(GROUP, self.group).replace("modelyard-", f"{self.prefix}-")


def install(helm: Helm, kube: Kube, group: str, prefix: str, *arguments: str) -> tuple[Installed, list[Obj]]:
    """Apply the chart's policies and roles; what was applied."""
    installed = Installed(kube, group, prefix)
    scope = f'--set-json=admission.namespaceSelector={{"matchLabels":{{"{installed.label}":""}}}}'
    objects = [
        renamed(each, installed)
        for each in helm.render(f"--set=fullnameOverride={prefix}", scope, *arguments)
        if each["kind"] in KINDS and each["metadata"]["name"] != f"{NAMESPACE}:{prefix}"
    ]
    kube.run("apply", "--server-side", "--filename=-", stdin=_text(objects))
    return installed, objects


def renamed(manifest: Obj, installed: Installed) -> Obj:
    """The same object with the group of the tests', its roles by names of their own."""
    found: Obj = json.loads(json.dumps(manifest).replace(GROUP, installed.group))
    name: str = found["metadata"]["name"]
    if found["kind"] == "ClusterRole":
        found["metadata"]["name"] = installed.role(name.removeprefix("modelyard-"))
    return found


def uninstall(kube: Kube, objects: list[Obj]) -> None:
    """Delete what was applied."""
    kube.run("delete", "--wait=false", "--ignore-not-found", "--filename=-", stdin=_text(objects))


def _text(objects: list[Obj]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
