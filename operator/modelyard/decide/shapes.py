"""Does an object that somebody wrote have the shape that decisions count on?

The API server's schema sees to it, but not inside pod templates, which it leaves open, and not for objects that were
stored before a schema was as strict as it is, or while it was loosened. So decisions look before they read: `malformed`
asks for whole objects, `templates` for pod templates. Only what decisions read is described here, and only its type:
whether a value makes sense is judged where it is used.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Shape = Any
"""A type; `[shape]`: a list of such; `{field: shape}`: an object, in which a field that ends in `!` has to be there and
not empty, and `*` stands for every field. Null stands for a field that is not there, as it does for the API server."""

_WORDS = {str: "a text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}

_NAME_SHOWN = 80
"""Characters of a field's name, which may be anything where the user makes it up."""

_ENV = [{"name!": str}]
_CONTAINER = {
    "name": str,
    "image": str,
    "env": _ENV,
    "ports": list,
    "volumeMounts": [dict],
    "securityContext": dict,
    "resources": dict,
    "lifecycle": dict,
    "readinessProbe": dict,
}
POD_TEMPLATE: Shape = {
    "metadata": {"labels": {"*": str}, "annotations": {"*": str}},
    "spec": {
        "containers": [_CONTAINER],
        "initContainers": [_CONTAINER],
        "volumes": [{"name!": str}],
        "imagePullSecrets": [dict],
        "securityContext": dict,
        "serviceAccountName": str,
        "terminationGracePeriodSeconds": int,
    },
}

_SERVING = {
    "port": int,
    "template": {"metadata": dict, "spec": {"containers": [dict]}},
    "progressDeadline": str,
    "scheduleDeadline": str,
    "imagePullDeadline": str,
    "fetchDeadline": str,
    "keepWarm": {"for": str, "replicas": int},
    "drainPeriod": str,
    "revisionHistoryLimit": int,
    "rollout": {"strategy": str},
}
_GATE = {
    "name!": str,
    "when": str,
    "inputs": str,
    "job": {"template!": {"metadata": dict, "spec": {"containers": [dict]}}, "timeout": str, "retries": int},
    "checks": [str],
}
_STAGE = {
    "name!": str,
    "gates": [_GATE],
    "approvals": {"required": int, "excludeRequester": bool, "expireAfter": str, "allowServiceAccounts": bool},
    "serving": {**_SERVING, "replicas": int, "serviceName": str},
    "version": str,
    "paused": bool,
    "suspend": bool,
}
_KEY_OF = {"name!": str, "key!": str}
_PEM = {"configMapKeyRef": _KEY_OF, "secretKeyRef": _KEY_OF}
_SIGNATURE = {
    "required": bool,
    "keys": [{"name!": str, "publicKey": str, "publicKeyFrom": _PEM}],
    "certificates": [{"name!": str, "roots": str, "rootsFrom": _PEM, "identities": [dict]}],
}
KINDS: Mapping[str, Shape] = {
    "Model": {
        "spec!": {
            "storage": {
                "secretRef": {"name": str},
                "serviceAccountName": str,
                "endpoint": str,
                "region": str,
                "caBundle": str,
                "forcePathStyle": bool,
            },
            "artifactPolicy": {"requireDeclaredFiles": bool, "pickle": str, "signature": _SIGNATURE},
            "serving": _SERVING,
            "requireReason": bool,
            "stages": [_STAGE],
        }
    },
    "ModelVersion": {
        "spec!": {
            "model!": str,
            "version!": str,
            "stage": str,
            "artifact!": {
                "uri": str,
                "digest": str,
                "files": [dict],
                "signature": {"uri": str},
                "external": {"provider": str, "model": str, "revision": str},
            },
            "format": str,
            "serving": {"image": str, "env": _ENV, "resources": {"limits": dict, "requests": dict}},
            "author": str,
            "metrics": dict,
        }
    },
    "Approval": {
        "spec!": {"model!": str, "version!": str, "stage!": str, "digest!": str, "decision!": str, "comment": str}
    },
    "Rollback": {"spec!": {"model!": str, "stage!": str, "toVersion": str, "reason": str, "ticket": str}},
}
"""Of each kind what decisions read."""


def misfit(value: Any, shape: Shape, where: str = "") -> str:
    """The first thing about a value that is not of the shape, as a sentence; empty when there is none."""
    return next(_misfits(value, shape, where), "")


def _misfits(value: Any, shape: Shape, where: str) -> Iterator[str]:
    kind = shape if isinstance(shape, type) else type(shape)
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not fits:
        yield f"{where.removeprefix('.')} is {_shown(value)} and has to be {_WORDS[kind]}"
    elif isinstance(shape, list):
        for number, item in enumerate(value):
            yield from _misfits(item, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        yield from _misfields(value, shape, where)


def _misfields(value: Mapping[str, Any], shape: Mapping[str, Shape], where: str) -> Iterator[str]:
    if "*" in shape:
        for name, item in value.items():
            yield from _misfits(item, shape["*"], f"{where}.{name[:_NAME_SHOWN]}")
        return
    for field, inner in shape.items():
        name = field.removesuffix("!")
        absent = (None, "") if name != field else (None,)
        if value.get(name) not in absent:
            yield from _misfits(value[name], inner, f"{where}.{name}")
        elif name != field:
            yield f"{where}.{name}".removeprefix(".") + f" is missing and has to be {_word(inner)}"


def _word(shape: Shape) -> str:
    return _WORDS[shape if isinstance(shape, type) else type(shape)]


def _shown(value: Any) -> str:
    if isinstance(value, str | list | dict):
        return _WORDS[type(value)]
    return json.dumps(value)
