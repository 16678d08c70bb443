"""Who may say what a stage demands, how it serves and what it is pinned to; and that a Model which serves stays."""

import pytest

from .acts import annotate, apply, create, delete, delete_collection, outcome, patch
from .cast import Act, Cast, model
from .table import Row, rows, words
from .words import ALLOWED, NO_REASON_FOR_PIN, RECORDS_WAIT, SERVES, TOO_MANY, lacks, no_right

pytestmark = pytest.mark.api

STAGING, PRODUCTION = {"name": "staging"}, {"name": "production"}
PINNED = [STAGING, {"name": "production", "version": "2"}]
NOT_STAGING = lacks("configure", "staging")
NOT_PRODUCTION = lacks("configure", "production")
NOT_ITS_VERSION = lacks("promote", "production", policy="promote-models")


def spec(name: str, **fields: object) -> Act:
    """Change fields of a Model's spec."""
    return patch("model", name, {"spec": fields})


def sixteen(prefix: str, **fields: str) -> list[dict[str, str]]:
    """The most stages that a Model can have."""
    return [{"name": f"{prefix}{number}", **fields} for number in range(16)]


CONFIGURING: list[Row] = [
    ("an editor makes a Model", "erin", create(model("new")), ALLOWED),
    ("a registrar makes none", "alice", create(model("new")), no_right("create", "models")),
    ("all writes are not the verb", "mallory", create(model("new")), lacks("configure", "staging", "new")),
    ("what describes it is free", "mallory", spec("fraud", description="Scores payments."), ALLOWED),
    ("where its bytes lie is not", "mallory", spec("fraud", storage={"region": "eu"}), NOT_STAGING),
    ("nor whether a reason is due", "mallory", spec("fraud", requireReason=True), NOT_STAGING),
    ("nor how it serves", "mallory", apply(model("fraud", artifactPolicy={"pickle": "Allow"})), NOT_STAGING),
    ("nor a stage's approvals", "bob", spec("fraud", stages=[STAGING, {**PRODUCTION, "paused": True}]), NOT_PRODUCTION),
    ("nor the order of stages", "bob", spec("fraud", stages=[PRODUCTION, STAGING]), NOT_PRODUCTION),
    ("nor that there is a stage", "bob", spec("fraud", stages=[PRODUCTION]), NOT_STAGING),
    ("to list none is the same two", "bob", spec("fraud", stages=None), ALLOWED),
    ("an editor changes a stage", "erin", spec("fraud", stages=[STAGING, {**PRODUCTION, "paused": True}]), ALLOWED),
    (
        "a new one takes a right on it",
        "erin",
        spec("fraud", stages=[STAGING, {"name": "canary"}]),
        lacks("configure", "canary"),
    ),
    ("a promoter names a version", "bob", spec("fraud", stages=PINNED), ALLOWED),
    ("and takes it away", "bob", spec("pinned", stages=[STAGING, PRODUCTION]), ALLOWED),
    ("an editor names none", "erin", spec("fraud", stages=PINNED), NOT_ITS_VERSION),
    (
        "nor takes one away",
        "erin",
        spec("pinned", stages=[STAGING, PRODUCTION]),
        lacks("promote", "production", "pinned", "promote-models"),
    ),
    ("as many stages as there can be", "root", spec("wide", stages=sixteen("stage", version="1")), ALLOWED),
    ("all of them others", "root", spec("wide", stages=sixteen("other")), TOO_MANY),
    ("a reason may be due", "bob", spec("quiet", stages=PINNED), NO_REASON_FOR_PIN),
]
MODELS = "apis/modelyard.dev/v1alpha1/namespaces/{namespace}/models"
DELETIONS: list[Row] = [
    ("one that serves", "erin", delete("model", "fraud"), SERVES),
    ("by an administrator", "root", delete("model", "fraud"), SERVES),
    ("by the garbage collector", "garbage", delete("model", "fraud"), SERVES),
    ("all in one request", "erin", delete_collection(MODELS), SERVES),
    ("one that does not serve", "erin", delete("model", "idle"), ALLOWED),
    ("by a promoter", "bob", delete("model", "idle"), no_right("delete", "models")),
    ("one that is meant to go", "erin", delete("model", "doomed"), ALLOWED),
    ("what is not in the ledger", "erin", delete("model", "unrecorded"), RECORDS_WAIT.format(model="unrecorded")),
    ("though it is meant to go", "erin", delete("model", "unheard"), RECORDS_WAIT.format(model="unheard")),
    ("and is not to be recorded", "erin", delete("model", "unmissed"), ALLOWED),
    ("meaning it takes a right", "bob", annotate("model", "fraud", allow_deletion="true"), NOT_STAGING),
    ("an editor's", "erin", annotate("model", "fraud", allow_deletion="true"), ALLOWED),
]


@pytest.mark.parametrize(("who", "act", "want"), rows(configuring=CONFIGURING, deletion=DELETIONS))
def test_who_may(cast: Cast, who: str, act: Act, want: str) -> None:
    assert outcome(cast, who, act) == words(cast, who, want)
