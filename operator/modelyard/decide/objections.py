"""What stands against one Approval?

`approvals.tally` asks it of each Approval of a version for a stage, oldest first. The first of `_CHECKS` that finds
something speaks; where none does, the Approval counts. Each reason says what to do about it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from modelyard.api import codec, names
from modelyard.api.reasons import ApprovalReason
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Request, StageState, Step, Voided
from modelyard.decide.versions import Version
from modelyard.decide.world import World

SERVICE_ACCOUNT = "system:serviceaccount:"
"""What the names of all ServiceAccounts begin with."""


@dataclass(frozen=True)
class Finding:
    """What one Approval is worth."""

    obj: Obj
    by: str
    """Who made it; empty when that is not known."""
    reason: ApprovalReason
    message: str
    expires_at: datetime | None = None
    spent: bool = False
    """A Reject that has ended a request and ends no other."""

    @property
    def name(self) -> str:
        """Name of the Approval."""
        return str(self.obj["metadata"]["name"])

    @property
    def counted(self) -> bool | None:
        """Whether it counts, for or against the version; None while nobody can tell."""
        if self.reason == ApprovalReason.DIGEST_UNKNOWN:
            return None
        return self.reason in (ApprovalReason.COUNTED, ApprovalReason.REJECTED)


@dataclass(frozen=True)
class Case:
    """What an Approval is judged against."""

    world: World
    stage: StageSpec
    request: Request | None
    """None: nobody asks for the stage yet."""
    version: Version
    digest: str

    @cached_property
    def state(self) -> StageState:
        """What is remembered of the stage."""
        return self.world.memory.stages.get(self.stage.name) or StageState(self.stage.name)

    @cached_property
    def voided(self) -> Voided | None:
        """Up to when Approvals of this version are void."""
        entries = (entry for entry in self.state.voided if entry.version in ("", self.version.version))
        return max(entries, key=lambda entry: entry.at, default=None)

    @property
    def requester(self) -> str:
        """Who asked; empty when that is not known."""
        return self.request.requested_by if self.request else ""

    @property
    def author(self) -> str:
        """`spec.author` of the version."""
        return str(self.version.spec.get("author") or "")

    @property
    def where(self) -> str:
        """Version and stage, for a person to read."""
        return f"version {self.version.version!r} for stage {self.stage.name!r}"

    def is_shared(self, account: str) -> bool:
        """Whether a user's name stands for many people."""
        return account in self.world.seen.shared_accounts


@dataclass(frozen=True)
class _Paper:
    """One Approval as it is read."""

    obj: Obj
    stamp: str
    """Who made it, as far as stamps can be believed."""
    created: datetime
    is_reject: bool
    expires_at: datetime | None
    earlier: Sequence[Finding]
    """Those before it, judged."""


_Objection = tuple[ApprovalReason, str] | None


def judge(case: Case, obj: Obj, earlier: Sequence[Finding]) -> Finding:
    """Judge one Approval. `earlier`: those of the same version and stage made before it, judged."""
    lasts = case.stage.approvals.expire_after
    created = codec.parse_time(obj["metadata"]["creationTimestamp"])
    paper = _Paper(
        obj,
        stamp=stamp_of(obj),
        created=created,
        is_reject=obj["spec"]["decision"] == "Reject",
        expires_at=created + lasts if lasts else None,
        earlier=earlier,
    )
    by = paper.stamp if case.world.seen.admission else ""
    for check in _CHECKS:
        if objection := check(case, paper):
            return Finding(obj, by, *objection)
    if paper.is_reject:
        comment = obj["spec"].get("comment") or "no comment given"
        text = f"{by} rejected {case.where}: {comment} (Approval {obj['metadata']['name']!r})"
        return Finding(obj, by, ApprovalReason.REJECTED, text, paper.expires_at, spent=_is_void(case, paper))
    until = f" until {codec.format_time(paper.expires_at)}" if paper.expires_at else ""
    return Finding(obj, by, ApprovalReason.COUNTED, f"counts as the consent of {by}{until}", paper.expires_at)


def stamp_of(obj: Obj) -> str:
    """Who made an object, if the admission policies are installed; anybody could have written it otherwise."""
    return str((obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_BY, ""))


def _unknown_maker(case: Case, paper: _Paper) -> _Objection:
    text = "nobody can know who made it: "
    if not case.world.seen.admission:
        text += "the operator runs without the admission policies; have them installed, then create it again"
        return ApprovalReason.ADMISSION_NOT_INSTALLED, text
    if not paper.stamp:
        text += "the admission policies were not installed when it was created; create it again"
        return ApprovalReason.ADMISSION_NOT_INSTALLED, text
    return None


def _other_bytes(case: Case, paper: _Paper) -> _Objection:
    digest = paper.obj["spec"]["digest"]
    if digest == case.digest:
        return None
    text = (
        f"it is about {digest}, and version {case.version.version!r} has {case.digest}; look at what has that digest, "
        "then create another with it"
    )
    return ApprovalReason.DIGEST_MISMATCH, text


def _machine(case: Case, paper: _Paper) -> _Objection:
    if case.stage.approvals.allow_service_accounts:
        return None
    to_do = "let a person approve, or set approvals.allowServiceAccounts of the stage"
    if case.is_shared(paper.stamp):
        return ApprovalReason.SHARED_ACCOUNT, f"{paper.stamp} stands for many people (sharedAccounts); {to_do}"
    if paper.stamp.startswith(SERVICE_ACCOUNT):
        return ApprovalReason.SERVICE_ACCOUNT, f"{paper.stamp} is a ServiceAccount; {to_do}"
    return None


def _void(case: Case, paper: _Paper) -> _Objection:
    if case.voided is None or not _is_void(case, paper):
        return None
    rejected = case.voided.step == Step.REJECTED
    if rejected and paper.is_reject:
        return None  # it, or another beside it, is what ended the request
    reason = ApprovalReason.MADE_BEFORE_REJECTION if rejected else ApprovalReason.MADE_BEFORE_ROLLBACK
    happened = "rejected" if rejected else "rolled back"
    since = codec.format_time(case.voided.at)
    text = f"{case.where} was {happened} at {since}, and this was not made later; create another if it is still right"
    return reason, text


def _is_void(case: Case, paper: _Paper) -> bool:
    # The creation is known to the second only: of what happened within one, nobody can say what came first.
    return case.voided is not None and paper.created <= case.voided.at


def _too_late(case: Case, paper: _Paper) -> _Objection:
    current = case.state.current
    if current is None or current.version != case.version.version or paper.created <= current.since:
        return None
    text = f"version {current.version!r} carried stage {case.stage.name!r} already when it was made"
    text += "; to take it off the stage, create a Rollback" if paper.is_reject else ""
    return ApprovalReason.ALREADY_SERVING, text


def _not_asked_for(case: Case, paper: _Paper) -> _Objection:
    if paper.is_reject or case.stage.approvals.required:
        return None
    return ApprovalReason.NOT_REQUIRED, f"stage {case.stage.name!r} requires no approvals; nothing waits for it"


def _own_work(case: Case, paper: _Paper) -> _Objection:
    if paper.is_reject or not case.stage.approvals.exclude_requester:
        return None
    if is_same_person(paper.stamp, case.requester):
        text = f"{paper.stamp} asked for the stage, and others have to approve (approvals.excludeRequester)"
        return ApprovalReason.REQUESTER, text
    if is_same_person(paper.stamp, case.author):
        text = f"{paper.stamp} is the version's author, and others have to approve (approvals.excludeRequester)"
        return ApprovalReason.AUTHOR, text
    return None


def _expired(case: Case, paper: _Paper) -> _Objection:
    if paper.expires_at is None or case.world.now < paper.expires_at:
        return None
    text = f"it expired at {codec.format_time(paper.expires_at)} (approvals.expireAfter); create another"
    return ApprovalReason.EXPIRED, text


def _second_time(case: Case, paper: _Paper) -> _Objection:
    if paper.is_reject:
        return None
    for finding in paper.earlier:
        if finding.reason == ApprovalReason.COUNTED and finding.by == paper.stamp:
            text = (
                f"{paper.stamp} approved already (Approval {finding.name!r}) and counts once; let somebody else approve"
            )
            return ApprovalReason.DUPLICATE, text
    return None


_CHECKS: tuple[Callable[[Case, _Paper], _Objection], ...] = (
    _unknown_maker,
    _other_bytes,
    _machine,
    _void,
    _too_late,
    _not_asked_for,
    _own_work,
    _expired,
    _second_time,
)
"""Whether it could count at all comes before whether it still does: only such as once counted are told expired."""


def is_same_person(user: str, name: str) -> bool:
    """Whether a user of the cluster is whom a name means: authenticators put prefixes before people's names."""
    user, name = user.casefold(), name.casefold()
    return bool(name) and (user == name or user.endswith((f":{name}", f"#{name}", f"/{name}")))
