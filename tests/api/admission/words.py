"""The exact words of each refusal, {who} standing for the full name of whoever tried."""

from modelyard.api.names import GROUP

from .cast import GATE_POD

ALLOWED = "allowed"
_ROLES = {"approve": "reviewer", "rollback": "oncall", "configure": "editor", "promote": "promoter"}


def lacks(verb: str, at: str, of: str = "fraud", policy: str = "") -> str:
    """The user has no right to a verb at a stage of a Model."""
    policy = policy or ("promote-versions" if verb == "promote" else verb)
    return (
        f"{policy}: {{who}} may not {verb} at stage {at} of Model {of}: it takes the verb {verb} on models/{at}, which "
        f"for example the ClusterRole modelyard-{_ROLES[verb]} has; to ask whether you hold it: kubectl auth can-i "
        f"{verb} models.modelyard.dev/{of} --subresource={at} --namespace=risk"
    )


def no_right(verb: str, resource: str) -> str:
    """No Role lets the user do it at all."""
    return f'RBAC: User "{{who}}" cannot {verb} resource "{resource}" in API group "{GROUP}" in the namespace "risk"'


def not_the_operator(kind: str, name: str) -> str:
    """Status is not the user's to write."""
    return (
        f"status: {{who}} may not write the status of {kind} {name}: status is what the operator found out, and only "
        "its account system:serviceaccount:modelyard-system:modelyard writes it; change the spec instead"
    )


def managed(verb: str, kind: str, name: str) -> str:
    """The object is the operator's."""
    return (
        f"managed: {{who}} may not {verb} {kind} {name}: what bears the label modelyard.dev/model is made by the "
        "operator from a Model; change the Model or its versions instead"
    )


def lookalike(verb: str, kind: str, name: str) -> str:
    """The object would make pods that look like the operator's, or lead to those."""
    part = "its selector" if kind == "Service" else "its pod template"
    return (
        f"lookalikes: {{who}} may not {verb} {kind} {name}: {part} names labels that begin with modelyard.dev/, by "
        "which traffic finds the pods of a stage; use other labels"
    )


def reported(kind: str, name: str) -> str:
    """What is reported of an object is not the user's to write."""
    return (
        f"results: {{who}} may not change what {kind} {name} runs or reports: traffic and verdicts follow it, so it is "
        "for its node and Kubernetes to say"
    )


NO_COMMANDS = (
    f"commands: {{who}} may not run commands in Pod {GATE_POD}: its result decides about a version; kubectl logs shows "
    "what it does"
)
TOO_MANY = "configure: this touches more than 16 stages at once, more than can be checked; do it in several steps"
SERVES = (
    "deletion: Model fraud serves at production, and its servers would go with it; if that is meant: kubectl annotate "
    "models.modelyard.dev/fraud modelyard.dev/allow-deletion=true --namespace=risk"
)
RECORDS_WAIT = (
    "deletion: Model {model} has 2 records that wait for the ledger, and they would go with it; wait for its condition "
    "LedgerSynced; if they are to be lost: kubectl annotate models.modelyard.dev/{model} "
    "modelyard.dev/allow-deletion=unrecorded --overwrite --namespace=risk"
)
NO_REASON = (
    "reason: Model quiet asks for a reason when a version changes its stage: say why in the annotation "
    "modelyard.dev/reason, in the same change"
)
NO_REASON_FOR_PIN = (
    "promote-models: Model quiet asks for a reason when a stage changes its version: say why in the annotation "
    "modelyard.dev/reason, in the same change"
)
IMMUTABLE = (
    'The Approval "yes" is invalid: spec.decision: Invalid value: spec.decision is immutable; create a new Approval '
    "instead"
)
NO_IMPERSONATION = 'RBAC: User "{who}" cannot impersonate resource "users" in API group "" at the cluster scope'
