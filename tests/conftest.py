"""In which order tests run, and which of them in the same process when there are several (`make test`).

Without several processes nothing changes but the order.
"""

from collections.abc import Iterator

import pytest

from tests import tries  # noqa: F401  (registers what `--hypothesis-profile` may name)
from tests.sharing import operator_in_use

FOLDERS_OF_ONE_WORLD = (
    "tests/api/admission/",
    "tests/api/",
    "tests/api_runtime/",
    "tests/faults/",
    "tests/unit/gitops/",
)
"""What a session of these sets up (definitions in an API group, policies) is dear, so one process runs them all."""
LONGEST = "tests/demo/test_story.py"
"""Of those that share the operator: begun first, nobody waits for it at the end."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what must be alone, then what needs no installed operator, beside it, then what shares the operator."""
    items.sort(key=_turn)
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def undisturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test with real pods shares the installed operator with others of its kind, or has it alone."""
    if request.node.get_closest_marker("cluster"):
        with operator_in_use(alone=request.node.get_closest_marker("alone") is not None):
            yield
    else:
        yield


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("alone"):
        return 0
    if not item.get_closest_marker("cluster"):
        return 1
    return 2 if item.nodeid.startswith(LONGEST) else 3


def _group(item: pytest.Item) -> str | None:
    if item.get_closest_marker("alone"):
        return "alone"
    if item.get_closest_marker("cluster"):
        return None
    file = item.nodeid.partition("::")[0]
    return next((folder for folder in FOLDERS_OF_ONE_WORLD if file.startswith(folder)), file)
