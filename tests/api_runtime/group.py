"""An API group of the tests' own: the real CRDs under another name.

An operator that is installed in the cluster does not see objects of this group, so it takes no part in the tests,
and CRDs can be missing without harm to anybody. A process enters the group by importing this module before any of
`modelyard`, with MODELYARD_TEST_GROUP in its environment.
"""

import os

from modelyard.api import names

VARIABLE = "MODELYARD_TEST_GROUP"


def renamed(text: str, group: str) -> str:
    """The same text, for the other group."""
    return text.replace(names.GROUP, group)


if group := os.environ.get(VARIABLE):
    for constant, value in list(vars(names).items()):
        if constant.isupper() and isinstance(value, str):
            setattr(names, constant, renamed(value, group) if constant != "GROUP" else value)
    names.GROUP = group
