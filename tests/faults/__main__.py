"""`make test-faults-long`: as many runs as wanted, most of them seeded, and a table of what they came to.

Stops when the time is up, and says so. Every run that did not end as it must is printed with the command that does it
again. `--write` puts the table into the page that shows it.
"""

import argparse
import itertools
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.methods import METHODS
from tests.faults.runs import STOP, Ground, Order, Outcome, a_ground
from tests.faults.scenarios import SCENARIOS

BEGIN, END = "<!-- figures of the last long run -->\n", "<!-- end of figures -->\n"
HEADER = (
    "| what was done | runs | faults | as undisturbed | interruptions | process ended by itself | slowest return |\n"
    "|---|---:|---:|---:|---:|---:|---:|\n"
)


@dataclass
class Row:
    """What came of one method."""

    runs: int = 0
    faults: int = 0
    converged: int = 0
    interruptions: int = 0
    exits: int = 0
    slowest: float = 0

    def add(self, outcome: Outcome, complaints: list[str]) -> None:
        """Count a run."""
        self.runs += 1
        self.faults += len(outcome.faults)
        self.converged += not complaints
        self.interruptions += len(outcome.interruptions)
        self.exits += outcome.exits
        self.slowest = max(self.slowest, outcome.converged_after)

    def line(self, name: str) -> str:
        """A line of the table."""
        return (
            f"| {name} | {self.runs:,} | {self.faults:,} | {self.converged:,} | {self.interruptions} | {self.exits} "
            f"| {self.slowest:.0f} s |\n"
        )


@dataclass
class Figures:
    """What all runs came to."""

    rows: dict[str, Row] = field(default_factory=lambda: defaultdict(Row))
    failures: list[str] = field(default_factory=list)

    def table(self, said: str) -> str:
        """The table, as Markdown."""
        total = Row()
        for row in self.rows.values():
            for name in ("runs", "faults", "converged", "interruptions", "exits"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
            total.slowest = max(total.slowest, row.slowest)
        lines = [row.line(name) for name, row in sorted(self.rows.items())]
        return f"{said}\n\n{HEADER}{''.join(lines)}{total.line('**all**')}"


def main() -> int:
    """Run, and print the table."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # so that what was set up is taken away
    begun, figures = time.monotonic(), Figures()
    deadline = begun + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder, a_ground(options.lanes, Path(folder)) as ground:
        orders = _orders(ground, options)
        done, wanted = _run_all(ground, iter(orders), figures, options.lanes, deadline), len(orders)
        figures.failures += ground.leftovers()
    minutes = (time.monotonic() - begun) / 60
    cut = f"cut after {options.minutes:g} minutes: {done} of {wanted} runs were done" if done < wanted else ""
    said = f"{datetime.now(UTC):%Y-%m-%d}: {done:,} runs in {minutes:.0f} minutes, {options.lanes} at a time. {cut}"
    print(figures.table(said))
    for failure in figures.failures:
        print(failure)
    if options.write and not figures.failures:
        _show_in(options.write, figures.table(said))
    if cut:
        print(cut, file=sys.stderr)
        return 2
    return int(bool(figures.failures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--method", action="append", choices=[STOP, *METHODS], help="only these")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="only these")
    parser.add_argument("--seed", type=int, help="this one only; of `dies`: after which write")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=sys.maxsize)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lanes", type=int, default=6)
    parser.add_argument("--write", type=Path, help="put the table into this page")
    options = parser.parse_args()
    if options.seed is None and options.runs == sys.maxsize:
        parser.error("--runs or --seed: how many?")
    return options


def _orders(ground: Ground, options: argparse.Namespace) -> list[Order]:
    """Each write of each scenario once, and every method on every scenario, one seed after another, as many as wanted.

    Shuffled, so that a run that is cut short has tried some of everything.
    """
    scenarios = options.scenario or list(SCENARIOS)
    methods = options.method or [STOP, *METHODS]
    if options.seed is not None:
        return [Order(method, scenario, options.seed) for method in methods for scenario in scenarios]
    with ThreadPoolExecutor(options.lanes) as pool:
        asked = scenarios if STOP in methods else ()
        stops = [order for found in pool.map(ground.stops, asked) for order in found]
    rest = [method for method in methods if method != STOP]
    rounds = itertools.count(options.first_seed) if rest else ()
    seeded = (Order(method, name, seed) for seed in rounds for method, name in itertools.product(rest, scenarios))
    every = itertools.chain(stops, seeded)
    orders = list(itertools.islice(every, options.runs))
    random.Random(options.first_seed).shuffle(orders)
    return orders


def _run_all(ground: Ground, orders: Iterator[Order], figures: Figures, lanes: int, deadline: float) -> int:
    under_way: dict[Future[Outcome], Order] = {}
    done = 0
    with ThreadPoolExecutor(lanes) as pool:
        while True:
            while len(under_way) < lanes and time.monotonic() < deadline and (order := next(orders, None)):
                under_way[pool.submit(ground.run, order)] = order
            if not under_way:
                return done
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                done += 1
                _note(ground, figures, under_way.pop(future), future)


def _note(ground: Ground, figures: Figures, order: Order, future: "Future[Outcome]") -> None:
    row = figures.rows[order.method]
    try:
        outcome = future.result()
    except Exception as error:
        row.runs += 1
        complaints, faults, well = ["".join(traceback.format_exception(error))], [], ""
    else:
        complaints, faults = outcome.complaints(ground.undisturbed(order.scenario)), outcome.faults
        well = f"ok after {outcome.converged_after:.0f} s"
        row.add(outcome, complaints)
    print(f"{order}: {'; '.join(complaints) or well}", file=sys.stderr, flush=True)
    if complaints:
        figures.failures.append("\n  ".join([str(order), order.replay, *complaints, *faults]))


def _show_in(page: Path, table: str) -> None:
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}{table}{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
