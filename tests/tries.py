"""How often something is tried: as said in a full run, a fifth of it in the inner loop, ten times it in the long one.

Chosen by pytest's option `--hypothesis-profile`: `quick`, `full` (the default) or `long`. A failure prints what to
type to see it again.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import settings

T = TypeVar("T")

FULL = 100
PROFILES = {"quick": FULL // 5, "full": FULL, "long": FULL * 10}

for _name, _tries in PROFILES.items():
    settings.register_profile(_name, max_examples=_tries, deadline=None, print_blob=True)
settings.load_profile("full")


def tries(number: int, **options: Any) -> settings:
    """So many tries in a full run."""
    return settings(max_examples=max(3, number * settings().max_examples // FULL), **options)


def some(of: Sequence[T]) -> Sequence[T]:
    """All of them, or every fifth in the inner loop."""
    return of if settings().max_examples >= FULL else of[:: FULL // settings().max_examples]
