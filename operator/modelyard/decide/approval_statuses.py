"""What do people read of approvals: on each Approval whether it counts, on the version whose consent it has?

Called when everything is decided. An Approval is judged anew as long as a request waits for it; what counted for one
that is over stays told.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from modelyard.api.reasons import ApprovalReason
from modelyard.decide import approvals, marks
from modelyard.decide.approvals import Tally
from modelyard.decide.conditions import condition
from modelyard.decide.objections import Finding, stamp_of
from modelyard.decide.plan import ReplaceStatus
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import ModelState, Request
from modelyard.decide.verification import Verdict
from modelyard.decide.versions import Version
from modelyard.decide.world import World

IGNORED_SHOWN = 10
"""Approvals that do not count, as far as a version's status names them; each says so itself too."""

_VOID = (ApprovalReason.MADE_BEFORE_REJECTION, ApprovalReason.MADE_BEFORE_ROLLBACK)


def approval_statuses(world: World, state: ModelState, verdicts: Mapping[str, Verdict]) -> Iterator[ReplaceStatus]:
    """The statuses of Approvals that differ from what they should be."""
    for (version, stage), objects in world.approvals.items():
        findings = {f.name: f for f in _findings(world, state, verdicts.get(version), stage, version, objects)}
        for obj in objects:
            name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
            known = obj.get("status") or {}
            status = approval_status(findings[name], world.now) if name in findings else dict(known)
            if recorded := marks.written(world, state, obj, [obj["spec"]["decision"]]):
                status["recorded"] = recorded
            if status != known:
                yield ReplaceStatus("Approval", name, uid, status)


def approval_status(finding: Finding, now: datetime) -> dict[str, Any]:
    """An Approval's whole status, with the marks that it has of what the ledger was told of it."""
    before = finding.obj.get("status") or {}
    known = before.get("conditions") or ()
    generation = finding.obj["metadata"].get("generation", 1)
    counted = condition(
        known, "Counted", finding.counted, finding.reason, finding.message, generation=generation, now=now
    )
    status = {"observedGeneration": generation, "by": finding.by, "conditions": [counted]}
    return {key: value for key, value in {**status, "recorded": before.get("recorded")}.items() if value}


def _findings(
    world: World, state: ModelState, verdict: Verdict | None, stage: str, version: str, objects: tuple[Obj, ...]
) -> Iterator[Finding]:
    """What is to be said of the Approvals of one version for one stage."""
    spec = next((s for s in world.stages if s.name == stage), None)
    found = world.versions.get(version)
    if spec is None or found is None or verdict is None or not verdict.passed:
        reason, text = _not_judged(world, spec, found, verdict, objects[0])
        for obj in objects:
            yield Finding(obj, stamp_of(obj) if world.seen.admission else "", reason, text)
        return
    consent = approvals.has_consent(world, spec, version, verdict.digest)
    request = _request(world, state, spec, version, consent=consent)
    waits = request is not None and _waits(request)
    for finding in approvals.tally(world, spec, request, found, verdict.digest).findings:
        if waits or not _stays_told(finding):
            yield finding


def _not_judged(
    world: World, spec: StageSpec | None, version: Version | None, verdict: Verdict | None, obj: Obj
) -> tuple[ApprovalReason, str]:
    """Why an Approval cannot be judged."""
    model = world.seen.name
    if spec is None:
        known = ", ".join(s.name for s in world.stages)
        return ApprovalReason.STAGE_UNKNOWN, f"Model {model!r} has no stage {obj['spec']['stage']!r}; it has: {known}"
    if version is None:
        name = f"{model}-{obj['spec']['version']}"
        return ApprovalReason.VERSION_NOT_FOUND, f"there is no ModelVersion {name!r}; it is judged when there is one"
    text = f"the bytes of version {version.version!r} are not verified; it is judged when they are"
    if verdict and verdict.failed:
        text += f" (what is known: {verdict.message})"
    return ApprovalReason.DIGEST_UNKNOWN, text


def _request(world: World, state: ModelState, spec: StageSpec, version: str, *, consent: bool) -> Request | None:
    """The request that an Approval for a stage is about: the nearest that waits for it, else the last there was."""
    order = [stage.name for stage in world.stages]
    ahead = [spec.name] if consent else order[order.index(spec.name) :]
    found = [request for name in ahead for request in state.stages[name].requests if request.version == version]
    return next((request for request in found if _waits(request)), found[-1] if found else None)


def _waits(request: Request) -> bool:
    return request.is_open and not request.served


def _stays_told(finding: Finding) -> bool:
    """Whether what the Approval says of itself holds, even if it would be judged otherwise by now."""
    conditions = (finding.obj.get("status") or {}).get("conditions") or ()
    known = next((c for c in conditions if c["type"] == "Counted"), None)
    if known is None or known["status"] != "True":
        return False
    return known["reason"] == ApprovalReason.REJECTED or finding.reason not in _VOID


def version_approvals(
    world: World, state: ModelState, version: Version, verdict: Verdict, request: Mapping[str, Any]
) -> dict[str, Any]:
    """A version's `status.approvals`; `request` is its `status.request`.

    While the request waits: of the first stage on its way that still wants approvals. Afterwards it stays as it was
    when the request came to its end or took the stage.
    """
    recorded = version.status.get("approvals") or {}
    stage = state.stages.get(request.get("stage", ""))
    found = stage.request(request["id"]) if stage else None
    if stage is None or found is None or not verdict.passed:
        return dict(recorded) if request else {}
    before = world.memory.stages[stage.name].request(found.id)
    waited = before is None or _waits(before)
    left_open = found.served and recorded.get("missing")  # it took the stage, and that was not written down
    if not waited and not left_open:
        return dict(recorded)
    tallies: list[tuple[StageSpec, Tally]] = []
    for spec in world.stages:
        passed_before = spec.name != stage.name and approvals.has_consent(world, spec, version.version, verdict.digest)
        if spec.approvals.required and not passed_before:
            tallies.append((spec, approvals.tally(world, spec, found, version, verdict.digest)))
        if spec.name == stage.name:
            break
    if not tallies:
        return {}
    shown, counted = next((each for each in tallies if not each[1].passed), tallies[-1])
    return _shown(world, shown, version, verdict.digest, counted)


def _shown(world: World, stage: StageSpec, version: Version, digest: str, counted: Tally) -> dict[str, Any]:
    ignored = [finding for finding in counted.findings if not finding.counted]
    listed = [{"name": f.name, "by": f.by, "reason": f.reason.value} for f in ignored[-IGNORED_SHOWN:]]
    found = {
        "stage": stage.name,
        "required": counted.required,
        "approvedBy": list(counted.approved_by),
        "missing": counted.missing,
        "expired": list(counted.expired),
        "ignored": [{key: value for key, value in item.items() if value} for item in listed],
        "command": approvals.command(world, stage, version, digest) if counted.missing else "",
    }
    return {key: value for key, value in found.items() if value not in ("", [])}
