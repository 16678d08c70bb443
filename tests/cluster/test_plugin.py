"""The story of docs/plugin.md with real pods: register, promote, replace, roll back, fetch, leave."""

from pathlib import Path

import pytest
import yaml

from tests.cluster.registry import BUCKET, Registry
from tests.plugin import Plugin, typed

pytestmark = pytest.mark.cluster


def test_the_page_tells_the_story_as_it_is(registry: Registry, storage: dict[str, str], tmp_path: Path) -> None:
    registry.model()
    for folder in ("model", "model-2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "answer.txt").write_text(f"bytes of {folder}")
    plugin = Plugin.install(registry.kube, tmp_path, **storage)

    def type_(line: str) -> str:
        return plugin.type(line.replace("s3://models/", f"s3://{BUCKET}/{registry.namespace}/"), tmp_path).ok().out

    register, promote, replace, rollback, fetch, eject = typed("Register, promote, roll back")
    assert type_(register) == "fraud-1\n"
    type_(promote)
    registry.answered_by("1")
    assert registry.current(registry.kube.get("model", "fraud"))["by"]
    assert type_(replace) == "fraud-2\n"
    registry.answered_by("2")
    type_(rollback)
    registry.answered_by("1")
    last = registry.kube.get("model", "fraud")["status"]["transitions"][-1]
    assert (last["type"], last["reason"], last["ticket"]) == ("RolledBack", "false positives", "INC-4711")
    type_(fetch)
    assert (tmp_path / "here" / "answer.txt").read_text() == "bytes of model"
    type_(eject)
    kinds = {obj["kind"] for obj in yaml.safe_load_all((tmp_path / "fraud.yaml").read_text())}
    assert kinds == {"Deployment", "Service", "ConfigMap"}
