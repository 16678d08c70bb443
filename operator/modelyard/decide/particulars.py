"""Of whom and what an entry of the ledger speaks: a version, its template, a request, an Approval, a gate's answer.

`chronicle` puts entries together from these. Each says all that is known, because whoever reads it has nothing else;
none has the value of an environment variable, which may be secret.
"""

from collections.abc import Mapping
from typing import Any

from modelyard.api import codec, names
from modelyard.decide import targets
from modelyard.decide.gates import results
from modelyard.decide.objections import Finding
from modelyard.decide.podspec import compact
from modelyard.decide.revisions import build
from modelyard.decide.spec import StageSpec
from modelyard.decide.state import Request, Transition
from modelyard.decide.templates import without_values
from modelyard.decide.versions import Version
from modelyard.decide.world import World
from modelyard.ledger import records

SPEC_LIMIT = 64_000
"""Characters of a version's spec in an entry: entries wait in the Model's status, which is limited."""
TEMPLATE_LIMIT = 32_000
"""Characters of a pod template in an entry; a longer one is left out."""


def of_version(
    version: Version | None, digest: str, *, lineage: bool, artifact: Mapping[str, Any] | None = None
) -> records.Version | None:
    """A version: where it came from, if `lineage`, and what was found in its artifact."""
    if version is None:
        return None
    found = artifact if artifact is not None else version.status.get("artifact") or {}
    spec, omitted = _told(version.spec) if lineage else ({}, ())
    return records.Version(
        version.version,
        uid=version.uid,
        digest=digest or version.digest,
        uri=str(version.artifact.get("uri") or ""),
        size_bytes=found.get("sizeBytes"),
        file_count=found.get("fileCount"),
        files=tuple((artifact or {}).get("files") or ()),
        format=str(found.get("format") or ""),
        signature=found.get("signature") or {},
        created_at=version.created,
        requested_by=version.annotations.get(names.ANNOTATION_REQUESTED_BY, "") if version.generation == 1 else "",
        spec=spec,
        omitted=omitted,
    )


def _told(spec: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What of a spec goes on record, and the fields left out because they are too long. No secrets: values of
    environment variables stay in the cluster."""
    told = {key: value for key, value in spec.items() if key not in ("model", "version", "stage")}
    serving = told.get("serving") or {}
    if serving.get("env"):
        told["serving"] = {**serving, "env": [{"name": variable["name"]} for variable in serving["env"]]}
    omitted = []
    sizes = {key: len(compact(value)) for key, value in told.items()}
    while sum(sizes.values()) > SPEC_LIMIT:
        longest = max(sizes, key=lambda key: sizes[key])
        omitted.append(longest)
        del sizes[longest], told[longest]
    return told, tuple(sorted(omitted))


def of_template(world: World, stage: StageSpec, moved: Transition) -> Mapping[str, Any]:
    """The pod template that a stage serves with from now on."""
    version = world.versions.get(moved.to.version) if moved.to else None
    if version is None or moved.to is None:
        return {}
    built = build(world, stage, targets.replace_digest(version, moved.to.digest))
    if built.template is None or built.revision.hash != moved.to.revision:
        return {}
    told = without_values(built.template)
    return told if len(compact(told)) <= TEMPLATE_LIMIT else {}


def of_request(world: World, request: Request, version: Version | None) -> records.Request:
    """Who wanted it, and why."""
    by_model = request.source == "Model"
    obj = world.model if by_model else version.obj if version and version.uid == request.uid else None
    return records.Request(
        by=request.requested_by,
        at=request.requested_at,
        reason=request.reason,
        change=annotation(obj, names.ANNOTATION_CHANGE) if obj else "",
        source=f"Model/{world.seen.name}" if by_model else f"ModelVersion/{world.seen.name}-{request.version}",
        id=request.id,
    )


def of_approval(finding: Finding) -> records.Approval:
    """One person's verdict."""
    metadata, spec = finding.obj["metadata"], finding.obj["spec"]
    return records.Approval(
        name=metadata["name"],
        by=finding.by,
        decision=spec["decision"],
        stage=spec["stage"],
        version=spec["version"],
        digest=spec["digest"],
        at=codec.parse_time(metadata["creationTimestamp"]),
        comment=str(spec.get("comment") or ""),
        uid=metadata["uid"],
    )


def of_gate(line: results.GateResult) -> records.Gate:
    """What a gate said, with the numbers that it judged."""
    return records.Gate(
        stage=line.stage,
        name=line.name,
        result=line.result,
        when=line.when,
        reason=line.reason,
        message=line.message,
        attempt=line.attempt,
        started_at=line.started_at,
        finished_at=line.finished_at,
        incumbent_version=line.incumbent_version,
        checks=tuple(codec.dump(check) for check in line.checks),
        candidate=line.candidate or {},
        incumbent=line.incumbent or {},
    )


def annotation(obj: Mapping[str, Any], name: str) -> str:
    """An annotation of an object; empty for none."""
    return str((obj["metadata"].get("annotations") or {}).get(name, ""))
