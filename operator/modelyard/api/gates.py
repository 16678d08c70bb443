"""What stands before a stage: gates that judge a candidate, and approvals by people."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard.api.base import PATTERN_MESSAGE, ApiType, Duration, Rule
from modelyard.api.serving import PodTemplate


class GateJob(ApiType):
    """A Job that evaluates the candidate and writes one JSON object to its termination message."""

    template: PodTemplate
    """The pod that evaluates. It finds the files at /mnt/models/candidate and /mnt/models/incumbent."""
    timeout: Duration | None = None
    """How long one attempt may take. Default: 30m."""
    retries: Annotated[int, Field(ge=0, le=10)] | None = None
    """How often an attempt that gave no answer (crash, time-out, unusable output) is repeated. Default: 0."""


class Gate(ApiType):
    """A check that a candidate has to pass before, or just after, it carries the stage. A gate without an answer does
    not pass."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.job) || has(self.checks)", "a gate needs a job, checks, or both"),
        Rule(
            "!has(self.inputs) || has(self.job)",
            "inputs says what is mounted into a gate's job, and this gate has none; remove inputs or add a job",
            ".inputs",
        ),
    )

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
            max_length=40,
            json_schema_extra={
                PATTERN_MESSAGE: "a gate's name is 1-40 lower-case letters, digits and '-', begins with a "
                "letter and ends with a letter or digit"
            },
        ),
    ]
    """Name of the gate; unique in the stage."""
    when: Literal["BeforeDeploy", "BeforeTraffic", "AfterTraffic"] | None = None
    """BeforeDeploy judges files and metrics; BeforeTraffic the candidate's running pods; AfterTraffic the revision that
    has just taken the stage, which goes back when the gate fails. Default: BeforeDeploy."""
    inputs: Literal["None", "Candidate", "Both"] | None = None
    """Whose files the job finds mounted. Default: Both."""
    job: GateJob | None = None
    """The Job that evaluates. Without one the metrics that the versions declare are judged."""
    checks: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1, max_length=32)] | None
    ) = None
    """CEL expressions over `candidate`, `incumbent` and `version` that all have to be true, such as
    `candidate.auc >= incumbent.auc - 0.005`."""


class ApprovalPolicy(ApiType):
    """Whose consent a version needs before it carries the stage."""

    required: Annotated[int, Field(ge=0, le=20)]
    """How many distinct people have to approve."""
    exclude_requester: bool | None = None
    """Whether the approvals of the person who asked for the stage, and of the version's author, do not count.
    Default: false."""
    expire_after: Duration | None = None
    """How long an approval counts. Default: without end."""
    allow_service_accounts: bool | None = None
    """Whether approvals by ServiceAccounts and shared accounts count. Default: false."""
