"""Which object did the user name? `risk/fraud@production`, `fraud:7`, `fraud-7`, `fraud`.

`MODEL@STAGE` is the version that carries the stage, `MODEL:VERSION` that version, and a bare name the object of that
name, as kubectl prints it. `NAMESPACE/` may stand before each.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelyard.cli.errors import UnknownError, UsageError
from modelyard.cli.objects import current, stage_names

if TYPE_CHECKING:
    from modelyard.cli.access import Access
    from modelyard.cli.cluster import Cluster

Json = dict[str, Any]
Obj = Mapping[str, Any]
_FORM = re.compile(r"(?:(?P<namespace>[^/@:]+)/)?(?P<name>[^/@:]+)(?:@(?P<stage>[^/@:]+)|:(?P<version>[^/@:]+))?")


@dataclass(frozen=True)
class Reference:
    """What the user named."""

    name: str
    namespace: str | None = None
    stage: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str, wanted: str = "MODEL@STAGE or MODEL:VERSION") -> "Reference":
        """Take a name apart; UsageError says what was wanted."""
        found = _FORM.fullmatch(text)
        if not found:
            raise UsageError(f"{text!r} names nothing; write [NAMESPACE/]{wanted}")
        return cls(found["name"], found["namespace"], found["stage"], found["version"])

    @property
    def is_bare(self) -> bool:
        """Whether neither stage nor version is named."""
        return self.stage is None and self.version is None


def open_model(access: "Access", text: str) -> tuple["Cluster", Json]:
    """The Model that was named, and the cluster it was found in."""
    reference = Reference.parse(text, "MODEL")
    if not reference.is_bare:
        raise UsageError(f"{text!r} names a version; write [NAMESPACE/]MODEL")
    cluster = access.connect(reference.namespace)
    return cluster, find_model(cluster, reference.name)


def open_stage(access: "Access", text: str) -> tuple["Cluster", Json, str]:
    """The Model and the stage of it that were named as MODEL@STAGE."""
    reference = Reference.parse(text, "MODEL@STAGE")
    if reference.stage is None:
        raise UsageError(f"{text!r} names no stage; write [NAMESPACE/]MODEL@STAGE, such as {reference.name}@production")
    cluster = access.connect(reference.namespace)
    model = find_model(cluster, reference.name)
    check_stage(model, reference.stage)
    return cluster, model, reference.stage


def open_version(access: "Access", text: str) -> tuple["Cluster", Json]:
    """The ModelVersion that was named."""
    reference = Reference.parse(text, "VERSION, as in fraud-7, fraud:7 or fraud@production")
    cluster = access.connect(reference.namespace)
    return cluster, find_version(cluster, reference)


def find_model(cluster: "Cluster", name: str) -> Json:
    """A Model by its name."""
    from modelyard.kube.kinds import MODEL

    found = cluster.find(MODEL, name)
    if found is None:
        raise UnknownError(
            f"there is no Model {name!r} in namespace {cluster.namespace!r}; `kubectl modelyard list -A` lists all"
        )
    return found


def find_version(cluster: "Cluster", reference: Reference) -> Json:
    """A ModelVersion by its name, by its Model and version, or by the stage it carries."""
    from modelyard.kube.kinds import MODEL_VERSION

    name = reference.name
    if reference.stage is not None:
        model = find_model(cluster, name)
        check_stage(model, reference.stage)
        pointer = current(model, reference.stage)
        if not pointer:
            raise UnknownError(f"no version carries {name}@{reference.stage}; `kubectl modelyard show {name}` says why")
        name = f"{name}-{pointer['version']}"
    elif reference.version is not None:
        name = f"{name}-{reference.version}"
    found = cluster.find(MODEL_VERSION, name)
    if found is None:
        hint = f"`kubectl modelyard list {reference.name}`" if not reference.is_bare else "`kubectl get modelversions`"
        message = f"there is no ModelVersion {name!r} in namespace {cluster.namespace!r}; {hint} lists what there is"
        raise UnknownError(message)
    return found


def check_stage(model: Obj, stage: str) -> None:
    """UnknownError unless the Model has a stage of that name."""
    known = stage_names(model)
    if stage not in known:
        raise UnknownError(f"Model {model['metadata']['name']!r} has no stage {stage!r}; it has {', '.join(known)}")
