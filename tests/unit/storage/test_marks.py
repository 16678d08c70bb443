"""What is read a second time is compared with what was hashed, block by block."""

import hashlib
import random
from collections.abc import Callable, Iterator

import pytest

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import MAX_MARKS, MIN_BLOCK, Marks
from modelyard.storage.errors import ArtifactError
from modelyard.storage.location import Location
from modelyard.storage.reader import read_all
from modelyard.storage.seekable import StoredFile
from modelyard.storage.store import StoredObject

CONTENT = random.Random(7).randbytes(3 * MIN_BLOCK + 17)


class Forgetful:
    """A store that may answer differently each time."""

    version_id = None

    def __init__(self, content: Callable[[], bytes]) -> None:
        self._content = content
        self._part = b""

    def find(self, location: Location) -> list[StoredObject]:
        raise NotImplementedError

    def stat(self, location: Location, path: str, version_id: str | None) -> StoredObject:
        raise NotImplementedError

    def read(self, bucket: str, item: StoredObject, start: int, length: int) -> "Forgetful":
        self._part = self._content()[start : start + length]
        return self

    def chunks(self, size: int) -> Iterator[bytes]:
        pieces = (self._part[start : start + 333_333] for start in range(0, len(self._part), 333_333))
        yield from pieces

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, 17, MIN_BLOCK - 1, MIN_BLOCK, MIN_BLOCK + 1, 3 * MIN_BLOCK, len(CONTENT)])
def test_every_altered_byte_is_noticed(size: int) -> None:
    content = CONTENT[:size]
    shown = [content]
    store, item = Forgetful(lambda: shown[0]), StoredObject("a", "a", size)
    [read] = read_all(store, "bucket", [item])
    assert read.sha256 == hashlib.sha256(content).hexdigest()
    assert StoredFile(store, "bucket", item, read.marks).read(size)
    for position in {0, size // 2, size - 1}:
        shown[0] = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        file = StoredFile(store, "bucket", item, read.marks)
        file.seek(position)
        with pytest.raises(ArtifactError) as refused:
            file.read(1)
        assert (refused.value.reason, refused.value.transient) == (ArtifactReason.CHANGED_WHILE_READ, True)


def test_large_files_have_large_blocks() -> None:
    assert Marks(0).block == Marks(MIN_BLOCK * MAX_MARKS).block == MIN_BLOCK
    assert Marks(MIN_BLOCK * MAX_MARKS + 1).block == 2 * MIN_BLOCK
    assert Marks(100 << 30).block == 25 * MIN_BLOCK
