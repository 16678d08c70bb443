"""How does the caller reach the object store? With their own credentials, where the Model says it is.

Used by `fetch`, `digest` and `register`. Never reads the Model's Secret: what the caller may not read, they may not.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.storage.settings import StorageSettings

if TYPE_CHECKING:
    from modelyard.storage.location import Location
    from modelyard.storage.store import ObjectStore


def settings_for(storage: Mapping[str, Any]) -> StorageSettings:
    """The caller's environment, completed by a Model's `spec.storage`."""
    own = StorageSettings.from_env(os.environ)
    style = own.force_path_style
    return StorageSettings(
        endpoint=own.endpoint or storage.get("endpoint"),
        region=own.region or storage.get("region"),
        ca_bundle=own.ca_bundle or storage.get("caBundle"),
        force_path_style=storage.get("forcePathStyle") if style is None else style,
    )


def open_artifact(artifact: str, settings: StorageSettings) -> "tuple[Location, ObjectStore]":
    """A local file or folder, or what a URI names."""
    from modelyard.storage.local import LocalStore, local_location
    from modelyard.storage.location import parse_uri
    from modelyard.storage.opening import open_store

    if "://" not in artifact:
        return local_location(artifact), LocalStore()
    location = parse_uri(artifact)
    return location, open_store(location, settings)
