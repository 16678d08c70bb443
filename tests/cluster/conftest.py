"""Fixtures of the tests that need real pods: the operator installed by its chart, and a namespace a test."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.checkout import CLUSTER_DIR
from tests.cluster.registry import Registry, storage_secret
from tests.kube import Kube
from tests.sharing import UNPROTECTED, install_operator

NAMESPACE_LABELS = {"pod-security.kubernetes.io/enforce": "restricted"}


def read_storage() -> dict[str, str]:
    """Settings of the cluster's object store."""
    path = Path(os.environ.get("MODELYARD_S3_ENV", CLUSTER_DIR / "s3.env"))
    lines = (line.removeprefix("export ") for line in path.read_text().splitlines() if "=" in line)
    pairs = (line.partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def s3_client(storage: dict[str, str]) -> Any:
    """A client of that store."""
    return boto3.client(
        "s3",
        endpoint_url=storage["AWS_ENDPOINT_URL"],
        aws_access_key_id=storage["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=storage["AWS_SECRET_ACCESS_KEY"],
        region_name=storage["AWS_REGION"],
    )


@pytest.fixture(scope="session")
def storage() -> dict[str, str]:
    """Settings of the cluster's object store."""
    return read_storage()


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The cluster, with the operator of this checkout installed by its chart."""
    install_operator()
    return Kube.connect()


@pytest.fixture
def registry(kube: Kube, storage: dict[str, str]) -> Iterator[Registry]:
    """A namespace of its own under the restricted Pod Security Standard, with a storage Secret."""
    with a_registry(kube, storage, NAMESPACE_LABELS) as registry:
        yield registry


@pytest.fixture
def unprotected_registry(kube: Kube, storage: dict[str, str]) -> Iterator[Registry]:
    """The same in a namespace where an administrator may do what only the operator may elsewhere."""
    with a_registry(kube, storage, NAMESPACE_LABELS | UNPROTECTED) as registry:
        yield registry


@contextmanager
def a_registry(kube: Kube, storage: dict[str, str], labels: dict[str, str]) -> Iterator[Registry]:
    """A namespace with these labels and a storage Secret."""
    s3 = s3_client(storage)
    with kube.own_namespace("test", labels) as here:
        here.create(storage_secret(storage))
        yield Registry(here, s3)
    s3.close()
