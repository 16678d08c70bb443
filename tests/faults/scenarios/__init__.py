"""What is disturbed: for each scenario, how it is prepared, what people then do, and how it ends undisturbed.

story.py        one Model in a yard: what people do to it, and what they see of it
scenario.py     what every scenario says of itself
moves.py        stages move: promotions, rollbacks, withdrawals, changed templates, an upgrade of the operator
judgements.py   gates and people say yes or no
losses.py       what is deleted, lost or out of reach
"""

from tests.faults.scenarios.judgements import JUDGEMENTS
from tests.faults.scenarios.losses import LOSSES
from tests.faults.scenarios.moves import MOVES
from tests.faults.scenarios.scenario import Scenario
from tests.faults.scenarios.story import SERVES_WITHIN, Story

__all__ = ["SCENARIOS", "SERVES_WITHIN", "Scenario", "Story"]

ALL = {**MOVES, **JUDGEMENTS, **LOSSES}
SCENARIOS: dict[str, Scenario] = {name: ALL[name] for name in sorted(ALL, key=lambda name: ALL[name].ledger)}
"""Those without a ledger first: an operator that is set up otherwise has to be started again."""
