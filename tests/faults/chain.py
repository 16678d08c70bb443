"""An independent reader of a Model's chain in the ledger: is it whole, and does it tell what everybody saw, once?

It knows the format of records from docs/ledger.md alone, and shares no code with what wrote them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from tests.connections import Obj

NOTHING_BEFORE = "sha256:" + "0" * 64
MOVES = frozenset({"Promoted", "RolledBack", "Succeeded", "Undone", "Reconfigured"})


def records(chain: Iterable[bytes]) -> list[Obj]:
    """The records of a chain; fails where one does not follow from the one before it."""
    found: list[Obj] = []
    previous = NOTHING_BEFORE
    for number, raw in enumerate(chain, 1):
        record: Obj = json.loads(raw)
        assert record["number"] == number, f"record {number} says that it is {record['number']}"
        assert record["previous"] == previous, f"record {number} follows from another than record {number - 1}"
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        assert raw == text.encode(), f"record {number} is not canonical JSON"
        previous = "sha256:" + hashlib.sha256(raw).hexdigest()
        found.append(record)
    return found


def told(chain: Iterable[Obj]) -> list[str]:
    """What happened to whom, in the order of the chain."""
    return [" ".join(filter(None, _line(record))) for record in chain]


def _line(record: Obj) -> tuple[str, ...]:
    side = record.get("to") or record.get("version") or {}
    by = ",".join(sorted(approval["by"] for approval in record.get("approvals") or ()))
    return record["type"], record.get("stage", ""), side.get("version", ""), by


def tells(record: Obj, entry: Obj) -> bool:
    """Whether a record tells of an entry that waited for the ledger; it may know more by then."""
    return all(record.get(name) == value for name, value in entry.items())


def doubled(chain: Iterable[Obj], happens_again: Collection[str] = ()) -> list[str]:
    """What is told more than once, of what happens once."""
    counts = Counter(_identity(record) for record in chain if record["type"] not in happens_again)
    return [f"{count} x {what}" for what, count in counts.items() if count > 1]


def _identity(record: Obj) -> str:
    """What happened, without the words in which it is told: it happened once."""
    version, request = record.get("version") or {}, record.get("request") or {}
    approvals = [approval["uid"] for approval in record.get("approvals") or ()]
    if record.get("sequence"):  # a stage moves to a sequence once
        return f"{record['uid']} {record['stage']} moved to {record['sequence']}"
    told = (record["type"], record.get("stage"), version.get("uid"), version.get("version"), request.get("at"))
    moment = record["at"] if record["type"] in ("Suspended", "Resumed", "Paused", "Unpaused", "Failed") else ""
    return json.dumps([record["uid"], *told, approvals, moment])


def untold(chain: Iterable[Obj], seen: Iterable[tuple[str, Obj]], group: str) -> list[str]:
    """Moves that somebody could see, in a Model's status or at a Service, and that are not in the chain as seen."""
    moves = {
        (record["uid"], record["stage"], record["sequence"]): (record["to"]["version"], record["to"]["revision"])
        for record in chain
        if record["type"] in MOVES
    }
    missing = []
    for key, (version, revision) in sorted(set(_acknowledged(seen, group))):
        known = moves.get(key)
        if known is None or known[1] != revision or version not in ("", known[0]):
            missing.append(f"{key} to version {version} ({revision}); the chain has {known}")
    return missing


def _acknowledged(seen: Iterable[tuple[str, Obj]], group: str) -> Iterable[tuple[Any, Any]]:
    for what, obj in seen:
        metadata = obj["metadata"]
        if what == "DELETED":
            continue
        if obj["kind"] == "Model":
            for stage in obj.get("status", {}).get("stages", ()):
                if current := stage.get("current"):
                    yield (
                        (metadata["uid"], stage["name"], current["sequence"]),
                        (current["version"], current["revision"]),
                    )
        elif obj["kind"] == "Service":
            sequence = (metadata.get("annotations") or {}).get(f"{group}/sequence")
            chosen = (obj["spec"].get("selector") or {}).get(f"{group}/revision", "")
            if sequence:  # the Service of a candidate has none
                owner = metadata["ownerReferences"][0]["uid"]
                yield (owner, metadata["labels"][f"{group}/stage"], int(sequence)), ("", chosen)
