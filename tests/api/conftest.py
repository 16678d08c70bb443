"""The CRDs on a real API server, in an API group of the tests' own.

What the tests write stays as it is: no operator sees this group. The cluster is the one of
`tests.checkout.find_kubeconfig`, never the user's current context.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from modelyard.api.names import VERSION
from tests.definitions import define, new_group, undefine
from tests.kube import Kube

Obj = dict[str, Any]


@dataclass(frozen=True)
class Registry:
    """A namespace in which objects are of the tests' group."""

    kube: Kube
    group: str

    def of_group(self, manifest: Obj) -> Obj:
        """The same object in the tests' group."""
        return {**manifest, "apiVersion": f"{self.group}/{VERSION}"}

    def resource(self, kind: str) -> str:
        """What kubectl calls a kind of the tests' group, beside one of the same name in the real group."""
        return f"{kind.lower()}s.{self.group}"

    def create(self, manifest: Obj) -> Obj:
        """Create an object."""
        return self.kube.create(self.of_group(manifest))[0]

    def apply(self, manifest: Obj, **options: Any) -> Obj:
        """Server-side apply an object."""
        return self.kube.apply(self.of_group(manifest), **options)[0]

    def get(self, kind: str, name: str) -> Obj:
        """Read an object."""
        return self.kube.get(self.resource(kind), name)

    def patch(self, manifest: Obj, body: Obj, **options: Any) -> Obj:
        """Merge a patch into the object of that kind and name."""
        return self.kube.patch(self.resource(manifest["kind"]), manifest["metadata"]["name"], body, **options)

    def refusal(self, manifest: Obj) -> str:
        """Why it cannot be created."""
        return self.kube.refusal(self.of_group(manifest))

    def refusal_of_replacing(self, manifest: Obj) -> str:
        """Why the object cannot be changed to this."""
        return self.kube.refusal_of_replacing(self.of_group(manifest))


@pytest.fixture(scope="session")
def cluster() -> Kube:
    """The cluster, as its admin."""
    return Kube.connect()


@pytest.fixture(scope="session")
def group(cluster: Kube) -> Iterator[str]:
    """The CRDs, applied server-side once a session in a group that nobody else uses."""
    group = new_group()
    define(cluster, group)
    yield group
    undefine(cluster, group)


@pytest.fixture
def namespace(cluster: Kube) -> Iterator[str]:
    """A namespace for one test, deleted after it."""
    with cluster.own_namespace("api") as here:
        assert here.namespace
        yield here.namespace


@pytest.fixture
def registry(cluster: Kube, group: str, namespace: str) -> Registry:
    """A namespace of its own for one test."""
    return Registry(cluster.within(namespace), group)


@pytest.fixture(scope="session")
def judge(cluster: Kube, group: str) -> Registry:
    """For tests that only ask whether something would be accepted; nothing of theirs is stored."""
    return Registry(cluster.within("default"), group)
