"""Fixtures of the chart's tests: helm, and the chart rendered with every option on."""

import pytest

from .helm import Helm, Manifest, find_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The helm program."""
    return Helm(find_helm())


@pytest.fixture(scope="session")
def objects(helm: Helm) -> list[Manifest]:
    """Everything the chart can install at once."""
    return helm.render(
        "--set=serviceMonitor.enabled=true,networkPolicy.enabled=true,priorityClassName=system-cluster-critical",
        "--set=podLabels.team=ml,podAnnotations.note=x,serviceAccount.annotations.role=arn",
        "--set=imagePullSecrets[0].name=pull",
    )
