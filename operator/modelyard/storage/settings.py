"""How to reach a store, as the environment says it.

Pods get these variables from the Model's storage settings and Secret. Access keys are not here: the store's client
finds them itself (variables, shared files, IRSA, Pod Identity), so that an ambient identity works with no Secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_REGION = "us-east-1"
TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True)
class StorageSettings:
    """Endpoint and transport of a store."""

    endpoint: str | None = None
    region: str | None = None
    """None leaves it to the client's own configuration, which ends at us-east-1."""
    force_path_style: bool | None = None
    """Whether the bucket is part of the path or of the host name; None leaves it to the client, which takes the path
    for every endpoint that is not AWS's own."""
    ca_bundle: str | None = None
    """PEM text of the certificate authorities to trust instead of the system's."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "StorageSettings":
        """Read the variables that the operator sets on helper pods."""
        style = env.get("MODELYARD_S3_FORCE_PATH_STYLE", "")
        return cls(
            endpoint=env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None,
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
            force_path_style=style.lower() in TRUE if style else None,
            ca_bundle=env.get("MODELYARD_CA_BUNDLE") or None,
        )
