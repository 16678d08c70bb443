"""Which files of an artifact are pickles, and what loading them would do. Pickles are read, never loaded.

Called by verify. Loading a pickle runs the calls it names. A scanner (modelaudit-picklescan) reads these off the
opcodes; `pickle_walk` first cuts the arrays out, so that a model of gigabytes is scanned whole in little memory.

Known-dangerous means: the pickle imports or calls something that runs code, commands or files of the attacker's
choice (os.system, eval, ...), or calls a function that it brings along. Merely unknown classes, and functions by
value that cloudpickle rebuilds without calling them, are what ordinary models consist of: reported, not refused.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

from modelyard.storage.digest import FileDigest
from modelyard.storage.formats.inflate import Budget, Inflated, Unpacked, decompressor_for
from modelyard.storage.formats.pickle_machine import FETCHERS
from modelyard.storage.formats.pickle_walk import MAX_PROGRAM, Program, walk

JOBLIB = (".joblib",)
PICKLE = (".pkl", ".pickle", ".cloudpickle", ".dill")
TORCH = (".pt", ".pth", ".ckpt", ".bin", ".pt2")
ZIP = b"PK\x03\x04"
PROTOCOL = re.compile(rb"\x80[\x02-\x05]", re.DOTALL)
MAX_MEMBERS = 1000
MAX_DIRECTORY = 8 << 20
"""Bytes of a zip file's directory, which is read at once: a hundred thousand members."""
UNPACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})
"""How members may be packed; LZMA takes as much memory as the file says."""

DANGEROUS_RULES = frozenset({"DANGEROUS_CALL", "DANGEROUS_GLOBAL", "POST_BUDGET_GLOBAL"})
REBUILDERS = frozenset(
    f"cloudpickle.{module}.{name}"
    for module in ("cloudpickle", "cloudpickle_fast")
    for name in (
        "_builtin_type", "_builtin_type.__call__", "_make_function", "_function_setstate", "_make_cell",
        "_make_empty_cell", "_make_skeleton_class", "_make_skeleton_class.__call__", "_class_setstate",
        "_make_skeleton_enum", "_make_typevar", "_make_dict_keys", "_make_dict_values", "_make_dict_items",
    )
)  # fmt: skip
"""How cloudpickle rebuilds functions and classes by value. Calling such a function while loading is another matter:
the scanner names that `_make_function.__call__`, and it is not in this list."""
INCOMPLETE = ("parse_incomplete", "budget", "timeout", "truncat", "limit")
"""Notices whose code holds one of these say that opcodes were left unread."""


@dataclass(frozen=True)
class PickleScan:
    """What is known of one pickle file."""

    path: str
    dangerous: str | None
    """What it would run that is known to be dangerous."""
    unknown: tuple[str, ...]
    """Classes and functions it imports that the scanner cannot vouch for."""
    complete: bool
    """Whether all of it could be read."""


def kind_of(file: FileDigest) -> str | None:
    """`joblib` or `pickle`, or None for a file that is neither."""
    name = file.path.lower()
    if name.endswith(JOBLIB):
        return "joblib"
    if name.endswith(PICKLE) or PROTOCOL.match(file.head):
        return "pickle"
    return "pickle" if name.endswith(TORCH) and file.head.startswith(ZIP) else None


def scan(file: FileDigest, open_file: Callable[[str], BinaryIO], budget: Budget) -> PickleScan | None:
    """Scan one file; None when it holds no pickle. What the budget does not allow counts as not scanned."""
    if file.size == 0 or not (kind_of(file) or file.head.startswith(ZIP)):
        return None
    found = _Found(budget)
    with open_file(file.path) as stream:
        if file.head.startswith(ZIP):
            if not _scan_zip(stream, file.path, found) and kind_of(file) is None:
                return None
        else:
            _scan_pickle(lambda: _content(stream, file.head, found.budget), file.path, found)
    return PickleScan(file.path, found.dangerous, tuple(sorted(found.unknown)), found.complete)


class _Found:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.dangerous: str | None = None
        self.unknown: set[str] = set()
        self.complete = True


def _content(stream: BinaryIO, head: bytes, budget: Budget) -> BinaryIO:
    """The stream from its beginning, decompressed if need be."""
    stream.seek(0)
    make = None if PROTOCOL.match(head) else decompressor_for(head)
    return cast("BinaryIO", io.BufferedReader(Inflated(stream, make(), budget), 1 << 16)) if make else stream


class _Frugal(io.BufferedReader):
    """Refuses to read much at once: zipfile takes a directory for as long as the file says it is."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = MAX_DIRECTORY + 1 if size is None or size < 0 else size
        data = super().read(min(wanted, MAX_DIRECTORY + 1))
        if len(data) > MAX_DIRECTORY:
            raise ValueError(f"a directory of more than {MAX_DIRECTORY} bytes")
        return data


def _scan_zip(stream: BinaryIO, path: str, found: _Found) -> bool:
    """PyTorch's container: scan each pickle in it. Returns whether there was one."""
    try:
        with zipfile.ZipFile(_Frugal(cast("io.RawIOBase", stream))) as archive:
            members = [member for member in archive.infolist() if member.filename.lower().endswith((*PICKLE, *JOBLIB))]
            for member in members[:MAX_MEMBERS]:
                _scan_pickle(partial(_open_member, archive, member, found.budget), f"{path}:{member.filename}", found)
            found.complete &= len(members) <= MAX_MEMBERS
            return bool(members)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError):
        found.complete = False  # damaged, encrypted, or of a kind that Python cannot open either
        return False


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: Budget) -> BinaryIO:
    if member.compress_type not in UNPACKED:
        raise NotImplementedError(f"packed with method {member.compress_type}")
    return cast("BinaryIO", io.BufferedReader(Unpacked(archive.open(member), budget), 1 << 16))


def _scan_pickle(reopen: Callable[[], BinaryIO], source: str, found: _Found) -> None:
    """Scan as joblib would load it; if that leaves something out, also as a plain unpickler would run it.

    A file that one reader sees as data the other may run: dangerous for either of them is dangerous.
    """
    if not found.budget.in_time:
        found.complete = False
        return
    program = walk(reopen(), joblib=True)
    found.complete &= program.complete & bool(program.streams)
    _judge(program, source, found)
    if program.has_arrays:
        _judge(walk(reopen(), joblib=False), source, found, only_danger=True)
    if not program.complete:
        _judge(Program((_beginning(reopen()),), False, False), source, found, only_danger=True)


def _beginning(stream: BinaryIO) -> bytes:
    try:
        return stream.read(MAX_PROGRAM)
    except ValueError:
        return b""


def _judge(program: Program, source: str, found: _Found, *, only_danger: bool = False) -> None:
    from modelaudit_picklescan import scan_bytes  # 40 MB that artifacts without pickles need not pay for

    tolerated = REBUILDERS | (FETCHERS if program.complete else frozenset())  # beyond the walk misuse goes unseen
    found.dangerous = found.dangerous or next(iter(sorted(program.misused)), None)
    for stream in program.streams:
        if not found.budget.in_time:
            found.complete = False
            return
        report = scan_bytes(stream, source=source, enrich_call_graph=False)  # the graph would read installed sources
        for finding in report.findings:
            reference = str(finding.details.get("import_reference") or "")
            if finding.rule_code in DANGEROUS_RULES and reference not in tolerated:
                found.dangerous = found.dangerous or reference or finding.message
            elif reference and not only_danger:
                found.unknown.add(reference.removesuffix(".__call__"))
        if not only_danger:
            found.complete &= not report.errors and not any(_left_unread(notices) for notices in report.notices)


def _left_unread(notice: Any) -> bool:
    code = str(notice.code or "")
    return not code.startswith("nested") and any(word in code for word in INCOMPLETE)


def scan_all(files: Iterable[FileDigest], open_file: Callable[[str], BinaryIO]) -> Iterator[PickleScan]:
    """Scan every file that is a pickle or may hold one, with one budget for all of them."""
    budget = Budget()
    for file in files:
        if found := scan(file, open_file, budget):
            yield found
