"""Where an artifact lies, and which paths its files may have.

A URI that ends in `/` is a folder: its files are the keys below it, so that `s3://b/fraud/7/` never takes in
`fraud/70/`. Any other URI is one object. Paths are relative to the artifact's root; a path that coreutils would
escape, or that could leave the folder it is fetched to, is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError

ESCAPED_BY_COREUTILS = ("\n", "\r", "\\")
"""sha256sum escapes the lines of such names (`\\r` since coreutils 9.2), so the digest could not be recomputed."""

MAX_SEGMENT_BYTES = 255
"""What Linux file systems take as one name."""
MAX_PATH_BYTES = 1024
"""S3's limit of a key; with a folder before it, it is a path that Linux takes."""


@dataclass(frozen=True)
class Location:
    """A parsed artifact URI."""

    scheme: str
    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        """Whether the artifact is everything below the key, rather than the one object of that key."""
        return self.key == "" or self.key.endswith("/")

    @property
    def uri(self) -> str:
        """The URI it was parsed from."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def uri_of(self, path: str) -> str:
        """The URI of one of the artifact's files."""
        return f"{self.uri}{path}" if self.is_folder else self.uri

    def path_of(self, key: str) -> str:
        """The path of a key relative to the artifact's root."""
        return key[len(self.key) :] if self.is_folder else key.rpartition("/")[2]

    def key_of(self, path: str) -> str:
        """The key of one of the artifact's files; the inverse of `path_of`."""
        return self.key + path if self.is_folder else self.key


def parse_uri(uri: str) -> Location:
    """Split `scheme://bucket/key`. Nothing is decoded: a key is the bytes that the store knows."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not separator or not scheme or not bucket:
        raise ArtifactError(
            ArtifactReason.INVALID_PATH, f"parse artifact uri: {uri!r}: write it as s3://bucket/folder/"
        )
    return Location(scheme, bucket, key)


def check_path(path: str) -> None:
    """Refuse a path that cannot be digested reproducibly or written safely below a folder."""
    if problem := _problem_of(path):
        message = f"read artifact: path {path!r:.300} {problem}; rename the object"
        raise ArtifactError(ArtifactReason.INVALID_PATH, message)


def check_paths(paths: Iterable[str]) -> None:
    """Check each path, and that together they can be a tree: no path twice, none both a file and a folder."""
    seen: set[str] = set()
    for path in paths:
        check_path(path)
        if path in seen:
            raise ArtifactError(ArtifactReason.INVALID_PATH, f"read artifact: path {path!r} is listed twice")
        seen.add(path)
    for path in seen:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in seen:
                message = f"read artifact: {parent!r} is both an object and the folder of {path!r}; rename one of them"
                raise ArtifactError(ArtifactReason.INVALID_PATH, message)
            parent = parent.rpartition("/")[0]


def _problem_of(path: str) -> str | None:
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if any(character in path for character in ESCAPED_BY_COREUTILS) or "\0" in path:
        return "holds a newline, carriage return, backslash or NUL, which sha256sum escapes"
    try:
        segments = path.encode("utf-8").split(b"/")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if any(segment in (b"", b".", b"..") for segment in segments):
        return "has an empty, '.' or '..' segment"
    if any(len(segment) > MAX_SEGMENT_BYTES for segment in segments):
        return f"has a segment longer than {MAX_SEGMENT_BYTES} bytes"
    if len(path.encode("utf-8")) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return None
