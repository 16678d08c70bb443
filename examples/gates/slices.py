"""Is the candidate good enough for everybody? Judges both models on images that neither was trained on, slice by slice.

A model can be better on average and worse for some. Here the slices are the ten digits and how hard people press their
pens; in a model about people they would be groups of people. Runs before anything is deployed: the files are enough.
"""

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow.sklearn
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

MODELS = Path("/mnt/models")
RESULT = Path("/dev/termination-log")
TRAINING = 1297
"""Images up to this one were trained on; the rest are judged on."""


def slices(images: Any, truth: Any) -> dict[str, dict[str, Any]]:
    """Which images belong to which slice: kind of slice, name, mask."""
    ink = images.sum(axis=1)
    light, heavy = np.quantile(ink, [1 / 3, 2 / 3])
    return {
        "digit": {str(digit): truth == digit for digit in range(10)},
        "pen": {"light": ink < light, "medium": (ink >= light) & (ink < heavy), "heavy": ink >= heavy},
    }


def numbers(model: Any, images: Any, truth: Any) -> dict[str, Any]:
    """What a model is worth, as a whole and on each slice."""
    right = model.predict(images) == truth
    accuracy = {
        kind: {name: round(float(right[mask].mean()), 3) for name, mask in masks.items()}
        for kind, masks in slices(images, truth).items()
    }
    f1 = float(f1_score(truth, model.predict(images), average="macro"))
    return {"f1": round(f1, 3), "accuracy": accuracy}


def main() -> None:
    """Judge whichever models there are: without an incumbent the candidate alone."""
    digits = load_digits()
    images, truth = digits.data[TRAINING:], digits.target[TRAINING:]
    result = {
        side: numbers(mlflow.sklearn.load_model(str(MODELS / side)), images, truth)
        for side in ("candidate", "incumbent")
        if (MODELS / side).is_dir()
    }
    RESULT.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
