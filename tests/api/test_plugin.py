"""What `kubectl modelyard` shows, on a real API server; statuses are written by the tests, as the operator would."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from tests.api.conftest import Registry
from tests.api.plugin_world import DIGEST, TIME, furnish, rows
from tests.kube import Kube
from tests.plugin import Plugin

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def registry(cluster: Kube, group: str) -> Iterator[Registry]:
    """A Model and two versions, which the tests only look at."""
    with cluster.own_namespace("plugin") as here:
        furnished = Registry(here, group)
        furnish(furnished)
        yield furnished


@pytest.fixture(scope="module")
def plugin(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """The plugin, speaking to the tests' group."""
    return Plugin.install(registry.kube, tmp_path_factory.mktemp("plugin"), registry.group)


def test_list_shows_models_and_versions(plugin: Plugin, registry: Registry) -> None:
    header, row = rows(plugin("list").ok().out)
    assert (header[0], header[-1], row[0], row[-1]) == ("NAME", "TEAM", "fraud", "risk-ml")
    versions = rows(plugin("list", "fraud").ok().out)
    assert [line[0] for line in versions] == ["VERSION", "7", "6"]
    assert "auc=0.91" in versions[1]
    assert versions[2][1:5] == ["production", "production", "Serving", "Serving"]
    assert plugin("list", "-A").ok().out.splitlines()[0].startswith("NAMESPACE")


def test_objects_for_programs(plugin: Plugin, registry: Registry) -> None:
    assert plugin("list", "fraud", "-o", "name").ok().out.split() == [
        f"modelversion.{registry.group}/fraud-7",
        f"modelversion.{registry.group}/fraud-6",
    ]
    listed = json.loads(plugin("list", "-o", "json").ok().out)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["fraud"]
    shown = yaml.safe_load(plugin("show", "fraud:7", "-o", "yaml").ok().out)
    assert shown["metadata"]["name"] == "fraud-7"
    assert "managedFields" not in shown["metadata"]


def test_nothing_is_said_in_the_result(plugin: Plugin, cluster: Kube) -> None:
    empty = replace(plugin, kube=cluster.within("kube-public"))("list").ok()
    assert empty.out == ""
    assert "no Models in namespace" in empty.err


def test_show_a_model(plugin: Plugin, registry: Registry) -> None:
    text = plugin("show", "fraud").ok().out
    assert "Scores payments." in text
    assert ["production", "6"] in [row[:2] for row in rows(text)]
    assert "checkout" in text


@pytest.mark.parametrize("name", ["fraud-6", "fraud:6", "fraud@production", "{namespace}/fraud@production"])
def test_a_version_is_named_in_several_ways(plugin: Plugin, registry: Registry, name: str) -> None:
    text = plugin("show", name.format(namespace=registry.kube.namespace)).ok().out
    assert DIGEST["6"] in text
    assert "https://git.example.com/risk 3f2a9c1" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "other"], "neither a Model nor a ModelVersion 'other'"),
        (["show", "fraud:8"], "there is no ModelVersion 'fraud-8'"),
        (["promote", "fraud-7", "test"], "Model 'fraud' has no stage 'test'; it has production"),
        (["list", "other"], "there is no Model 'other'"),
    ],
)
def test_what_is_not_there_has_a_code_of_its_own(plugin: Plugin, words: list[str], says: str) -> None:
    done = plugin(*words)
    assert (done.code, done.out) == (3, "")
    assert says in done.err


def test_compare_marks_what_changed(plugin: Plugin, registry: Registry) -> None:
    text = plugin("compare", "fraud@production", "fraud-7").ok().out
    assert ["auc", "0.9", "0.91", "~ +0.01"] in rows(text)
    assert ["slices.eu.auc", "-", "0.8", "+"] in rows(text)
    assert "DATA  (2 the same)" in text
    values = json.loads(plugin("compare", "fraud-6", "fraud-7", "-o", "json").ok().out)["values"]
    changed = {value["name"]: value["change"] for value in values}
    assert (changed["auc"], changed["revision"], changed["payments.digest"]) == ("changed", "removed", "same")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["--metric", "auc>0.905"], ["fraud-7"]),
        (["--metric", "auc>=0.9", "--metric", "slices.eu.auc<0.9"], ["fraud-7"]),
        (["--stage", "production"], ["fraud-6"]),
        (["--digest", DIGEST["6"][:20]], ["fraud-6"]),
        (["--dataset", "payments"], ["fraud-7", "fraud-6"]),
        (["--framework", "scikit-learn"], ["fraud-7"]),
        (["--consumer", "checkout", "--owner", "risk-ml"], ["fraud-7", "fraud-6"]),
        (["--consumer", "nobody"], []),
    ],
)
def test_search(plugin: Plugin, registry: Registry, asked: list[str], found: list[str]) -> None:
    names = plugin("search", *asked, "-o", "name").ok().out.split()
    assert [name.partition("/")[2] for name in names] == found


def test_history_tells_every_move(plugin: Plugin, registry: Registry) -> None:
    moves = rows(plugin("history", "fraud@production").ok().out)
    assert moves[1] == [TIME, "production", "Promoted", "-", "6", "alice", "why", "-"]


def test_lineage_goes_both_ways(plugin: Plugin, registry: Registry) -> None:
    here = f"modelyard://{registry.kube.namespace}"
    up = json.loads(plugin("lineage", "fraud-7", "-o", "json").ok().out)
    assert [(node["ref"], node["relation"]) for node in up["madeFrom"]] == [(f"{here}/fraud@6", "finetune")]
    assert up["sameData"] == {f"payments of-{registry.kube.namespace}": [f"{here}/fraud@6"]}
    down = json.loads(plugin("lineage", "fraud-6", "-o", "json").ok().out)
    assert [node["ref"] for node in down["madeFromIt"]] == [f"{here}/fraud@7"]
    assert f"{here}/fraud@7  finetune" in plugin("lineage", "fraud-6").ok().out


def test_reproduce_is_a_script(plugin: Plugin) -> None:
    script = plugin("reproduce", "fraud-6").ok().out
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert "git -C fraud-6 checkout --detach 3f2a9c1" in script
    assert "# dependencies: not recorded" in script


def test_card_has_who_answers_for_the_model(plugin: Plugin) -> None:
    text = plugin("card", "fraud").ok().out
    assert "- Owner: risk-ml" in text
    assert "- production: version 6" in text


def test_who_reads_roles_and_asks_for_oneself(plugin: Plugin, registry: Registry) -> None:
    rule = {"apiGroups": [registry.group], "resources": ["models/production"], "resourceNames": ["fraud"]}
    rules = [{**rule, "verbs": ["approve"]}, {"apiGroups": [registry.group], "resources": ["models"], "verbs": ["get"]}]
    meta = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "approvers"}}
    registry.kube.create({**meta, "kind": "Role", "rules": rules})
    subjects = [{"kind": "User", "name": "bob"}, {"kind": "Group", "name": "risk"}]
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "approvers"}
    registry.kube.create({**meta, "kind": "RoleBinding", "subjects": subjects, "roleRef": ref})
    told = json.loads(plugin("who", "fraud", "-o", "json").ok().out)
    approvers = {right["who"] for right in told["rights"] if right["verb"] == "approve"}
    assert {"bob", "group risk"} <= approvers
    assert "bob" not in {right["who"] for right in told["rights"] if right["verb"] == "promote"}
    assert told["youMay"] == {"production": ["promote", "approve", "rollback", "configure"]}
    bob = Plugin(registry.kube.as_user("bob"), plugin.folder, plugin.group)
    seen = bob("who", "fraud")
    seen.ok()
    assert ["production", "no", "yes", "no", "no"] in rows(seen.out)
    assert "not read: roles, clusterroles, rolebindings, clusterrolebindings" in seen.err


def test_kubectl_completes_commands_and_names(plugin: Plugin, registry: Registry) -> None:
    def completed(*words: str) -> list[str]:
        script = plugin.folder / "kubectl_complete-modelyard"
        done = subprocess.run([script, *words], env=plugin.env(), capture_output=True, text=True, check=True)
        return done.stdout.split()

    namespace = str(registry.kube.namespace)
    assert {"promote", "list", ":0"} <= set(completed(""))
    assert completed("promote", "--namespace", namespace, "fraud-") == ["fraud-6", "fraud-7", ":0"]
    assert completed("promote", "--namespace", namespace, "fraud-7", "p") == ["production", ":0"]
    assert completed("rollback", "--namespace", namespace, "") == ["fraud@production", ":0"]


def test_colours_are_for_terminals(plugin: Plugin) -> None:
    escape = "\x1b["
    assert escape not in plugin("list", "fraud").ok().out
    assert escape in plugin.on_terminal("list", "fraud").ok().out
    assert escape not in plugin.on_terminal("list", "fraud", NO_COLOR="1").ok().out
