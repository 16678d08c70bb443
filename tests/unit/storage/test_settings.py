"""Settings come from the variables that the operator sets; what is not said is left to the client."""

import pytest

from modelyard.storage.errors import ArtifactError
from modelyard.storage.s3 import S3Store
from modelyard.storage.settings import StorageSettings


def test_nothing_said() -> None:
    assert StorageSettings.from_env({}) == StorageSettings()
    assert StorageSettings.from_env({"AWS_REGION": "", "MODELYARD_CA_BUNDLE": ""}) == StorageSettings()


def test_everything_said() -> None:
    env = {
        "AWS_ENDPOINT_URL": "https://s3.example.com",
        "AWS_REGION": "eu-central-1",
        "MODELYARD_S3_FORCE_PATH_STYLE": "true",
        "MODELYARD_CA_BUNDLE": "PEM",
    }
    assert StorageSettings.from_env(env) == StorageSettings("https://s3.example.com", "eu-central-1", True, "PEM")


@pytest.mark.parametrize(
    ("endpoint", "style", "url"),
    [
        (None, None, "https://bucket.s3.amazonaws.com/key"),
        (None, True, "https://s3.eu-central-1.amazonaws.com/bucket/key"),
        ("https://minio.svc:9000", None, "https://minio.svc:9000/bucket/key"),
        ("https://minio.svc:9000", False, "https://bucket.minio.svc:9000/key"),
    ],
)
def test_where_the_bucket_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, style: bool | None, url: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    store = S3Store(StorageSettings(endpoint, "eu-central-1", style))
    signed = store._client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"})
    assert signed.partition("?")[0] == url


def test_a_malformed_endpoint_is_for_a_person_to_fix() -> None:
    with pytest.raises(ArtifactError) as refused:
        S3Store(StorageSettings("not a url"))
    assert not refused.value.transient
    assert "storage.endpoint" in refused.value.message
