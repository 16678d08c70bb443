"""`python -m dev.demo`: tell the story; exit with 1 and one message when something is not as told."""

import sys
import warnings

from dev.demo.console import Unexpected, bold, paint
from dev.demo.story import Story


def main() -> None:
    """Run the story from its first page to its last."""
    warnings.simplefilter("ignore")  # of the training libraries; the story is about the cluster
    try:
        Story().tell()
    except Unexpected as error:
        sys.exit(f"\n{paint('✘', '31;1')} {bold('not as told')}: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; `make demo` starts anew")


if __name__ == "__main__":
    main()
