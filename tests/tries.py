"""How often a property is tried: as said in a full run, a fifth of it in the inner loop, ten times it in the long one.

Chosen by pytest's option `--hypothesis-profile`: `quick`, `full` (the default) or `long`. A failure prints what to
type to see it again.
"""

from typing import Any

from hypothesis import settings

FULL = 100
PROFILES = {"quick": FULL // 5, "full": FULL, "long": FULL * 10}

for _name, _tries in PROFILES.items():
    settings.register_profile(_name, max_examples=_tries, deadline=None, print_blob=True)
settings.load_profile("full")


def tries(number: int, **options: Any) -> settings:
    """So many tries in a full run."""
    return settings(max_examples=max(3, number * settings().max_examples // FULL), **options)
