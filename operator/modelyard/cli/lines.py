"""A stage whose version the Model names itself (spec.stages[].version): how is another asked for, and how far is it?

`promote` and `wait` call it. Such a stage hears nobody else, so its line is what is edited, under the same right
(`promote` on that stage). A line that a GitOps controller keeps is not touched: it would be set back, and with it what
serves.
"""

from collections.abc import Mapping
from typing import Any

from modelyard.api import names
from modelyard.cli.errors import CommandError
from modelyard.cli.objects import has_ended, name_of, stage_specs, status_of, unless_retried

Json = dict[str, Any]
Obj = Mapping[str, Any]
_GITOPS = ("argocd", "kustomize-controller", "helm-controller", "flux")
"""How the field managers of Argo CD and Flux begin."""


def named_version(model: Obj, stage: str) -> str | None:
    """The version that the Model names for a stage; None where versions ask themselves."""
    found = next(spec.get("version") for spec in stage_specs(model) if spec["name"] == stage)
    return None if found is None else str(found)


def stage_naming(model: Obj, version: Obj) -> str | None:
    """The last stage whose line names the version; None when none does."""
    stages = [s["name"] for s in stage_specs(model) if s.get("version") == version["spec"]["version"]]
    return str(stages[-1]) if stages else None


def check_keeper(model: Obj, stage: str, version: Obj) -> None:
    """CommandError when the line comes from Git by a controller that would set it back."""
    line = f'k:{{"name":"{stage}"}}'
    for entry in model["metadata"].get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        kept = "f:version" in ((fields.get("f:stages") or {}).get(line) or {})
        if kept and str(entry.get("manager", "")).startswith(_GITOPS):
            raise CommandError(
                f"{entry['manager']} keeps the version of stage {stage!r} in Model {name_of(model)!r} as Git has it, "
                f"and would set it back; name version {version['spec']['version']!r} there in Git instead"
            )


def patch_for(model: Obj, stage: str, version: Obj, said: Mapping[str, str | None], anew: str) -> Json | None:
    """What to change so that the Model asks for the version; None when it does already and that has not ended.

    `said`: annotations that go with it. `anew`: a value that asks again for what has ended.
    """
    number = str(version["spec"]["version"])
    guard = {"resourceVersion": model["metadata"]["resourceVersion"]}  # the list of stages is replaced as a whole
    if named_version(model, stage) != number:
        stages = [{**spec, "version": number} if spec["name"] == stage else spec for spec in stage_specs(model)]
        return {"spec": {"stages": stages}, "metadata": {**guard, "annotations": dict(said)}}
    request = line_request(model, stage, version)
    if not has_ended(request):
        return None
    return {"metadata": {**guard, "annotations": {**said, names.ANNOTATION_REQUEST: anew}}}


def line_request(model: Obj, stage: str, version: Obj, since: int = 0) -> Obj:
    """What the version's status says of the request that the Model's line makes, from a generation of the Model on."""
    request: Obj = status_of(version).get("request") or {}
    uid, _, rest = str(request.get("id", "")).partition("/")
    generation, _, nonce = rest.partition("/")
    asked = (model["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST, "")
    is_it = uid == model["metadata"]["uid"] and request.get("stage") == stage and int(generation) >= since
    return unless_retried(version, request) if is_it and asked in ("", nonce) else {}
