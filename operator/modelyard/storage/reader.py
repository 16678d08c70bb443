"""Reads every byte of an artifact once: ranges in parallel, each file hashed in order, memory bounded.

Called by verify, fetch and the command line.

1. Files are cut into ranges; a few files are interleaved so that every core has something to hash.
2. A worker begins the next range when its bytes fit the budget. Bytes leave the budget when they are hashed, not when
   they are read: that bounds memory. Ranges of a file are begun in order, so the one that others wait for is under way.
3. Every piece is handed to the sink (if any), then to the file's hash; pieces that come early wait there.

A connection that breaks is resumed where it broke. Nothing is staged on disk.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import FileDigest, Marks
from modelyard.storage.errors import ArtifactError
from modelyard.storage.store import ObjectStore, StoredObject

MIB = 1 << 20
RANGE = 16 * MIB
"""Long enough that asking for it costs little beside hashing it."""
PIECE = MIB
WORKERS = 8
EAGER = 4
"""Workers that begin at once. On a fast network they are enough to keep the cores busy, and more of them only take the
interpreter's lock from each other (4 need a sixth less processor time than 8); the rest join when ranges are slow."""
SLOW = 128 * MIB
"""Bytes per second of one connection below which it is the network, or its latency, that is waited for."""
BUDGET = WORKERS * RANGE
"""Bytes of ranges begun and not yet hashed."""
INTERLEAVED = 4
HEAD = 64
RESUMES = (0.2, 1.0)
"""Seconds before a broken range is resumed; after that the attempt as a whole fails, and the operator tries again."""

Sink = Callable[[str, int, bytes], None]
"""Takes a path, an offset and the bytes that belong there; called from several threads."""
Progress = Callable[[StoredObject, int, int], None]
"""Told after each range which file it was of, how many bytes of the artifact are hashed by now, and how many it has."""


def read_all(
    store: ObjectStore,
    bucket: str,
    items: Sequence[StoredObject],
    *,
    sink: Sink | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> list[FileDigest]:
    """Read and hash all files; results are in the order given. The first error stops the rest."""
    files = [_File(item) for item in items]
    _Reading(store, bucket, files, sink, progress, pause).run()
    return [file.result() for file in files]


class _File:
    """The hash of one file, fed in order from pieces that arrive in any order."""

    def __init__(self, item: StoredObject) -> None:
        self.item = item
        self.version_id = item.version_id
        self._head = b""
        self._sha256 = hashlib.sha256()
        self._marks = Marks(item.size)
        self._marks.mark(self._sha256)
        self._hashed = 0
        self._early: dict[int, bytes] = {}
        self._busy = False
        self._lock = threading.Lock()

    def add(self, offset: int, piece: bytes) -> int:
        """Take a piece and hash all that is in order by now. Returns how many bytes this call has hashed.

        One thread at a time hashes a file; another that comes by leaves its piece to it and goes on reading.
        """
        with self._lock:
            self._early[offset] = piece
            if self._busy:
                return 0
            self._busy = True
        done = 0
        while True:
            with self._lock:
                ready = self._early.pop(self._hashed, None)
                if ready is None:
                    self._busy = False
                    return done
                start = self._hashed
                self._hashed += len(ready)
            self._head = self._head or ready[:HEAD]
            self._hash(start, memoryview(ready))
            done += len(ready)

    def _hash(self, start: int, piece: memoryview) -> None:
        while piece:
            part = piece[: self._marks.room(start)]
            self._sha256.update(part)  # hashlib lets go of the interpreter lock: this is what the cores share
            start += len(part)
            if start % self._marks.block == 0 or start == self.item.size:
                self._marks.mark(self._sha256)
            piece = piece[len(part) :]

    def result(self) -> FileDigest:
        """What was read. Only when all of it was."""
        sha256 = self._sha256.hexdigest()
        return FileDigest(self.item.path, self.item.size, sha256, self._head, self.version_id, self._marks)


Range = tuple[_File, int, int]


class _Reading:
    """One pass over an artifact: the ranges left, the bytes held, and the first error."""

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        files: Sequence[_File],
        sink: Sink | None,
        progress: Progress | None,
        pause: Callable[[float], object],
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._sink = sink
        self._progress = progress
        self._pause = pause
        self._left = _ranges(files)
        self._changed = threading.Condition()
        self._held = 0
        self._done = 0
        self._size = sum(file.item.size for file in files)
        self._slow = False
        self._ended = False
        self._failed: Exception | None = None

    def run(self) -> None:
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="read") as pool:
            for worker in [pool.submit(self._work, number < EAGER) for number in range(WORKERS)]:
                worker.result()
        if self._failed is not None:
            raise self._failed

    def _work(self, eager: bool) -> None:
        while task := self._begin(eager):
            started = time.monotonic()
            try:
                self._read_range(*task)
            except Exception as error:
                self._stop(error)
            self._slow |= task[2] < SLOW * (time.monotonic() - started)

    def _begin(self, eager: bool) -> Range | None:
        """The next range, once its bytes fit the budget. None at the end, or after an error."""
        with self._changed:
            self._changed.wait_for(lambda: self._over() or (self._fits() and (eager or self._slow)))
            task = None if self._over() else next(self._left, None)
            if task is None:
                self._ended = True
                self._changed.notify_all()
                return None
            self._held += task[2]
            return task

    def _over(self) -> bool:
        return self._ended or self._failed is not None

    def _fits(self) -> bool:
        return self._held + RANGE <= BUDGET

    def _hashed(self, count: int) -> None:
        with self._changed:
            self._held -= count
            self._done += count
            self._changed.notify_all()

    def _stop(self, error: Exception) -> None:
        with self._changed:
            self._failed = self._failed or error
            self._changed.notify_all()

    def _read_range(self, file: _File, start: int, length: int) -> None:
        position, end = start, start + length
        for wait in (*RESUMES, None):
            try:
                for piece in self._pieces(file, position, end - position):
                    if self._sink is not None:
                        self._sink(file.item.path, position, piece)
                    position += len(piece)
                    self._hashed(file.add(position - len(piece), piece))
                break
            except ArtifactError as error:
                if wait is None or error.reason is not ArtifactReason.STORE_UNAVAILABLE or not error.transient:
                    raise
                self._pause(wait)
        if self._progress is not None:
            self._progress(file.item, self._done, self._size)

    def _pieces(self, file: _File, start: int, length: int) -> Iterator[bytes]:
        body = self._store.read(self._bucket, file.item, start, length)
        file.version_id = file.version_id or body.version_id
        try:
            for piece in body.chunks(PIECE):
                if self._failed is not None:
                    return
                yield piece
        finally:
            body.close()


def _ranges(files: Sequence[_File]) -> Iterator[Range]:
    """All ranges, a few files in turn. An empty file has one empty range: it must still be there, and still empty."""
    waiting = iter(files)
    active: deque[Iterator[Range]] = deque()
    while True:
        while len(active) < INTERLEAVED and (file := next(waiting, None)) is not None:
            active.append(_ranges_of(file))
        if not active:
            return
        ranges = active.popleft()
        if (task := next(ranges, None)) is not None:
            yield task
            active.append(ranges)


def _ranges_of(file: _File) -> Iterator[Range]:
    for start in range(0, max(file.item.size, 1), RANGE):
        yield file, start, min(RANGE, file.item.size - start)
