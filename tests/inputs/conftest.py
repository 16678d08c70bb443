"""An operator process of one's own, as `tests/api_runtime` has it."""

from tests.api_runtime.conftest import group, here, kube, namespace, operator

__all__ = ["group", "here", "kube", "namespace", "operator"]
