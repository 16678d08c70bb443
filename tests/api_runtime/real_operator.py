"""The operator process as it is shipped, in the tests' own API group."""

import tests.api_runtime.group  # isort: skip  # noqa: F401  # before everything that reads the names

import sys

from modelyard.runtime.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
