"""In which order versions stand, for whoever sorts them: the operator's decisions and the command line."""

import re

_RUNS = re.compile(r"\d+|\D+")


def natural_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of a version: runs of digits compare as numbers (`9` before `10`, `1.2` before `1.10`)."""
    return tuple((0, int(run), "") if run.isdigit() else (1, 0, run) for run in _RUNS.findall(version))
