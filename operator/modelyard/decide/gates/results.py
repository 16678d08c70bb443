"""What did a gate say, of what exactly, and for whom does its answer hold?

Answers are recorded in the ModelVersion's `status.gates` and count from then on, not before: whoever reads the record
sees everything that a stage was moved on, and neither a restart nor the end of the Job takes an answer away.
`passage` asks here for each gate before a stage; `statuses` writes the record.

An answer is about a gate as it was then (`key`), the candidate's digest, its revision where its pods were asked, and
the incumbent where that matters. A Passed one holds whenever all of these are the same. A Failed or final Error one
holds until somebody asks for another attempt (the annotation modelyard.dev/retry).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.api import codec
from modelyard.api.reasons import GateReason
from modelyard.decide.gates import checks
from modelyard.decide.podspec import compact
from modelyard.decide.spec import GateSpec, StageSpec
from modelyard.decide.state import Revision
from modelyard.decide.versions import Version

MESSAGE_LIMIT = 512
EXPRESSION_LIMIT = 256
NUMBERS_LIMIT = 4096
"""Characters that a record keeps of a message, of a check, and of one side's numbers (an output has no more)."""
RECORD_LIMIT = 200_000
"""Characters of all that a version's status keeps of its gates; an object in etcd takes at most 1.5 million."""
_DETAILS = ("checks", "candidate", "incumbent")
HISTORY = 64
"""Answers kept of gates that nobody asks for any more."""


class Result(StrEnum):
    """What became of a gate."""

    PENDING = "Pending"
    RUNNING = "Running"
    PASSED = "Passed"
    FAILED = "Failed"
    ERROR = "Error"
    SKIPPED = "Skipped"


PASSES = frozenset({Result.PASSED, Result.SKIPPED})
_FINAL = frozenset({Result.PASSED, Result.SKIPPED, Result.FAILED, Result.ERROR})


@dataclass(frozen=True)
class Check:
    """What one check said."""

    expression: str
    result: str
    message: str = ""


@dataclass(frozen=True)
class GateResult:
    """One line of `status.gates`."""

    stage: str
    name: str
    when: str
    result: str = Result.PENDING.value
    reason: str = ""
    message: str = ""
    attempt: int = 1
    retry: str = ""
    """The value of modelyard.dev/retry that it ran under."""
    retried_by: str = ""
    key: str = ""
    digest: str = ""
    revision: str = ""
    incumbent_version: str = ""
    incumbent_digest: str = ""
    job: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_attempt_at: datetime | None = None
    checks: tuple[Check, ...] = ()
    candidate: Mapping[str, Any] | None = None
    incumbent: Mapping[str, Any] | None = None

    @property
    def passes(self) -> bool:
        """Whether the candidate may go on."""
        return self.result in PASSES

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes of it by itself."""
        return self.result in _FINAL and self.next_attempt_at is None

    @property
    def binding(self) -> tuple[str, ...]:
        """What the answer is about."""
        return (self.stage, self.name, self.key, self.digest, self.revision, self.incumbent_digest)

    def holds_for_digest(self, asked: "GateResult") -> bool:
        """Whether it answers for a candidate on its way past this stage, whichever pods and incumbent were judged."""
        return self.passes and self.binding[:4] == asked.binding[:4]

    @property
    def where(self) -> str:
        """The gate, for a sentence."""
        return f"gate {self.name!r} of stage {self.stage!r}"


@dataclass(frozen=True)
class Subject:
    """A candidate at a stage, with what its gates see of it."""

    stage: StageSpec
    version: Version
    revision: Revision
    incumbent: Revision | None
    incumbent_metrics: Mapping[str, Any] | None = None
    endpoint: str = ""


def asked(subject: Subject, gate: GateSpec) -> GateResult:
    """The line of a gate that was not asked yet: what an answer has to be about."""
    version, revision = subject.version, subject.revision
    about: list[Any] = [gate.fingerprint]
    if gate.names_version:
        about += [version.version, version.spec.get("metrics")]
    if gate.job is None and gate.compares:
        about.append(subject.incumbent_metrics)
    incumbent = subject.incumbent if gate.compares else None
    return GateResult(
        stage=subject.stage.name,
        name=gate.name,
        when=gate.when,
        key=hashlib.sha256(compact(about).encode()).hexdigest()[:20],
        digest=revision.digest,
        revision=revision.hash if gate.needs_pods else "",
        incumbent_version=incumbent.version if incumbent else "",
        incumbent_digest=incumbent.digest if incumbent else "",
        retry=version.retry,
        retried_by=version.retried_by,
    )


def recorded(version: Version) -> tuple[GateResult, ...]:
    """What a version's status says of its gates; lines that cannot be read are as good as none."""
    return tuple(_readable(version.status.get("gates") or ()))


def _readable(lines: Iterable[Mapping[str, Any]]) -> Iterator[GateResult]:
    for line in lines:
        try:
            yield codec.load(GateResult, line)
        except (TypeError, ValueError, AttributeError):
            continue


def known(lines: Iterable[GateResult], line: GateResult, *, passing_by: bool) -> GateResult | None:
    """The recorded answer to what is asked, or how far it is. `passing_by`: the stage is not the one wanted."""
    lines = [each for each in lines if each.binding[:4] == line.binding[:4]]
    same = [each for each in lines if each.binding == line.binding]
    passed = [each for each in (lines if passing_by else same) if each.passes]
    if passed:
        return passed[-1]
    return next((each for each in same if each.retry == line.retry), None)


def of_twin(line: GateResult, gate: GateSpec, twins: Iterable[Version]) -> GateResult | None:
    """The answer that another version with the same bytes got, when the gate looks at nothing but bytes."""
    if gate.needs_pods or gate.names_version:
        return None
    for twin in twins:
        for other in recorded(twin):
            if other.binding != line.binding or not other.is_final or other.result == Result.ERROR:
                continue
            if other.passes or not line.retry:
                text = f"version {twin.version!r} has the same digest: {other.message}"
                return replace(other, reason=GateReason.SAME_DIGEST, message=shortened(text), retry=line.retry)
    return None


def job_name(model: str, line: GateResult, version: Version) -> str:
    """Name of the Job of one attempt: the same for the same attempt, so that it is never started twice.

    It is longer than other hashes, since part of what it covers (the digest) is chosen by whoever makes the version.
    """
    about = compact([version.uid, *line.binding, line.retry, line.attempt])
    return f"{model}-gate-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def shortened(text: str) -> str:
    """A message as the record keeps it."""
    return text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 3]}..."


def check_line(said: checks.CheckResult) -> Check:
    """What one check said, as the record keeps it."""
    return Check(said.expression[:EXPRESSION_LIMIT], said.result.value, shortened(said.message))


def numbers(found: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """As much of one side's numbers as the record keeps: whole entries, in their order."""
    if found is None:
        return None
    kept: dict[str, Any] = {}
    left = NUMBERS_LIMIT
    for key, value in found.items():
        left -= len(compact({key: value}))
        if left < 0:
            break
        kept[key] = value
    return kept


def to_record(before: Iterable[GateResult], now: Iterable[GateResult]) -> list[dict[str, Any]]:
    """The new `status.gates`: what is asked now, and before it the answers that remain of what was asked earlier."""
    current = {(*line.binding, line.retry): line for line in now}
    gates = {(line.stage, line.name) for line in current.values()}
    history = [line for line in before if line.is_final and (line.stage, line.name) not in gates]
    lines = [*history[-HISTORY:], *current.values()]
    return _bounded([codec.dump(line) for line in lines])


def _bounded(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out details, of the oldest first, until the whole is small enough."""
    sizes = [len(compact(line)) for line in lines]
    for index, line in enumerate(lines):
        if sum(sizes) <= RECORD_LIMIT:
            break
        lines[index] = {key: value for key, value in line.items() if key not in _DETAILS}
        sizes[index] = len(compact(lines[index]))
    return lines
