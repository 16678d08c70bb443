"""What verify does where a real store cannot easily be brought to: rights on versions, and their absence."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelyard.api.reasons import ArtifactReason
from modelyard.storage.digest import FileDigest
from modelyard.storage.errors import ArtifactError
from modelyard.storage.local import LocalStore, local_location
from modelyard.storage.location import Location
from modelyard.storage.store import StoredObject
from modelyard.storage.verification import Expectation, PicklePolicy, verify, with_usable_versions

FILES = [FileDigest("a", 1, "", version_id="v1"), FileDigest("b", 1, "", version_id="v2")]
LOCATION = Location("s3", "bucket", "m/")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Versioned(LocalStore):
    def __init__(self, answer: ArtifactReason | None) -> None:
        self.answer = answer

    def stat(self, location: Location, path: str, version_id: str | None) -> StoredObject:
        if self.answer:
            raise ArtifactError(self.answer, "no")
        return StoredObject(path, path, 1, version_id=version_id)


def test_versions_that_may_be_read_are_kept() -> None:
    assert with_usable_versions(Versioned(None), LOCATION, FILES) == FILES


def test_versions_that_may_not_be_read_are_not_pinned() -> None:
    found = with_usable_versions(Versioned(ArtifactReason.ACCESS_DENIED), LOCATION, FILES)
    assert [file.version_id for file in found] == [None, None]


def test_a_version_that_is_gone_is_an_error() -> None:
    with pytest.raises(ArtifactError):
        with_usable_versions(Versioned(ArtifactReason.OBJECT_NOT_FOUND), LOCATION, FILES)


def test_a_task_with_nothing_but_a_uri() -> None:
    assert Expectation.parse({"uri": "s3://b/m/", "files": None, "pickle": None}) == Expectation()


def test_an_unknown_policy_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="Maybe"):
        Expectation.parse({"pickle": "Maybe"})


def test_a_pickle_is_refused_where_the_model_refuses_pickles(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    location = local_location(str(tmp_path))
    assert verify(LocalStore(), location, Expectation(), NOW).format == "pickle"
    with pytest.raises(ArtifactError) as refused:
        verify(LocalStore(), location, Expectation(pickle=PicklePolicy.REFUSE), NOW)
    assert refused.value.reason is ArtifactReason.PICKLE_REFUSED
