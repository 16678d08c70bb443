"""`python3 -m modelyard.runtime [--config FILE]`: run the operator."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from modelyard import decide
from modelyard.kube.login import LoginError
from modelyard.ledger.errors import LedgerError
from modelyard.runtime import logs
from modelyard.runtime.app import Brain, run
from modelyard.runtime.config import DEFAULT_PATH, Config, ConfigError

NESTING = 100_000
"""Frames that Python may use. The API server stores what is nested 10,000 deep, in the free-form fields of a version;
Python's own 1,000 would let one such object end every process that reads it."""

log = logging.getLogger("modelyard")


def main(brain: Brain | None = None) -> int:
    """Read the settings, run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="modelyard.runtime", description="Run the Modelyard operator.")
    parser.add_argument("--config", type=Path, help=f"settings as JSON (default: {DEFAULT_PATH}, if it exists)")
    options = parser.parse_args()
    try:
        config = Config.read(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    sys.setrecursionlimit(NESTING)
    logs.set_up(config.log_level, config.log_format)
    try:
        asyncio.run(run(config, brain or Brain(decide.decide, decide.settled, decide.settled_and_told)))
    except LoginError as error:
        log.error("no access to a cluster", extra=logs.fields(error=str(error)))
        return 1
    except LedgerError as error:
        log.error("the ledger cannot be used", extra=logs.fields(error=str(error)))
        return 1
    except Exception:
        log.exception("operator cannot go on, leaving")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
