"""A stored file as a seekable stream, for headers and pickles: reads only what is asked for, a block at a time.

Used by `formats/`. Every read is pinned to the listed object like any other, and compared with what was hashed, where
the file was hashed before; one block is held in memory.
"""

import io

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import MIN_BLOCK, Marks
from modelyard.storage.errors import ArtifactError
from modelyard.storage.store import ObjectStore, StoredObject


class StoredFile(io.RawIOBase):
    """Read-only view of one object. Not for reading all of it: that is `reader.py`."""

    def __init__(self, store: ObjectStore, bucket: str, item: StoredObject, marks: Marks | None = None) -> None:
        super().__init__()
        self._store = store
        self._bucket = bucket
        self._item = item
        self._marks = marks
        self._block = marks.block if marks else MIN_BLOCK
        self._position = 0
        self._start = 0
        self._held = b""

    @property
    def size(self) -> int:
        """The object's size."""
        return self._item.size

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes: a seek costs nothing until the next read."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; beyond the end there is nothing to read, as in any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the block at the present position; short at a block's end."""
        if self._position >= self.size or not len(buffer):
            return 0
        if not self._start <= self._position < self._start + len(self._held):
            self._fetch()
        offset = self._position - self._start
        piece = self._held[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        """Read the block that the present position lies in."""
        start = self._position - self._position % self._block
        length = min(self._block, self.size - start)
        body = self._store.read(self._bucket, self._item, start, length)
        try:
            held = b"".join(body.chunks(length))
        finally:
            body.close()
        if self._marks and not self._marks.agrees(start, held):
            message = f"read {self._item.path} again: the bytes from {start} on are not those that were hashed"
            raise ArtifactError(
                ArtifactReason.CHANGED_WHILE_READ, f"{message}; write new bytes to a new uri", transient=True
            )
        self._start, self._held = start, held
