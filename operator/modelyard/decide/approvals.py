"""Who has approved a version for a stage, and do they suffice?

Whoever promotes asks `tally` once for each stage on a request's way; `approval_statuses` tells people what came of
each Approval. An Approval is one person's verdict on one digest, judged anew at every decision (`objections`).

Approve counts towards what the stage requires. One Reject ends the request that is under way or, when there is none,
the next one, and is spent with it (`spend`). Who made an Approval is known from the stamp of the admission policies
alone; without them none counts.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from modelyard.api import codec, names
from modelyard.api.reasons import ApprovalReason, VersionReason
from modelyard.decide.objections import SERVICE_ACCOUNT, Case, Finding, judge
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import VOIDED_KEPT, Request, StageState, Step, Voided
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World


@dataclass(frozen=True)
class Tally:
    """All Approvals of a version for a stage, judged."""

    required: int
    findings: tuple[Finding, ...] = ()
    """One for each Approval, oldest first."""
    held: tuple[VersionReason, str] | None = None
    """Why the request does not pass, for its standing; None when it does."""

    @cached_property
    def approved_by(self) -> tuple[str, ...]:
        """Who consents, each person once."""
        return tuple(finding.by for finding in self._having(ApprovalReason.COUNTED))

    @property
    def missing(self) -> int:
        """How many more people have to approve."""
        return max(0, self.required - len(self.approved_by))

    @property
    def expired(self) -> tuple[str, ...]:
        """Whose consent has expired and was not renewed."""
        by = dict.fromkeys(finding.by for finding in self._having(ApprovalReason.EXPIRED))
        return tuple(name for name in by if name not in self.approved_by)

    @cached_property
    def rejects(self) -> tuple[Finding, ...]:
        """The Rejects that have not ended a request yet."""
        return tuple(finding for finding in self._having(ApprovalReason.REJECTED) if not finding.spent)

    @property
    def rejection(self) -> str:
        """Who rejected the version and why, in a sentence; empty when nobody did."""
        return self.rejects[0].message if self.rejects else ""

    @property
    def passed(self) -> bool:
        """Whether the request may go on."""
        return self.held is None

    @property
    def look_again_at(self) -> datetime | None:
        """When the next one that counts expires."""
        return min((f.expires_at for f in self.findings if f.counted and not f.spent and f.expires_at), default=None)

    def _having(self, reason: ApprovalReason) -> Iterable[Finding]:
        return (finding for finding in self.findings if finding.reason == reason)


def tally(world: World, stage: StageSpec, request: Request | None, version: Version, digest: str) -> Tally:
    """Count what a request needs to pass a stage. `request` None: nobody asks for the stage yet."""
    case = Case(world, stage, request, version, digest)
    findings: list[Finding] = []
    for obj in world.approvals.get((version.version, stage.name), ()):
        findings.append(judge(case, obj, findings))
    counted = Tally(stage.approvals.required, tuple(findings))
    return replace(counted, held=_held(case, counted))


def has_consent(world: World, stage: StageSpec, version: str, digest: str) -> bool:
    """Whether these bytes carry a stage or were good there: whoever goes on to a later one needs no consent anew."""
    state = world.memory.stages.get(stage.name)
    if state is None:
        return False
    held = {(revision.version, revision.digest) for revision in state.revisions if revision.good}
    if state.current:
        held.add((state.current.version, state.current.digest))
    return (version, digest) in held


def rejection(world: World, stage: StageSpec, request: Request, version: Version, digest: str) -> str:
    """Who rejected a version for a stage or for one on the way there, and why, in a sentence; empty for nobody."""
    for way in world.stages[: world.stages.index(stage) + 1]:
        asked = (version.version, way.name) in world.approvals
        if asked and (said := tally(world, way, request, version, digest).rejection):
            return said
    return ""


def _held(case: Case, counted: Tally) -> tuple[VersionReason, str] | None:
    policy, stage, seen = case.stage.approvals, case.stage.name, case.world.seen
    if counted.rejection:
        return VersionReason.REJECTED, counted.rejection
    if not policy.required:
        return None
    if not seen.admission:
        text = (
            f"stage {stage!r} requires approvals, and nobody can know who gave them: the operator runs without the "
            "admission policies; have them installed"
        )
        return VersionReason.ADMISSION_NOT_INSTALLED, text
    if unknown := _unknown_requester(case):
        return VersionReason.REQUESTER_UNKNOWN, unknown
    if not counted.missing:
        return None
    needed = f"{policy.required} approvals are" if policy.required > 1 else "1 approval is"
    names_given = f" ({', '.join(counted.approved_by)})" if counted.approved_by else ""
    expired = f", expired: {', '.join(counted.expired)}" if counted.expired else ""
    text = (
        f"{needed} required at stage {stage!r}, {len(counted.approved_by)} given{names_given}, {counted.missing} "
        f"missing{expired}; to approve: kubectl modelyard approve {case.version.name} --stage={stage} "
        f"--namespace={seen.namespace} (without the plugin: what status.approvals.command says); whether you may: "
        f"kubectl auth can-i approve models.{names.GROUP}/{seen.name} --subresource={stage} "
        f"--namespace={seen.namespace}"
    )
    return VersionReason.APPROVALS_MISSING, text


def _unknown_requester(case: Case) -> str:
    """Why nobody can tell whom `excludeRequester` excludes; empty when one can."""
    policy, request = case.stage.approvals, case.request
    if request is None or not policy.exclude_requester or case.author:
        return ""
    who = request.requested_by
    machine = who.startswith(SERVICE_ACCOUNT) and not policy.allow_service_accounts
    if who and not machine and not case.is_shared(who):
        return ""
    why = f"{who} stands for whoever can make it ask" if who else "the request has no stamp"
    return (
        f"stage {case.stage.name!r} wants approvals by others than the requester, and {why}; let a person ask: kubectl "
        f"annotate {_asker(case.world, request)} {names.ANNOTATION_REQUEST}=<anything new> --overwrite; or name "
        "spec.author in the next version"
    )


def _asker(world: World, request: Request) -> str:
    """The object whose field is the request, as kubectl takes it."""
    if request.source == "Model":
        return f"model {world.seen.name}"
    return f"modelversion {world.seen.name}-{request.version}"


def unexplained(world: World, request: Request) -> str:
    """What to do about a request without the reason that its Model wants; empty when nothing is to be done."""
    if not world.model["spec"].get("requireReason") or request.reason:
        return ""
    return (
        f"Model {world.seen.name!r} wants a reason for every stage change (requireReason): kubectl annotate "
        f"{_asker(world, request)} {names.ANNOTATION_REASON}='...'"
    )


def command(world: World, stage: StageSpec, version: Version, digest: str) -> str:
    """The line that approves a version, to be copied."""
    spec = {"model": world.seen.name, "version": version.version, "stage": stage.name, "digest": digest}
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": "Approval",
        "metadata": {"generateName": f"{version.name}-{stage.name}-", "namespace": world.seen.namespace},
        "spec": {**spec, "decision": "Approve"},
    }
    return f"echo {shlex.quote(json.dumps(manifest, separators=(',', ':')))} | kubectl create -f -"


def spend(world: World, stages: Mapping[str, StageState], verdicts: Mapping[str, Verdict]) -> Mapping[str, StageState]:
    """Spend the Rejects that ended a request in this decision, which voids what was approved before them.

    A Reject at an earlier stage ends the request for a later one too; it is spent where it was made.
    """
    spent = dict(stages)
    for index, spec in enumerate(world.stages):
        open_before = {request.id for request in world.memory.stages[spec.name].open_requests}
        for request in stages[spec.name].requests:
            version = world.versions.get(request.version)
            if request.id not in open_before or request.ended != Step.REJECTED or version is None:
                continue
            for way in world.stages[: index + 1]:
                rejects = tally(world, way, request, version, verdicts[request.version].digest).rejects
                moments = [codec.parse_time(reject.obj["metadata"]["creationTimestamp"]) for reject in rejects]
                if moments:
                    spent[way.name] = void(spent[way.name], {request.version}, max(moments), Step.REJECTED)
    return spent


def void(state: StageState, versions: Iterable[str], at: datetime, step: Step) -> StageState:
    """Remember that Approvals of these versions for the stage count only when made after a moment."""
    added = sorted(set(versions))
    entries = [entry for entry in state.voided if entry.version not in added]
    entries += [Voided(at, step.value, version) for version in added]
    surplus, kept = entries[:-VOIDED_KEPT], entries[-VOIDED_KEPT:]
    if surplus:
        # Rather ask once more for a consent than let one count that was overruled.
        newest = max(surplus, key=lambda entry: entry.at)
        kept = [replace(newest, version=""), *kept]
    return replace(state, voided=tuple(kept))
