"""Where do the versions come from? A training pipeline in small: train, save as MLflow folders, upload, register.

Used by the story; alone (`python -m dev.demo.train`) it puts the models where the README's commands expect them. The
data are the 1,797 scanned digits that scikit-learn ships; the folders are what
`mlflow.sklearn.save_model` writes and nothing else. The images up to TRAINING are trained on, the rest are judged on.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev.demo.console import Unexpected
from dev.demo.kubectl import CLUSTER

BUCKET = "models"
FOLDER = CLUSTER / "demo"
TRAINING = 1297
TAMPERED = "model.skops"


@dataclass(frozen=True)
class Trained:
    """One trained version."""

    version: str
    images: int
    estimator: str
    accuracy: float
    f1: float
    folder: Path

    @property
    def files(self) -> list[Path]:
        """Its files, by path."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def settings() -> dict[str, str]:
    """What `make cluster` wrote about the object store."""
    path = CLUSTER / "s3.env"
    if not path.is_file():
        raise Unexpected(f"there is no object store: {path} does not exist; run `make cluster`")
    pairs = (line.strip().partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {key: value for key, _, value in pairs}


def train() -> list[Trained]:
    """Train the versions and save them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # it warns that uv's environments have no pip
    import mlflow.sklearn
    import sklearn
    from sklearn.datasets import load_digits
    from sklearn.ensemble import BaggingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.neighbors import NearestCentroid
    from sklearn.svm import SVC

    digits = load_digits()
    shutil.rmtree(FOLDER, ignore_errors=True)
    requirements = [f"scikit-learn=={sklearn.__version__}", "skops", "mlflow-skinny"]
    made = []
    for version, images, estimator in (
        ("1", 100, LogisticRegression(max_iter=500)),
        ("2", TRAINING, LogisticRegression(max_iter=500)),
        ("3", TRAINING, SVC(C=10)),
        ("4", TRAINING, BaggingClassifier(SVC(C=10), 200, max_samples=0.1, max_features=0.5, random_state=0)),
        ("5", TRAINING, NearestCentroid()),
    ):
        estimator.fit(digits.data[:images], digits.target[:images])
        read, truth = estimator.predict(digits.data[TRAINING:]), digits.target[TRAINING:]
        accuracy, f1 = float((read == truth).mean()), float(f1_score(truth, read, average="macro"))
        folder = FOLDER / "digits" / version
        mlflow.sklearn.save_model(estimator, str(folder), pip_requirements=requirements)
        made.append(Trained(version, images, type(estimator).__name__, accuracy, f1, folder))
    return made


def upload(versions: list[Trained]) -> None:
    """Put the folders into the bucket, in place of what an earlier run left there."""
    store, prefix = _client(), "digits/"
    if BUCKET not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
        store.create_bucket(Bucket=BUCKET)
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for item in page.get("Contents", []):
            store.delete_object(Bucket=BUCKET, Key=item["Key"])
    for made in versions:
        for path in made.files:
            store.upload_file(str(path), BUCKET, _key(made, path))


def declare(made: Trained) -> Path:
    """Write the manifest a pipeline would apply: what was trained on what, and the sha256 of each file it uploaded."""
    manifest = {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"digits-{made.version}", "namespace": "mailroom"},
        "spec": {
            "model": "digits",
            "version": made.version,
            "stage": "production",
            "artifact": {
                "uri": f"s3://{BUCKET}/digits/{made.version}/",
                "files": [
                    {
                        "path": str(path.relative_to(made.folder)),
                        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                        "size": path.stat().st_size,
                    }
                    for path in made.files
                ],
            },
            "framework": {"name": "scikit-learn"},
            "hyperparameters": {"estimator": made.estimator, "images": made.images},
            "metrics": {"accuracy": round(made.accuracy, 3), "f1": round(made.f1, 3)},
        },
    }
    target = FOLDER / f"digits-{made.version}.yaml"
    target.write_text(yaml.safe_dump(manifest, sort_keys=False))
    return target


def tamper(made: Trained) -> int:
    """Change one bit of one byte of one file in the bucket; the position of the byte."""
    store = _client()
    path = made.folder / TAMPERED
    content = bytearray(path.read_bytes())
    position = len(content) // 2
    content[position] ^= 1
    store.put_object(Bucket=BUCKET, Key=_key(made, path), Body=bytes(content))
    return position


def _key(made: Trained, path: Path) -> str:
    return f"digits/{made.version}/{path.relative_to(made.folder).as_posix()}"


def _client() -> Any:
    import boto3
    from botocore.config import Config

    found = settings()
    return boto3.client(
        "s3",
        endpoint_url=found.get("AWS_ENDPOINT_URL"),
        region_name=found.get("AWS_REGION"),
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )


if __name__ == "__main__":
    models = train()
    upload(models)
    for each in models:
        print(f"s3://{BUCKET}/digits/{each.version}/  {each.estimator}, right on {each.accuracy:.1%}")
