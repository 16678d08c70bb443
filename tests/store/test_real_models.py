"""Models as scikit-learn, joblib and cloudpickle really write them are not called dangerous, and attacks in them are.

The libraries come with the demo's dependencies. Nothing here is ever loaded.
"""

import io
import os
import pickle
from importlib.util import find_spec
from typing import Any

import pytest

from modelyard.storage.formats.pickle_files import PickleScan
from tests.pickles import Runs, scanned

LIBRARIES = ("sklearn", "cloudpickle", "joblib")
# Not imported before the tests run: it takes seconds, and every process that runs any test reads this module.
pytestmark = pytest.mark.skipif(not all(map(find_spec, LIBRARIES)), reason="needs the dependency group 'demo'")


class ByValue:
    """A class that cloudpickle writes whole, as it does with those of a notebook."""

    def __init__(self) -> None:
        self.scale = 2

    def method(self, x: int) -> Any:
        return io.BytesIO(pickle.dumps(x * self.scale))


ByValue.__module__ = "__main__"


def test_ordinary_models_pass() -> None:
    for name, content in _models().items():
        found = scanned(content, name)
        assert found.dangerous is None, name
        assert found.complete, name
        assert any(reference.startswith("sklearn.") for reference in found.unknown), name


def test_functions_and_classes_by_value_are_not_calls() -> None:
    import cloudpickle
    import numpy

    bias = 2

    def inner(x: Any) -> Any:
        return numpy.log1p(x) + os.getpid()  # a closure over a module, and a global one

    for value in ([lambda x: x + bias, inner], ByValue(), ByValue().method, ByValue):
        found = scanned(cloudpickle.dumps(value))
        assert (found.dangerous, found.complete) == (None, True), value


def test_calling_a_function_by_value_is() -> None:
    import cloudpickle

    found = scanned(cloudpickle.dumps(Runs(lambda: None)))
    assert found.dangerous == "cloudpickle.cloudpickle._make_function.__call__"


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)])
def test_an_attack_after_joblib_arrays(compress: Any) -> None:
    import numpy as np

    arrays = [np.arange(1000.0), np.zeros((3, 4), order="F"), np.array(["a", "bc"]), np.array([1, None], object)]
    assert scanned(_joblib(arrays, compress), "m.joblib") == PickleScan("m.joblib", None, (), True)
    attack = scanned(_joblib([*arrays, Runs(os.system, "true")], compress), "m.joblib")
    assert (attack.dangerous, attack.complete) == ("posix.system", True)


def test_an_attack_in_an_array_of_objects() -> None:
    import numpy as np

    assert scanned(_joblib(np.array([Runs(os.system, "true")], object)), "m.joblib").dangerous


def test_an_attack_that_only_a_plain_unpickler_would_run() -> None:
    """Opcodes where joblib has an array's data: joblib passes over them, pickle.load runs them."""
    import numpy as np

    attack = pickle.dumps(Runs(os.system, "true"), protocol=0)
    content = _joblib(np.zeros(len(attack) + 100, np.uint8))
    at = content.index(b"\0" * len(attack))
    padding = content.rindex(b"b", 0, at) + 1  # BUILD, then the padding's length, padding and data
    hidden = content[:padding] + attack + content[padding + len(attack) :]
    assert scanned(hidden, "m.joblib").dangerous


def _models() -> dict[str, bytes]:
    import cloudpickle
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    features, target = load_iris(return_X_y=True)
    forest = RandomForestClassifier(10, random_state=0).fit(features, target)
    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(lambda x: x * 2), LogisticRegression(max_iter=500))
    boosted = GradientBoostingClassifier(n_estimators=3, random_state=0).fit(features, target)
    return {
        "forest.pkl": pickle.dumps(forest),
        "forest.joblib": _joblib(forest),
        "forest-small.joblib": _joblib(forest, 3),
        "boosted.pkl": pickle.dumps(boosted),
        "boosted.joblib": _joblib(boosted),
        "pipeline.pkl": cloudpickle.dumps(pipeline.fit(features, target)),
    }


def _joblib(value: Any, compress: Any = 0) -> bytes:
    import joblib

    file = io.BytesIO()
    joblib.dump(value, file, compress=compress)
    return file.getvalue()
