"""What the reference says of a status is written in one of the stories: a field that nobody writes helps nobody."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.api.kinds import KINDS
from modelyard.api.schema import structural
from tests.unit.gitops import stories

NOT_PLAYED = {
    "Model.status.ledger",  # no story has a ledger
    "ModelVersion.status.recorded",
    "Approval.status.recorded",
    "ModelVersion.status.verification.startedAt",  # Jobs of the stories end as soon as they are made
    "ModelVersion.status.artifact.objects",  # what the helper pods of the stories do not report
    "ModelVersion.status.artifact.warnings",
    "ModelVersion.status.artifact.signature",
}


def described(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from described(field.get("items", field), f"{path}.{name}")


def written(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield f"{path}.{name}"
            yield from written(item, f"{path}.{name}")
    if isinstance(value, list):
        for item in value:
            yield from written(item, path)


def test_every_field_of_a_status_that_is_described_is_written() -> None:
    found = {path for obj in stories.told() for path in written(obj["status"], f"{obj['kind']}.status")}
    missing = [
        path
        for kind in KINDS
        for path in described(structural(kind)["properties"]["status"], f"{kind.__name__}.status")
        if path not in found and not any(path == left or path.startswith(f"{left}.") for left in NOT_PLAYED)
    ]
    assert missing == []
