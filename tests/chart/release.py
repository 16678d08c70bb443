"""One installation of the chart on a real cluster, in namespaces of its own. Used by test_install.py."""

from typing import Any

from tests.kube import Kube, Timeout

from .helm import CHART, Helm

NAMESPACE = "modelyard-chart-test"
MODELS = "modelyard-chart-test-models"
"""The only namespace the installation watches."""
IMAGE = "modelyard:dev"

_RELEASE = "modelyard"
_SELECTOR = f"app.kubernetes.io/instance={_RELEASE},app.kubernetes.io/component=operator"
_LEADS = Timeout("an operator pod holds the Lease", 30)


class Release:
    """One installation of the chart that works on MODELS alone."""

    def __init__(self, helm: Helm, kube: Kube) -> None:
        self._helm = helm
        self.kube = kube

    def install(self, *arguments: str) -> None:
        """Install or upgrade, and wait until the pods are ready; nothing is done when nothing changed."""
        repository, _, tag = IMAGE.partition(":")
        self.helm(
            *("upgrade", _RELEASE, str(CHART), "--install", "--wait", "--timeout=3m"),
            f"--set=image.repository={repository},image.tag={tag},watchNamespaces={{{MODELS}}}",
            f"--set=crds.install=false,rbac.userRoles={str(not self._roles_are_of_another_release()).lower()}",
            *arguments,
        )

    def helm(self, command: str, *arguments: str) -> str:
        """Run helm in the cluster and namespace of this release."""
        where = (f"--kubeconfig={self.kube.kubeconfig}", f"--namespace={NAMESPACE}")
        return self._helm.run(command, *arguments, *where)

    def pods(self) -> dict[str, dict[str, Any]]:
        """The operator's pods that are to stay, by name."""
        found = self.kube.items("pods", _SELECTOR)
        return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def leader(self, among: set[str]) -> str:
        """The pod of these that leads."""
        lease = self.kube.wait("lease", _RELEASE, lambda seen: seen["spec"].get("holderIdentity") in among, _LEADS)
        holder: str = lease["spec"]["holderIdentity"]
        return holder

    def _roles_are_of_another_release(self) -> bool:
        role = self.kube.find("clusterrole", "modelyard-viewer")
        annotations = role["metadata"].get("annotations", {}) if role else {"meta.helm.sh/release-namespace": NAMESPACE}
        return annotations.get("meta.helm.sh/release-namespace") != NAMESPACE
