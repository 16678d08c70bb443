"""What Models and ModelVersions say, read by name: which stages there are, who carries them, how far a request is.

Pure; used by every command that shows or changes something. A field that the operator has not written yet is absent,
never an error.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from modelyard.api import defaults, names
from modelyard.api.ordering import natural_key

Obj = Mapping[str, Any]
SERVING, STANDING_BY, FAILED = "Serving", "StandingBy", "Failed"
ENDED = frozenset({FAILED, "Rejected", "RolledBack", "Withdrawn", "Superseded"})
"""Steps of a request that never resumes. What of these and below the operator knows too (`decide`), it imports with
all of its deciding; a test holds the two together."""


ABNORMAL = frozenset({"Reconciling", "Stalled", "Waiting"})
"""Conditions that are there only while they are True; of all others True is good."""


def name_of(obj: Obj) -> str:
    """`metadata.name`."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Obj) -> str:
    """`metadata.namespace`."""
    return str(obj["metadata"]["namespace"])


def status_of(obj: Obj) -> Obj:
    """The status; empty when nobody wrote one."""
    found: Obj = obj.get("status") or {}
    return found


def condition(obj: Obj, kind: str) -> Obj:
    """One condition; empty when there is none of that type."""
    return next((c for c in status_of(obj).get("conditions") or () if c["type"] == kind), {})


# Models


def stage_specs(model: Obj) -> list[Obj]:
    """The stages in order, the default ones when the Model names none."""
    return list(model["spec"].get("stages") or ({"name": name} for name in defaults.STAGES))


def stage_names(model: Obj) -> list[str]:
    """Names of the stages, in order."""
    return [str(stage["name"]) for stage in stage_specs(model)]


def stage_status(model: Obj, stage: str) -> Obj:
    """What is recorded of a stage."""
    return next((s for s in status_of(model).get("stages") or () if s.get("name") == stage), {})


def current(model: Obj, stage: str) -> Obj:
    """The pointer of a stage; empty when no version carries it."""
    found: Obj = stage_status(model, stage).get("current") or {}
    return found


def held(model: Obj) -> dict[str, str]:
    """Every stage that carries a version, with that version."""
    carried = {name: current(model, name) for name in stage_names(model)}
    return {name: str(pointer["version"]) for name, pointer in carried.items() if pointer}


# Versions


def wanted_stage(version: Obj) -> str:
    """The stage that the object asks for; empty for none."""
    stage = str(version["spec"].get("stage") or "")
    return "" if stage == names.STAGE_ARCHIVED else stage


def request_id(version: Obj) -> str:
    """Identity of the request that the object makes now; empty when it makes none."""
    if not wanted_stage(version):
        return ""
    metadata = version["metadata"]
    nonce = (metadata.get("annotations") or {}).get(names.ANNOTATION_REQUEST)
    return f"{metadata['uid']}/{metadata.get('generation', 1)}" + (f"/{nonce}" if nonce else "")


def request_of(version: Obj) -> Obj:
    """What is recorded of the request the object makes now; empty while the operator has not seen it, or there is
    none. A status that still tells of an earlier request, or of an earlier attempt, does not count."""
    recorded: Obj = status_of(version).get("request") or {}
    identity = request_id(version)
    return unless_retried(version, recorded) if identity and recorded.get("id") == identity else {}


def unless_retried(version: Obj, request: Obj) -> Obj:
    """A request that is recorded of the version; empty when it failed and another attempt is asked for since."""
    tried_again = request.get("step") == FAILED and retry_of(version) not in ("", request.get("retry"))
    return {} if tried_again else request


def retry_of(version: Obj) -> str:
    """The attempt that was asked for last; empty when nobody asked for another one."""
    return str((version["metadata"].get("annotations") or {}).get(names.ANNOTATION_RETRY, ""))


def has_ended(request: Obj) -> bool:
    """Whether a request is Failed, Rejected, RolledBack, Withdrawn or Superseded."""
    return request.get("step") in ENDED


def serves(request: Obj) -> bool:
    """Whether a request carries its stage."""
    return request.get("step") == SERVING


def newest_first(versions: Iterable[Obj]) -> list[Obj]:
    """Versions by model, the highest version of each first (`10` before `9`)."""
    ordered = sorted(versions, key=lambda v: natural_key(str(v["spec"]["version"])), reverse=True)
    return sorted(ordered, key=lambda v: (namespace_of(v), str(v["spec"]["model"])))


def made_of(spec: Obj) -> dict[str, str]:
    """What a version was made from, by its spec: code, run, pipeline, data, base models."""
    source, run = spec.get("source") or {}, spec.get("run") or {}
    found: dict[str, str] = {
        "code": " ".join(filter(None, (source.get("repository"), source.get("revision"), source.get("path")))),
        "run": " ".join(filter(None, (run.get("id"), run.get("experiment"), run.get("uri")))),
        "pipeline": " ".join((spec.get("pipeline") or {}).values()),
    }
    for data in spec.get("datasets") or ():
        known = (str(data[field]) for field in ("context", "version", "digest", "uri") if field in data)
        found[f"data {data['name']}"] = " ".join(known) or "-"  # a name alone is told as well
    for base in spec.get("baseModels") or ():
        found[f"base {base['ref']}"] = base.get("relation") or "-"
    return found


def signed_by(signature: Obj) -> str:
    """Who was found to have signed a version's files; empty when nobody was."""
    if not signature:
        return ""
    listed = f", listed as {signature['listedAs']}" if signature.get("listedAs") not in (None, signature["by"]) else ""
    return f"{signature['by']} ({signature.get('method', '').lower()} {signature.get('fingerprint', '')}{listed})"


def why(obj: Obj) -> str:
    """Why a request is where it is: its reason and its sentence."""
    reason, message = obj.get("reason", ""), obj.get("message", "")
    return f"{reason}: {message}" if reason and message else reason or message
