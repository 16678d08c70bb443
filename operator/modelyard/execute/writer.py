"""What `execute` needs of the API server; `kube.client.Client` has it, and so has a recording fake in the tests."""

from typing import Any, Protocol

from modelyard.decide.snapshot import Obj
from modelyard.kube.kinds import Kind


class Writer(Protocol):
    """The writes, and the one read that a refused write needs. Every call answers with the object as it is now."""

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """Read one object, not from any cache."""
        ...

    async def create(self, manifest: Obj) -> dict[str, Any]:
        """Make a new object."""
        ...

    async def replace_status(
        self, kind: Kind, namespace: str, name: str, status: Obj, resource_version: str
    ) -> dict[str, Any]:
        """Replace a whole status, if the object is still at that resourceVersion."""
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, body: Obj) -> dict[str, Any]:
        """JSON merge patch."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> dict[str, Any]:
        """Delete the object with this uid, as it was at this resourceVersion."""
        ...
