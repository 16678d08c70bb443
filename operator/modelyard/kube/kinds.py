"""The kinds that Modelyard reads and writes, and where the API server serves them."""

from dataclasses import dataclass

from modelyard.api import names


@dataclass(frozen=True)
class Kind:
    """One kind of object. All but the two reviews are namespaced."""

    name: str
    group: str
    version: str
    plural: str
    selector: str = ""
    """Label selector of the objects worth knowing; the others are never read."""

    @property
    def api_version(self) -> str:
        """`apiVersion` as manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """URL path of the object, or of the collection when there is no name."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])


def _own(name: str, plural: str) -> Kind:
    return Kind(name, names.GROUP, names.VERSION, plural)


MODEL = _own("Model", "models")
MODEL_VERSION = _own("ModelVersion", "modelversions")
APPROVAL = _own("Approval", "approvals")
ROLLBACK = _own("Rollback", "rollbacks")
DEPLOYMENT = Kind("Deployment", "apps", "v1", "deployments", names.MANAGED_SELECTOR)
JOB = Kind("Job", "batch", "v1", "jobs", names.MANAGED_SELECTOR)
SERVICE = Kind("Service", "", "v1", "services", names.MANAGED_SELECTOR)
CONFIG_MAP = Kind("ConfigMap", "", "v1", "configmaps", names.MANAGED_SELECTOR)
POD = Kind("Pod", "", "v1", "pods", names.MANAGED_SELECTOR)
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", names.MANAGED_SELECTOR)

CUSTOM = (MODEL, MODEL_VERSION, APPROVAL, ROLLBACK)
MANAGED = (DEPLOYMENT, JOB, SERVICE, CONFIG_MAP, POD, ENDPOINT_SLICE)
OBSERVED = CUSTOM + MANAGED
"""Every kind that decisions are made on."""

EVENT = Kind("Event", "", "v1", "events")
LEASE = Kind("Lease", "coordination.k8s.io", "v1", "leases")
TOKEN_REVIEW = Kind("TokenReview", "authentication.k8s.io", "v1", "tokenreviews")
SUBJECT_ACCESS_REVIEW = Kind("SubjectAccessReview", "authorization.k8s.io", "v1", "subjectaccessreviews")

KINDS = {kind.name: kind for kind in (*OBSERVED, EVENT, LEASE)}
"""By the name that manifests give in `kind`."""
