"""Who may have a version carry a stage, and who may make a version go. The people and objects are those of `cast`."""

import pytest

from .acts import annotate, apply, create, delete, delete_collection, label, outcome, patch, read, replace, stage
from .cast import Act, Cast, version
from .table import Row, rows, words
from .words import ALLOWED, NO_IMPERSONATION, NO_REASON, lacks, no_right

pytestmark = pytest.mark.api

NOT_STAGING = lacks("promote", "staging")
NOT_PRODUCTION = lacks("promote", "production")
NO_WRITE = no_right("patch", "modelversions")
TO_PRODUCTION = [{"op": "replace", "path": "/spec/stage", "value": "production"}]

REGISTRAR: list[Row] = [
    ("registers a version", "alice", create(version("fraud-9")), ALLOWED),
    ("asks for staging at once", "alice", create(version("fraud-9", "staging")), ALLOWED),
    ("or later", "alice", stage("fraud-3", "staging"), ALLOWED),
    ("not for production at once", "alice", create(version("fraud-9", "production")), NOT_PRODUCTION),
    ("nor later", "alice", stage("fraud-3", "production"), NOT_PRODUCTION),
    ("nor of another model", "alice", stage("spam-1", "production"), lacks("promote", "production", "spam")),
    ("nor from staging", "alice", stage("fraud-2", "production"), NOT_PRODUCTION),
    ("nor away from production", "alice", stage("fraud-1", None), NOT_PRODUCTION),
    ("nor from production to staging", "alice", stage("fraud-1", "staging"), NOT_PRODUCTION),
    ("withdraws from staging", "alice", stage("fraud-2", None), ALLOWED),
    ("archives", "alice", stage("fraud-3", "archived"), ALLOWED),
    ("but not what serves", "alice", stage("fraud-1", "archived"), NOT_PRODUCTION),
]
WAYS_TO_WRITE: list[Row] = [
    ("kubectl replace", "alice", replace("modelversion", "fraud-2", stage="production"), NOT_PRODUCTION),
    ("a JSON patch", "alice", patch("modelversion", "fraud-2", TO_PRODUCTION, type="json"), NOT_PRODUCTION),
    ("another field manager", "alice", apply(version("fraud-2", "production")), NOT_PRODUCTION),
    ("an unchanged manifest is no request", "alice", apply(version("fraud-1", "production")), ALLOWED),
    ("a tag is no request", "alice", label("modelversion", "fraud-1", {"team": "risk"}), ALLOWED),
]
OTHERS: list[Row] = [
    ("a promoter promotes", "bob", stage("fraud-2", "production"), ALLOWED),
    ("at creation", "bob", create(version("fraud-9", "production")), ALLOWED),
    ("withdraws", "bob", stage("fraud-1", None), ALLOWED),
    ("not to a stage without a role", "bob", stage("fraud-2", "canary"), lacks("promote", "canary")),
    ("registering is another role", "argocd", create(version("fraud-9")), no_right("create", "modelversions")),
    ("a viewer looks", "eve", stage("fraud-3", "staging"), NO_WRITE),
    ("a stranger", "nobody", stage("fraud-3", "staging"), no_right("get", "modelversions")),
    ("a reviewer does not promote", "carol", stage("fraud-2", "production"), NO_WRITE),
    ("nor who is on call", "dave", stage("fraud-2", "production"), NO_WRITE),
    ("all writes are not the verb", "mallory", stage("fraud-2", "production"), NOT_STAGING),
    ("a right for one model and stage", "frank", create(version("fraud-9", "production")), ALLOWED),
    ("not another model", "frank", create(version("spam-9", "production")), lacks("promote", "production", "spam")),
    ("not another stage", "frank", create(version("fraud-9", "staging")), NOT_STAGING),
    ("not leaving another stage", "frank", stage("fraud-2", "production"), NOT_STAGING),
    ("by the built-in role edit", "edith", stage("fraud-3", "staging"), ALLOWED),
    ("and no further", "edith", stage("fraud-3", "production"), NOT_PRODUCTION),
    ("by the built-in role admin", "adam", stage("fraud-3", "production"), ALLOWED),
    ("a pipeline asks for staging", "ci", create(version("fraud-9", "staging")), ALLOWED),
    ("and not for production", "ci", create(version("fraud-9", "production")), NOT_PRODUCTION),
    ("a GitOps tool promotes", "argocd", apply(version("fraud-2", "production"), "argocd-controller"), ALLOWED),
    ("an administrator", "root", stage("fraud-2", "production"), ALLOWED),
]
IMPERSONATION: list[Row] = [
    ("the other's rights count", "eve as alice", stage("fraud-3", "staging"), ALLOWED),
    ("no more than those", "eve as alice", stage("fraud-3", "production"), NOT_PRODUCTION),
    ("a service account's too", "eve as ci", stage("fraud-3", "production"), NOT_PRODUCTION),
    ("it is a right itself", "eve as bob", read("api/v1"), NO_IMPERSONATION.replace("{who}", "eve")),
]
ASKING_ANEW: list[Row] = [
    ("to ask anew is to ask", "alice", annotate("modelversion", "fraud-1", request="again"), NOT_PRODUCTION),
    ("to try again is to ask", "alice", annotate("modelversion", "fraud-1", retry="1"), NOT_PRODUCTION),
    ("so is to change the reason", "alice", annotate("modelversion", "fraud-1", reason="because"), NOT_PRODUCTION),
    ("or the change behind it", "alice", annotate("modelversion", "fraud-1", change="3f2a"), NOT_PRODUCTION),
    ("at staging a registrar may", "alice", annotate("modelversion", "fraud-2", request="again", retry="1"), ALLOWED),
    ("without a stage nothing is asked", "alice", annotate("modelversion", "fraud-3", retry="1"), ALLOWED),
    ("a promoter may", "bob", annotate("modelversion", "fraud-1", request="again"), ALLOWED),
]
REASONS: list[Row] = [
    ("none", "bob", stage("quiet-1", "staging"), NO_REASON),
    ("an empty one", "bob", stage("quiet-1", "staging", reason=" "), NO_REASON),
    ("one", "bob", stage("quiet-1", "staging", reason="INC-4711"), ALLOWED),
    ("none at creation", "bob", create(version("quiet-2", "staging")), NO_REASON),
    ("registering asks for none", "bob", create(version("quiet-2")), ALLOWED),
    ("nor does a tag", "bob", label("modelversion", "quiet-1", {"team": "risk"}), ALLOWED),
]
WITHOUT_FINALIZERS = {"metadata": {"finalizers": None}}
VERSIONS = "apis/modelyard.dev/v1alpha1/namespaces/{namespace}/modelversions"
DELETIONS: list[Row] = [
    ("one that nobody asked for", "alice", delete("modelversion", "fraud-3"), ALLOWED),
    ("one at staging", "alice", delete("modelversion", "fraud-2"), ALLOWED),
    ("one in production", "alice", delete("modelversion", "fraud-1"), NOT_PRODUCTION),
    ("one that carries a stage unasked", "alice", delete("modelversion", "fraud-4"), NOT_PRODUCTION),
    ("all in one request", "alice", delete_collection(VERSIONS), NOT_PRODUCTION),
    ("by a promoter's right", "frank", delete("modelversion", "fraud-1"), ALLOWED),
    ("because its owner is gone", "garbage", delete("modelversion", "fraud-1"), NOT_PRODUCTION),
    ("a finalizer taken away", "alice", patch("modelversion", "fraud-1", WITHOUT_FINALIZERS), ALLOWED),
    ("a finalizer takes a right", "eve", patch("modelversion", "fraud-1", WITHOUT_FINALIZERS), NO_WRITE),
]


@pytest.mark.parametrize(
    ("who", "act", "want"),
    rows(
        registrar=REGISTRAR,
        ways=WAYS_TO_WRITE,
        others=OTHERS,
        impersonation=IMPERSONATION,
        anew=ASKING_ANEW,
        reason=REASONS,
        deletion=DELETIONS,
    ),
)
def test_who_may(cast: Cast, who: str, act: Act, want: str) -> None:
    assert outcome(cast, who, act) == words(cast, who, want)
