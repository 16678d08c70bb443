"""Which store does a URI mean? Called by the programs in pods and by the command line, once each."""

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location
from modelyard.storage.settings import StorageSettings
from modelyard.storage.store import ObjectStore


def open_store(location: Location, settings: StorageSettings) -> ObjectStore:
    """The store of a URI's scheme. Clients are imported when used: a pod pays for one."""
    if location.scheme == "s3":
        from modelyard.storage.s3 import S3Store

        return S3Store(settings)
    message = f"open artifact store: {location.uri}: scheme {location.scheme!r} is not supported; use s3://"
    raise ArtifactError(ArtifactReason.INVALID_PATH, message)
