"""The README's commands do what it says, and its manifests are the ones in examples/."""

import json
import re
import shlex

import pytest
import yaml

from tests.checkout import ROOT, UV
from tests.demo.conftest import Shell
from tests.kube import Kube, Obj

README = (ROOT / "README.md").read_text()


def blocks(language: str, section: str) -> list[str]:
    """The fenced blocks of that language in a section, in order."""
    text = README.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_manifests_are_those_of_the_examples() -> None:
    (shown,) = blocks("yaml", "From a folder in S3 to a prediction")
    files = [(ROOT / "examples" / name).read_text() for name in ("digits.yaml", "digits-1.yaml")]
    assert list(yaml.safe_load_all(shown)) == [yaml.safe_load(text) for text in files]
    assert len(shown.splitlines()) <= 25


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def serving(mailroom: Kube) -> str | None:
    stages = mailroom.get("model", "digits")["status"]["stages"]
    return next((s["current"]["version"] for s in stages if s["name"] == "production" and s.get("current")), None)


def is_rolled_back(version: Obj) -> bool:
    return bool(version["status"]["request"]["step"] == "RolledBack")


@pytest.mark.cluster
def test_the_four_daily_tasks(shell: Shell, mailroom: Kube) -> None:
    register, promote, see, roll_back = blocks("sh", "Four daily tasks")
    shell.run(f"{shlex.quote(UV)} run --group demo python -m dev.demo.train")

    shell.run(register)
    assert serving(mailroom) == "1"

    shell.run(promote)
    assert serving(mailroom) == "2"

    seen = shell.run(see)
    assert re.search(r"^mailroom +model\S*/digits +2 ", seen, flags=re.MULTILINE), seen
    assert json.loads(seen.splitlines()[-1]) == {"predictions": [2]}

    shell.run(roll_back)
    assert serving(mailroom) == "1"
    mailroom.wait("modelversion", "digits-2", is_rolled_back, what="it is told that it was rolled back")
