"""The client against a real API server: what apply, guards, pages and refusals are really like."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.kube import client as client_module
from modelyard.kube.client import Client
from modelyard.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NamespaceTerminatingError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from modelyard.kube.kinds import CONFIG_MAP, MODEL, SERVICE, Kind
from modelyard.kube.login import LoginError, load_configuration
from tests.kube import Kube

pytestmark = pytest.mark.api

NOBODYS = "00000000-0000-0000-0000-000000000000"
OURS = {"app.kubernetes.io/managed-by": "modelyard", "modelyard.dev/model": "fraud"}


def config_map(namespace: str, name: str = "settings", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": OURS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@dataclass
class Fraud:
    """A Model that no installed operator sees."""

    kind: Kind
    namespace: str
    object: dict[str, Any]

    async def write_status(self, client: Client, generation: int, resource_version: str = "") -> dict[str, Any]:
        seen_at = resource_version or self.object["metadata"]["resourceVersion"]
        status = {"observedGeneration": generation}
        return await client.replace_status(self.kind, self.namespace, "fraud", status, seen_at)


@pytest.fixture
def fraud(here: Kube, group: str, namespace: str) -> Fraud:
    kind = replace(MODEL, group=group)
    manifest = {"apiVersion": kind.api_version, "kind": "Model", "metadata": {"name": "fraud"}, "spec": {}}
    (made,) = here.create(manifest)
    return Fraud(kind, namespace, made)


async def test_an_object_is_made_once(client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace, a="1"))
    assert made["kind"] == "ConfigMap"
    assert (await client.get(CONFIG_MAP, namespace, "settings"))["data"] == {"a": "1"}

    with pytest.raises(AlreadyExistsError, match=f"create ConfigMap {namespace}/settings: .*already exists"):
        await client.create(config_map(namespace))


async def test_neither_proxies_of_the_environment_nor_a_netrc_are_asked(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert await client.create(config_map(namespace))


async def test_a_patch_takes_away_what_it_names_and_leaves_what_others_wrote(
    client: Client, here: Kube, namespace: str
) -> None:
    await client.create(config_map(namespace, a="1", b="2"))
    here.patch("configmap", "settings", {"data": {"theirs": "3"}})
    patched = await client.patch(CONFIG_MAP, namespace, "settings", {"data": {"a": "9", "b": None}})

    assert patched["data"] == {"a": "9", "theirs": "3"}


async def test_a_status_is_written_only_over_the_state_it_was_decided_on(client: Client, fraud: Fraud) -> None:
    assert (await fraud.write_status(client, 1))["status"] == {"observedGeneration": 1}

    with pytest.raises(ConflictError):
        await fraud.write_status(client, 2)
    assert (await client.get(fraud.kind, fraud.namespace, "fraud"))["status"] == {"observedGeneration": 1}


async def test_a_status_is_replaced_whole_and_nothing_else_of_the_object(
    client: Client, fraud: Fraud, here: Kube
) -> None:
    here.patch(f"models.{fraud.kind.group}", "fraud", {"status": {"summary": {"live": "6"}}}, subresource="status")
    here.run("label", f"models.{fraud.kind.group}", "fraud", "team=risk")
    before = await client.get(fraud.kind, fraud.namespace, "fraud")

    after = await fraud.write_status(client, 1, before["metadata"]["resourceVersion"])

    assert after["status"] == {"observedGeneration": 1}
    assert after["spec"] == before["spec"]
    assert {"labels": {"team": "risk"}, "generation": before["metadata"]["generation"]}.items() <= after[
        "metadata"
    ].items()


async def test_the_same_status_again_is_no_write(client: Client, fraud: Fraud) -> None:
    first = await fraud.write_status(client, 1)
    again = await fraud.write_status(client, 1, first["metadata"]["resourceVersion"])

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_status_is_not_written_to_nothing(client: Client, fraud: Fraud, here: Kube) -> None:
    here.delete(f"models.{fraud.kind.group}", "fraud")
    with pytest.raises(NotFoundError):
        await fraud.write_status(client, 1)


async def test_a_patch_of_a_state_changes_no_other_and_makes_nothing(client: Client, namespace: str) -> None:
    body = {"metadata": {"resourceVersion": "1"}, "data": {"a": "1"}}
    with pytest.raises(NotFoundError):
        await client.patch(CONFIG_MAP, namespace, "settings", body)
    made = await client.create(config_map(namespace))
    with pytest.raises(ConflictError):
        await client.patch(CONFIG_MAP, namespace, "settings", body)
    body["metadata"] = {"resourceVersion": made["metadata"]["resourceVersion"]}
    assert (await client.patch(CONFIG_MAP, namespace, "settings", body))["data"] == {"a": "1"}


async def test_only_the_object_that_was_seen_is_deleted(client: Client, namespace: str) -> None:
    made = (await client.create(config_map(namespace)))["metadata"]
    for uid, version in ((NOBODYS, made["resourceVersion"]), (made["uid"], "1")):
        with pytest.raises(ConflictError):
            await client.delete(CONFIG_MAP, namespace, "settings", uid, version)

    answer = await client.delete(CONFIG_MAP, namespace, "settings", made["uid"], made["resourceVersion"])
    assert answer["kind"] == "Status"
    with pytest.raises(NotFoundError):
        await client.delete(CONFIG_MAP, namespace, "settings", made["uid"], made["resourceVersion"])


async def test_a_list_comes_in_pages_of_one_moment(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE", 2)
    for number in range(5):
        await client.create(config_map(namespace, f"c{number}", a="1"))
    await client.create({**config_map(namespace, "foreign"), "metadata": {"name": "foreign", "namespace": namespace}})

    pages = [page async for page in client.list(CONFIG_MAP, namespace)]

    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert len({page.resource_version for page in pages}) == 1
    assert {(item["kind"], item["apiVersion"]) for page in pages for item in page.items} == {("ConfigMap", "v1")}


async def test_a_list_of_metadata_holds_no_content(client: Client, namespace: str) -> None:
    assert [page.items async for page in client.list(CONFIG_MAP, namespace, metadata_only=True)] == [[]]
    await client.create(config_map(namespace, a="1"))

    (page,) = [page async for page in client.list(CONFIG_MAP, namespace, metadata_only=True)]
    assert page.items[0]["kind"] == "ConfigMap"
    assert set(page.items[0]) == {"kind", "apiVersion", "metadata"}


async def test_a_kind_that_is_not_served_is_not_found(client: Client, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        async for _ in client.list(Kind("Nothing", "nothing.modelyard.dev", "v1", "nothings"), namespace):
            pass


async def test_a_refusal_says_what_was_attempted_and_why(client: Client, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": namespace}}

    with pytest.raises(InvalidError, match=rf"create Service {namespace}/s: .*spec\.ports"):
        await client.create(manifest | {"spec": {"selector": {"a": "b"}}})
    with pytest.raises(NotFoundError, match=f"get Service {namespace}/s: "):
        await client.get(SERVICE, namespace, "s")


async def test_a_namespace_that_goes_away_is_told_from_a_lack_of_rights(
    client: Client, here: Kube, namespace: str
) -> None:
    held = config_map(namespace)
    held["metadata"]["finalizers"] = ["modelyard.dev/test"]
    await client.create(held)
    here.run("delete", "namespace", namespace, "--wait=false")
    try:
        with pytest.raises(NamespaceTerminatingError):
            await client.create(config_map(namespace, "another"))
    finally:
        here.patch("configmap", "settings", {"metadata": {"finalizers": None}})


async def test_a_refused_login_is_tried_once_more_with_fresh_credentials(client: Client, namespace: str) -> None:
    stale, fresh = await load_configuration(), await load_configuration()
    stale.api_key, stale.cert_file, stale.key_file = {"BearerToken": "Bearer expired"}, None, None
    logins = []

    async def login() -> Any:
        logins.append(1)
        return fresh

    async with Client(stale, login=login) as renewed:
        await renewed.create(config_map(namespace))
        await renewed.get(CONFIG_MAP, namespace, "settings")
    assert len(logins) == 1

    async def login_in_vain() -> Any:
        return stale

    async with Client(stale, login=login_in_vain) as refused:
        with pytest.raises(UnauthorizedError):
            await refused.get(CONFIG_MAP, namespace, "settings")


async def test_no_answer_is_an_error_of_its_own(client: Client, namespace: str) -> None:
    nowhere = await load_configuration()
    nowhere.host = "https://127.0.0.1:1"
    async with Client(nowhere) as lost:
        with pytest.raises(UnreachableError, match=f"get ConfigMap {namespace}/x: .*127.0.0.1:1"):
            await lost.get(CONFIG_MAP, namespace, "x")


async def test_credentials_are_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(LoginError, match="outside a cluster set KUBECONFIG"):
        await load_configuration()

    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")
    with pytest.raises(LoginError, match="KUBECONFIG=/does/not/exist"):
        await load_configuration()
