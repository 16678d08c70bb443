"""Puts the files of a local artifact into the object store, under a folder named by their digest.

Called by `register` before the version is created: a version whose bytes are not there yet would fail. The folder's
name follows from the bytes, so two people who register at once never mix their files, and an upload that broke off is
taken up where it was. What is uploaded is not believed for that: the operator hashes it again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from modelyard.cli.errors import UsageError
from modelyard.storage.location import Location, parse_uri

if TYPE_CHECKING:
    from modelyard.cli.progress import Bar
    from modelyard.storage.digest import FileDigest
    from modelyard.storage.settings import StorageSettings

AT_ONCE = 4
"""Files on their way at a time; a large one goes up in several parts besides."""
MARK = "modelyard-sha256"
"""Metadata of an uploaded object: what it was when it was uploaded."""


def destination(to: str, model: str, digest: str, *, folder: bool, name: str) -> Location:
    """Where an artifact goes: `<to>/<model>/<digest>/`, or below that the one file that it is."""
    base = parse_uri(to if to.endswith("/") else f"{to}/")
    if base.scheme != "s3":
        raise UsageError(f"--to {to!r}: artifacts are uploaded to S3; write it as s3://BUCKET/FOLDER/")
    key = f"{base.key}{model}/{digest.removeprefix('sha256:')[:32]}/"
    return Location("s3", base.bucket, key if folder else key + name)


def upload(
    source: Location, target: Location, files: Sequence["FileDigest"], settings: "StorageSettings", bar: "Bar"
) -> int:
    """Upload what is not there yet; how many files that were."""
    from modelyard.storage.s3 import connect
    from modelyard.storage.s3_errors import classify

    client = connect(settings)

    def send(file: "FileDigest") -> bool:
        key = target.key_of(file.path)
        try:
            if _is_there(client, target.bucket, key, file):
                bar.advanced(file.size)
                return False
            extra = {"Metadata": {MARK: file.sha256}}
            client.upload_file(source.key_of(file.path), target.bucket, key, ExtraArgs=extra, Callback=bar.advanced)
            return True
        except Exception as error:
            # The transfer library wraps the client's own error, which says more.
            cause = error.__context__ if isinstance(error.__context__, Exception) else error
            raise classify(cause, f"upload {file.path} to {target.uri_of(file.path)}") from error

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as pool:
        return sum(pool.map(send, files))


def _is_there(client: Any, bucket: str, key: str, file: "FileDigest") -> bool:
    from botocore.exceptions import ClientError

    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (403, 404):
            return False  # a bucket that may not be listed answers 403 for what is not there
        raise
    return bool(found["ContentLength"] == file.size and found.get("Metadata", {}).get(MARK) == file.sha256)
