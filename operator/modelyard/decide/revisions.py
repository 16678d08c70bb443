"""Which revision would a stage serve for a version, and with which pod template?

A revision's hash covers what users wrote (version, digest, template, storage, port) and nothing of the operator
itself, so upgrading the operator makes no new revision and restarts no pod.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelyard.decide import shapes, templates
from modelyard.decide.spec import ServingSpec, StageSpec
from modelyard.decide.state import Revision
from modelyard.decide.versions import Version
from modelyard.decide.world import World


@dataclass(frozen=True)
class Built:
    """A revision with the user's pod template resolved for it; `template` is None without a server."""

    revision: Revision
    template: Mapping[str, Any] | None
    error: str = ""
    """What is wrong with the template, for a person to read."""


def build(world: World, stage: StageSpec, version: Version) -> Built:
    """The revision that this verified version has at this stage now."""
    template = resolve_template(stage.serving, version.spec.get("serving") or {}) if stage.serving else None
    uri = str(version.artifact.get("uri", ""))
    revision = Revision(hash="", version=version.version, digest=version.digest, uri=uri)
    revision = replace(revision, hash=_hash(world, stage, revision, template, version.artifact.get("external")))
    return Built(revision, template, templates.error(template, "spec.serving.template") if template is not None else "")


def build_recorded(world: World, stage: StageSpec, revision: Revision, version: Version | None) -> Built | None:
    """The revision out of the template that the ledger has of it; None when it does not come out the same.

    Its version may be gone. Values of environment variables, which are not recorded, are those of today's manifests.
    """
    if not revision.template or stage.serving is None:
        return None
    today = resolve_template(stage.serving, (version.spec.get("serving") or {}) if version else {})
    template = templates.with_values(revision.template, today)
    external = version.artifact.get("external") if version else None
    same = _hash(world, stage, revision, template, external) == revision.hash
    return Built(revision, template) if same else None


def _hash(world: World, stage: StageSpec, revision: Revision, template: Any, external: Any) -> str:
    content = {
        "version": revision.version,
        "digest": revision.digest,
        "uri": revision.uri,
        "external": external,
        "template": template,
        "port": stage.serving.port if stage.serving else None,
        "storage": world.model["spec"].get("storage") if stage.serving else None,
    }
    return short_hash(content)


def short_hash(content: Any) -> str:
    """Ten hexadecimal digits that identify a JSON value."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def resolve_template(serving: ServingSpec, of_version: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stage's pod template with what the version says of its server merged over the first container."""
    template = copy.deepcopy(dict(serving.template))
    containers = (template.get("spec") or {}).get("containers") or []
    if containers and of_version and not shapes.misfit(template, shapes.POD_TEMPLATE):
        containers[0] = _merge_container(containers[0], of_version)
    return template


def _merge_container(container: Mapping[str, Any], of_version: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(container)
    if of_version.get("image"):
        merged["image"] = of_version["image"]
    if of_version.get("resources"):
        merged["resources"] = {**(merged.get("resources") or {}), **of_version["resources"]}
    if of_version.get("env"):
        own = {entry["name"]: entry for entry in of_version["env"]}
        kept = [entry for entry in merged.get("env") or () if entry["name"] not in own]
        merged["env"] = [*kept, *own.values()]
    return merged
