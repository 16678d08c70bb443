"""Who may approve, reject and roll back, and that status is the operator's word alone."""

import pytest

from .acts import create, delete, outcome, replace, status
from .cast import Act, Cast, approval, rollback
from .table import Row, rows, words
from .words import ALLOWED, IMMUTABLE, lacks, no_right, not_the_operator

pytestmark = pytest.mark.api

NOT_APPROVE, NOT_ROLLBACK = lacks("approve", "production"), lacks("rollback", "production")
NO_APPROVALS, NO_ROLLBACKS = no_right("create", "approvals"), no_right("create", "rollbacks")

APPROVALS: list[Row] = [
    ("a reviewer approves", "carol", create(approval("a")), ALLOWED),
    ("any model in the namespace", "carol", create(approval("a", of="spam")), ALLOWED),
    ("not at a stage without a role", "carol", create(approval("a", "canary")), lacks("approve", "canary")),
    ("a promoter does not approve", "bob", create(approval("a")), NO_APPROVALS),
    ("nor by the built-in role admin", "adam", create(approval("a")), NO_APPROVALS),
    ("nor by edit", "edith", create(approval("a")), NO_APPROVALS),
    ("all writes are not the verb", "mallory", create(approval("a")), NOT_APPROVE),
    ("never changed", "mallory", replace("approval", "yes", decision="Reject"), IMMUTABLE),
    ("taken back by a reviewer", "carol", delete("approval", "yes"), ALLOWED),
    ("not by others", "mallory", delete("approval", "yes"), NOT_APPROVE),
]
ROLLBACKS: list[Row] = [
    ("who is on call rolls back", "dave", create(rollback("b")), ALLOWED),
    ("not at a stage without a role", "dave", create(rollback("b", "canary")), lacks("rollback", "canary")),
    ("a promoter does not", "bob", create(rollback("b")), NO_ROLLBACKS),
    ("all writes are not the verb", "mallory", create(rollback("b")), NOT_ROLLBACK),
    ("by the built-in role admin", "adam", create(rollback("b")), ALLOWED),
    ("one that waits is not deleted by others", "mallory", delete("rollback", "back"), NOT_ROLLBACK),
]
DIGEST = {"digest": f"sha256:{'1' * 64}"}
STATUS: list[Row] = [
    ("the operator's", "operator", status("modelversion", "fraud-2", DIGEST), ALLOWED),
    ("a version's", "mallory", status("modelversion", "fraud-2", DIGEST), not_the_operator("ModelVersion", "fraud-2")),
    ("a Model's", "mallory", status("model", "fraud", {"stages": []}), not_the_operator("Model", "fraud")),
    (
        "an Approval's",
        "mallory",
        status("approval", "yes", {"observedGeneration": 1}),
        not_the_operator("Approval", "yes"),
    ),
    (
        "a Rollback's",
        "mallory",
        status("rollback", "back", {"outcome": "Applied"}),
        not_the_operator("Rollback", "back"),
    ),
    ("by an administrator", "root", status("model", "fraud", {"stages": []}), not_the_operator("Model", "fraud")),
    ("by an editor", "erin", status("model", "fraud", {"stages": []}), no_right("get", "models/status")),
    ("by a backup tool", "velero", status("model", "fraud", {"stages": []}), ALLOWED),
]


@pytest.mark.parametrize(("who", "act", "want"), rows(approvals=APPROVALS, rollbacks=ROLLBACKS, status=STATUS))
def test_who_may(cast: Cast, who: str, act: Act, want: str) -> None:
    assert outcome(cast, who, act) == words(cast, who, want)
