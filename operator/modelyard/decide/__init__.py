"""Pure decisions: a snapshot of one Model and the time go in, a Plan comes out. No IO, clock, client or logging."""

from modelyard.decide.decision import decide
from modelyard.decide.marks import settled_and_told
from modelyard.decide.versions import settled

__all__ = ["decide", "settled", "settled_and_told"]
