"""Is a version's artifact what it says, and what is its digest?

A Job in the Model's namespace reads the bytes with the Model's credentials and leaves its result as the pod's
termination message. Transient failures are tried again with backoff; a final one stands until the version is
asked for anew. A digest, once pinned, stays: every fetch computes it again, and so does a verification that a policy
on signatures made necessary (`signing`).
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from modelyard.api import codec, defaults, names
from modelyard.api.ordering import natural_key
from modelyard.api.reasons import ArtifactReason, VersionReason
from modelyard.decide import jobs, manifests, podspec, signing
from modelyard.decide.plan import Create
from modelyard.decide.progress import parse_result
from modelyard.decide.revisions import short_hash
from modelyard.decide.state import ModelState, Request
from modelyard.decide.versions import Version
from modelyard.decide.world import World

FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=5)
_FOUND = ("sizeBytes", "fileCount", "format", "signature", "warnings")
"""What a result tells of the artifact, in the words of the status."""


@dataclass(frozen=True)
class Verdict:
    """What is known of a version's artifact."""

    state: str
    """Pending, Running, Passed or Failed; empty when it is not to be verified."""
    reason: str = ""
    message: str = ""
    digest: str = ""
    attempt: int = 0
    for_request: str = ""
    started_at: str = ""
    finished_at: str = ""
    next_attempt_at: str = ""
    artifact: Mapping[str, Any] = field(default_factory=dict)
    """Size, file count, format, pinned objects and warnings, once read."""

    @property
    def passed(self) -> bool:
        """Whether the digest is pinned and the version may go on."""
        return self.state == "Passed"

    @property
    def failed(self) -> bool:
        """Whether it cannot be used, until asked for anew."""
        return self.state == "Failed"

    @property
    def record(self) -> Mapping[str, Any]:
        """The status's `verification`."""
        found = {
            "state": self.state,
            "attempt": self.attempt,
            "forRequest": self.for_request,
            "reason": str(self.reason),
            "message": self.message,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "nextAttemptAt": self.next_attempt_at,
        }
        return {key: value for key, value in found.items() if value not in ("", 0)} if self.state else {}


@dataclass(frozen=True)
class Verifications:
    """The verdicts on all versions of a snapshot, and what is to be done for those without one."""

    verdicts: dict[str, Verdict]
    jobs: tuple[Create, ...] = ()
    waits_for_slot: bool = False
    look_again_at: datetime | None = None


def judge(world: World, state: ModelState) -> Verifications:
    """The verdict on every version, and the Jobs to start: requested versions first, within the free slots."""
    verdicts: dict[str, Verdict] = {}
    due: list[tuple[Version, Verdict]] = []
    moments: list[datetime] = []
    asked, ahead = _open_requests(state), _open_requests(state, ahead=True)
    for version in world.versions.values():
        requests = asked.get(version.version, ()), ahead.get(version.version, ())
        verdict = _verdict(world, state, version, *requests)
        verdicts[version.version] = verdict
        if verdict.state != "Pending":
            continue
        next_attempt = codec.parse_time(verdict.next_attempt_at) if verdict.next_attempt_at else world.now
        if next_attempt > world.now:
            moments.append(next_attempt)
        elif job_name(world, version, verdict) not in world.seen.jobs:
            due.append((version, verdict))
    due.sort(key=lambda item: _urgency(item[0], asked.get(item[0].version, ())))
    free = max(world.seen.free_verifications, 0)
    starting = tuple(Create(_job(world, version, verdict)) for version, verdict in due[:free])
    return Verifications(verdicts, starting, len(due) > free, min(moments, default=None))


def _urgency(version: Version, asked: Iterable[Request]) -> tuple[int, object]:
    """Requested versions first, the newest request before others; the rest in their own order."""
    newest = max((request.place for request in asked), default=0)
    return -newest, natural_key(version.version)


def _open_requests(state: ModelState, *, ahead: bool = False) -> dict[str, tuple[Request, ...]]:
    """By version. `ahead`: only those that could still move their stage."""
    found: dict[str, tuple[Request, ...]] = {}
    for stage in state.stages.values():
        served = stage.current.place if ahead and stage.current else 0
        for request in stage.open_requests:
            if request.place > served:
                found[request.version] = (*found.get(request.version, ()), request)
    return found


def _verdict(
    world: World, state: ModelState, version: Version, asked: Iterable[Request], ahead: Iterable[Request]
) -> Verdict:
    recorded = _recorded(version)
    ids, coming = ({request.attempt_id for request in requests} for requests in (asked, ahead))
    if recorded.failed and _asked_again(version, recorded, coming):
        recorded = _anew(recorded, max(coming, default=f"~{version.retry}"))
    elif recorded.passed and coming and not signing.stands(world, recorded.artifact):
        recorded = _anew(recorded, max(coming))
    if recorded.passed or recorded.failed:
        return recorded
    if version.stage == names.STAGE_ARCHIVED and not ids:
        return Verdict("", VersionReason.ARCHIVED, "archived versions are not verified")
    if not recorded.state:
        recorded = Verdict("Pending", for_request=max(ids, default=""))
    refusal = _refusal(world, version)
    if refusal:
        return _failed(world, recorded, *refusal)
    if version.artifact.get("external"):
        return _external(world, version, recorded)
    return _observed(world, state, version, recorded)


def _asked_again(version: Version, recorded: Verdict, ids: Collection[str]) -> bool:
    """Whether a failed verification is to be repeated: for a new request, or because somebody said so."""
    if ids:
        return recorded.for_request not in ids
    return bool(version.retry) and not recorded.for_request.endswith(f"~{version.retry}")


def _anew(recorded: Verdict, for_request: str) -> Verdict:
    """Another verification. What an earlier one found of the bytes stays, the digest above all; who signed does not."""
    artifact = {key: found for key, found in recorded.artifact.items() if key != "signature"}
    return Verdict("Pending", digest=recorded.digest, for_request=for_request, artifact=artifact)


def _recorded(version: Version) -> Verdict:
    known = version.verification
    return Verdict(
        state=str(known.get("state", "")),
        reason=str(known.get("reason", "")),
        message=str(known.get("message", "")),
        digest=version.digest,
        attempt=int(known.get("attempt", 0)),
        for_request=str(known.get("forRequest", "")),
        started_at=str(known.get("startedAt", "")),
        finished_at=str(known.get("finishedAt", "")),
        next_attempt_at=str(known.get("nextAttemptAt", "")),
        artifact=version.status.get("artifact") or {},
    )


def _refusal(world: World, version: Version) -> tuple[str, str] | None:
    policy = world.model["spec"].get("artifactPolicy") or {}
    if policy.get("requireDeclaredFiles") and version.artifact.get("uri") and not version.artifact.get("files"):
        text = (
            "the Model's artifactPolicy.requireDeclaredFiles is true and spec.artifact.files is empty; "
            "register a new version that lists its files with their sha256"
        )
        return ArtifactReason.FILES_NOT_DECLARED, text
    return signing.refusal(world, version)


def _external(world: World, version: Version, recorded: Verdict) -> Verdict:
    """A model of an outside provider has no bytes here; its digest is that of the reference."""
    reference = version.artifact["external"]
    lines = "".join(f"{reference.get(key, '')}\n" for key in ("provider", "model", "revision"))
    digest = "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    text = "hosted by an outside provider; the digest is that of the reference"
    return _passed(world, recorded, {"digest": digest, "format": "external"}, VersionReason.EXTERNAL, text)


def _observed(world: World, state: ModelState, version: Version, recorded: Verdict) -> Verdict:
    """What the Job of the present attempt says."""
    job = world.seen.jobs.get(job_name(world, version, recorded))
    if job is None:
        if recorded.state == "Running":
            recorded = _pending(recorded)
        refusal = world.seen.refusals.get(("Job", job_name(world, version, recorded)))
        text = recorded.message or "waits for its turn to be verified"
        if refusal:
            text = f"the verification's Job is refused: {refusal}"
        return Verdict(
            **{**vars(recorded), "reason": recorded.reason or VersionReason.VERIFICATION_PENDING, "message": text}
        )
    result = jobs.result(world, job)
    if result is None:
        waiting = jobs.wait(world, job, "the verification's")
        return Verdict(
            "Running",
            VersionReason.VERIFICATION_RUNNING,
            waiting.message if waiting else "a Job is reading the artifact",
            digest=recorded.digest,
            attempt=recorded.attempt,
            for_request=recorded.for_request,
            started_at=str(job["metadata"]["creationTimestamp"]),
            artifact=recorded.artifact,
        )
    error = result.get("error")
    if error and error.get("transient"):
        return _retry(world, recorded, error)
    if error:
        return _failed(world, recorded, str(error["reason"]), str(error["message"]))
    digest = str(result.get("digest", ""))
    if not digest:  # not what our program leaves
        return _retry(world, recorded, parse_result(None)["error"])
    conflict = _conflict(state, version, digest)
    if conflict:
        return _failed(world, recorded, VersionReason.DIGEST_CONFLICT, conflict)
    if not signing.stands(world, result):
        text = "the Model requires a signature, and the verification's helper is of a release that looks at none"
        return _failed(world, recorded, ArtifactReason.SIGNATURE_MISSING, text)
    text = f"the bytes were read and the digest is pinned{signing.sentence(result)}"
    return _passed(world, recorded, result, VersionReason.VERIFIED, text)


def _pending(recorded: Verdict) -> Verdict:
    return replace(_anew(recorded, recorded.for_request), attempt=recorded.attempt)


def _passed(world: World, recorded: Verdict, result: Mapping[str, Any], reason: str, message: str) -> Verdict:
    objects = [{"path": path, "versionId": version} for path, version in result.get("objects") or ()]
    artifact = {key: result[key] for key in _FOUND if result.get(key)}
    if objects:
        artifact["objects"] = objects
    files = [{"path": path, "sha256": sha256, "size": size} for path, sha256, size in result.get("files") or ()]
    if files:
        artifact["files"] = files
    return Verdict(
        "Passed",
        str(reason),
        message,
        digest=str(result["digest"]),
        attempt=recorded.attempt,
        for_request=recorded.for_request,
        started_at=recorded.started_at,
        finished_at=codec.format_time(world.now),
        artifact=artifact,
    )


def _failed(world: World, recorded: Verdict, reason: str, message: str) -> Verdict:
    return Verdict(
        "Failed",
        str(reason),
        message,
        digest=recorded.digest,
        attempt=recorded.attempt,
        for_request=recorded.for_request,
        started_at=recorded.started_at,
        finished_at=codec.format_time(world.now),
        artifact=recorded.artifact,
    )


def _retry(world: World, recorded: Verdict, error: Mapping[str, Any]) -> Verdict:
    wait = min(FIRST_RETRY * 2 ** min(recorded.attempt, 10), LONGEST_RETRY)
    text = f"{error['message']} (attempt {recorded.attempt + 1}; tried again in {int(wait.total_seconds())} s)"
    return Verdict(
        "Pending",
        str(error["reason"]),
        text,
        digest=recorded.digest,
        attempt=recorded.attempt + 1,
        for_request=recorded.for_request,
        next_attempt_at=codec.format_time(world.now + wait),
        artifact=recorded.artifact,
    )


def _conflict(state: ModelState, version: Version, digest: str) -> str:
    """The other digest that this version was served with before, as a sentence; empty for none."""
    for stage in state.stages.values():
        served = [(r.version, r.digest) for r in stage.revisions]
        moves = (line["to"] for line in state.transitions if "to" in line and line["stage"] == stage.name)
        served += [(to["version"], to["digest"]) for to in moves]
        other = next((known for name, known in served if name == version.version and known != digest), None)
        if other:
            return (
                f"version {version.version!r} was served at stage {stage.name!r} with digest {other} and its bytes "
                f"now have {digest}; a version never changes: register these bytes as a new version"
            )
    return ""


def job_name(world: World, version: Version, verdict: Verdict) -> str:
    """Name of the Job of one attempt: the same for the same attempt, so that it is never started twice. Under another
    policy on signatures it is another attempt."""
    key = [version.uid, verdict.for_request, verdict.attempt, *signing.fingerprint(world)]
    return f"{world.seen.name}-verify-{short_hash(key)}"


def _job(world: World, version: Version, verdict: Verdict) -> Mapping[str, Any]:
    policy = world.model["spec"].get("artifactPolicy") or {}
    artifact = version.artifact
    task = {
        "kind": "verify",
        "uri": artifact.get("uri"),
        "digest": artifact.get("digest") or verdict.digest or None,
        "files": artifact.get("files"),
        "requireDeclaredFiles": bool(policy.get("requireDeclaredFiles")),
        "pickle": policy.get("pickle", defaults.PICKLE),
        "format": version.spec.get("format"),
        "signature": signing.task(world, version),
    }
    name = job_name(world, version, verdict)
    job = jobs.build(world, name, "verify", task, manifests.owner(version.obj), version.version)
    podspec.mount_trust(job["spec"]["template"]["spec"], signing.mounts(world))
    return job
