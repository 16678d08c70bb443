"""Where a ledger's objects lie below its URL.

    modelyard-ledger.json                                        what this folder is
    <cluster>/<namespace>/<model>/records/000000000017.json      one record: the truth
    <cluster>/<namespace>/<model>/segments/20/000000000001-000000000020.jsonl
                                                                 the same bytes again, a line each: for reading
    <cluster>/<namespace>/<model>/heads/2026-11-21.json          how far it had come on that day, signed

Numbers have twelve digits, so that names sort as numbers do. Segments begin at fixed numbers (1, 21, 41, ...), and
each level is twenty of the one below: any chain is read with some tens of requests.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARKER = "modelyard-ledger.json"
LEVELS = (20, 400, 8000)
"""Records in a segment, per level."""
SAFE = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9._]{0,62})$")
CLUSTER_RULE = "1-63 letters, digits, '-', '.' and '_', beginning with a letter or digit"
_RECORD = re.compile(r"^(\d{12})\.json$")
_SEGMENT = re.compile(r"^(\d{12})-(\d{12})\.jsonl$")


@dataclass(frozen=True, order=True)
class ChainName:
    """Which chain: one for each Model that ever was."""

    cluster: str
    namespace: str
    model: str

    def __post_init__(self) -> None:
        for part in (self.cluster, self.namespace, self.model):
            if not SAFE.match(part):
                raise ValueError(f"name a chain of records: {part!r} in {self}: expected {CLUSTER_RULE}")

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.model}"

    @property
    def records(self) -> str:
        """The folder of its records."""
        return f"{self}/records"

    @property
    def heads(self) -> str:
        """The folder of the heads that were noted."""
        return f"{self}/heads"

    def segments(self, level: int) -> str:
        """The folder of its segments of that many records."""
        return f"{self}/segments/{level}"

    def record(self, number: int) -> str:
        """The object of one record."""
        return f"{self.records}/{record_file(number)}"

    def segment(self, level: int, first: int) -> str:
        """The object of the segment that begins with that record."""
        return f"{self.segments(level)}/{segment_file(first, level)}"


def record_file(number: int) -> str:
    """Name of a record in its folder."""
    return f"{number:012}.json"


def segment_file(first: int, level: int) -> str:
    """Name of a segment in its folder."""
    return f"{first:012}-{first + level - 1:012}.jsonl"


def record_number(file: str) -> int | None:
    """The number of a record by its name; None for a file that is none."""
    found = _RECORD.match(file)
    return int(found[1]) if found else None


def segment_range(file: str, level: int) -> tuple[int, int] | None:
    """First and last number in a segment of that level by its name; None for a file that is none."""
    found = _SEGMENT.match(file)
    if found is None or int(found[1]) % level != 1 or int(found[2]) != int(found[1]) + level - 1:
        return None
    return int(found[1]), int(found[2])


def complete_segments(level: int, after: int, head: int) -> Iterator[int]:
    """First numbers of the segments of a level that end between `after` (exclusive) and `head` (inclusive)."""
    yield from range(after // level * level + 1, head - level + 2, level)
