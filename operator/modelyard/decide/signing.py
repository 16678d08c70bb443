"""Whose signatures does the Model trust, and does a version's verification stand under that?

Who signed is found out by the verify pod, which is told the Model's policy; keys and certificates that stand in
ConfigMaps and Secrets are mounted there, so the operator reads none. The entry of the policy that made the signer
trusted is noted by its hash. A policy that requires signatures concerns every request that could still move a stage:
where the entry noted is not in it any more, or none is, the version is verified anew before it goes on. What carries a
stage serves on, and rollback and succession go back to what was good as it was judged then.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.api.reasons import ArtifactReason
from modelyard.decide.podspec import compact
from modelyard.decide.revisions import short_hash
from modelyard.decide.versions import Version
from modelyard.decide.world import World

_SOURCES = {"configMapKeyRef": ("ConfigMap", "configMap"), "secretKeyRef": ("Secret", "secret")}


def task(world: World, version: Version) -> dict[str, Any] | None:
    """What the verify pod is told of signatures; None when it is not to look at any."""
    policy = _policy(world)
    uri = (version.artifact.get("signature") or {}).get("uri")
    if not policy and not uri:
        return None
    return {
        "required": bool(policy.get("required")),
        "uri": uri,
        "keys": [
            {"name": entry["name"], "id": _id(entry), **_pem(entry, "publicKey", f"key-{index}.pem")}
            for index, entry in enumerate(policy.get("keys") or ())
        ],
        "certificates": [
            {
                "name": entry["name"],
                "id": _id(entry),
                **_pem(entry, "roots", f"roots-{index}.pem"),
                "identities": entry.get("identities") or [],
            }
            for index, entry in enumerate(policy.get("certificates") or ())
        ],
    }


def mounts(world: World) -> list[dict[str, Any]]:
    """What the verify pod finds in its trust folder. One that is missing does not keep the pod from saying so."""
    policy = _policy(world)
    found = []
    for plural, field, file in (("keys", "publicKey", "key"), ("certificates", "roots", "roots")):
        for index, entry in enumerate(policy.get(plural) or ()):
            for (_, volume), reference in _references(entry, field):
                items = [{"key": reference["key"], "path": f"{file}-{index}.pem"}]
                found.append({volume: {"name": reference["name"], "items": items, "optional": True}})
    return found


def fingerprint(world: World) -> list[str]:
    """What tells a verification under this policy from one under another; nothing while there is no policy."""
    policy = _policy(world)
    return [short_hash(policy)] if policy else []


def refusal(world: World, version: Version) -> tuple[str, str] | None:
    """Why no signature could be good enough, whatever lies in the store; None when one could."""
    policy = _policy(world)
    if not policy.get("required"):
        return None
    if version.artifact.get("external"):
        text = "the Model's artifactPolicy.signature.required is true, and what a provider hosts has no files to sign"
        return ArtifactReason.SIGNATURE_UNSUPPORTED, text
    if not _entries(policy):
        text = "the Model's artifactPolicy.signature.required is true and it lists neither keys nor certificates"
        return ArtifactReason.SIGNATURE_UNTRUSTED, text
    return None


def stands(world: World, artifact: Mapping[str, Any]) -> bool:
    """Whether what was found of an artifact is enough for the policy as it is now."""
    policy = _policy(world)
    if not policy.get("required"):
        return True
    return (artifact.get("signature") or {}).get("entry") in {_id(entry) for entry in _entries(policy)}


def sentence(artifact: Mapping[str, Any]) -> str:
    """Who signed, to be added to a sentence; empty when nobody is known to."""
    by = (artifact.get("signature") or {}).get("by")
    return f"; signed by {by!r}" if by else ""


def _policy(world: World) -> Mapping[str, Any]:
    policy: Mapping[str, Any] = (world.model["spec"].get("artifactPolicy") or {}).get("signature") or {}
    return policy


def _entries(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(policy.get("keys") or ()), *(policy.get("certificates") or ())]


def _id(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(compact(entry).encode()).hexdigest()[:32]


def _pem(entry: Mapping[str, Any], field: str, file: str) -> dict[str, str]:
    for (kind, _), reference in _references(entry, field):
        return {"file": file, "origin": f"key {reference['key']!r} of {kind} {reference['name']!r}"}
    return {"pem": entry.get(field, "")}


def _references(entry: Mapping[str, Any], field: str) -> Iterator[tuple[tuple[str, str], Mapping[str, str]]]:
    """The one reference of an entry, with the names of its kind, where the PEM text is not in the Model itself."""
    source = entry.get(f"{field}From") or {}
    for name, kind in _SOURCES.items():
        if source.get(name):
            yield kind, source[name]
