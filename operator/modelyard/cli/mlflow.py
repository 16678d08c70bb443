"""What does an MLflow server know of a model? Asked over its REST API, for `register --from`.

`runs:/RUN/PATH`, `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/m-ID`: where the files lie, pinned as an S3
URI that no alias can move, and the run they came from with its parameters, metrics, data sets and commit. Nothing is
written there, and the MLflow library is not needed.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from modelyard.cli.errors import CommandError, UnknownError, UsageError

Json = dict[str, Any]
Fields = dict[str, Any]
TIMEOUT = urllib3.Timeout(connect=5, read=30)
API = "/api/2.0/mlflow"
_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+?)/?")
_ALIAS = re.compile(r"models:/(?P<name>[^@]+)@(?P<alias>[^/@]+)")
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>\d+)")
_LOGGED = re.compile(r"models:/(?P<id>m-[^/@]+)")
SOURCE_KEYS = ("uri", "url", "path", "table_name", "delta_table_name")
FORMS = "runs:/RUN/PATH, models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID"


@dataclass(frozen=True)
class Tracked:
    """What the server knows: where the files are, and fields of a ModelVersion's spec."""

    uri: str
    fields: Fields = field(default_factory=dict)


class Server:
    """One MLflow tracking server."""

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise UsageError(f"MLflow server {address!r}: give its URL with --tracking-uri or MLFLOW_TRACKING_URI")
        self._address = address.rstrip("/")
        self._headers = _credentials()
        self._pool = urllib3.PoolManager(retries=urllib3.Retry(2, redirect=False, status=0), timeout=TIMEOUT)

    def find(self, reference: str) -> Tracked:
        """Follow a reference to its files and its run."""
        if match := _RUN.fullmatch(reference):
            run = self._run(match["run"])
            return self._tracked(self._of_run(run, match["path"]), run)
        if match := _LOGGED.fullmatch(reference):
            info = self._logged(match["id"])["info"]
            run_id = info.get("source_run_id")
            return self._tracked(info["artifact_uri"], self._run(run_id) if run_id else {})
        if match := _ALIAS.fullmatch(reference):
            query = {"name": match["name"], "alias": match["alias"]}
            return self._registered(self._get("registered-models/alias", query)["model_version"])
        if match := _VERSION.fullmatch(reference):
            query = {"name": match["name"], "version": match["version"]}
            return self._registered(self._get("model-versions/get", query)["model_version"])
        raise UsageError(f"--from {reference!r} is no MLflow model; write it as {FORMS}")

    def _registered(self, version: Json) -> Tracked:
        query = {"name": version["name"], "version": version["version"]}
        uri = self._get("model-versions/get-download-uri", query)["artifact_uri"]
        if match := _LOGGED.fullmatch(uri):
            uri = self._logged(match["id"])["info"]["artifact_uri"]
        run = self._run(version["run_id"]) if version.get("run_id") else {}
        return self._tracked(uri, run, description=version.get("description"))

    def _of_run(self, run: Json, path: str) -> str:
        """Where a run's model lies: since MLflow 3 with the logged models of its experiment, before among its files."""
        for output in (run.get("outputs") or {}).get("model_outputs") or ():
            info = self._logged(output["model_id"])["info"]
            if info.get("name") == path:
                return str(info["artifact_uri"])
        return f"{run['info']['artifact_uri'].rstrip('/')}/{path}"

    def _tracked(self, uri: str, run: Json, description: str | None = None) -> Tracked:
        if not uri.startswith("s3://"):
            raise CommandError(
                f"the files are at {uri!r}, which pods cannot read; give the MLflow server an S3 artifact root and "
                "--no-serve-artifacts, or download them and register the folder"
            )
        fields = fields_of(run, self._experiment(run)) if run else {}
        if run:
            info = run["info"]
            fields["run"]["uri"] = f"{self._address}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}"
        if description:
            fields["description"] = description
        return Tracked(uri.rstrip("/") + "/", fields)

    def _run(self, run_id: str) -> Json:
        found: Json = self._get("runs/get", {"run_id": run_id})["run"]
        return found

    def _experiment(self, run: Json) -> str:
        query = {"experiment_id": run["info"]["experiment_id"]}
        return str(self._get("experiments/get", query)["experiment"]["name"])

    def _logged(self, model_id: str) -> Json:
        found: Json = self._get(f"logged-models/{quote(model_id, safe='')}", {})["model"]
        return found

    def _get(self, path: str, query: Mapping[str, str]) -> Json:
        url = f"{self._address}{API}/{path}?{urlencode(query)}"
        try:
            answer = self._pool.request("GET", url, headers=self._headers)
            parsed = json.loads(answer.data)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise CommandError(f"ask MLflow at {self._address}: {error}; is that its --tracking-uri?") from error
        if answer.status == 200 and isinstance(parsed, dict):
            return parsed
        said = parsed.get("message", "") if isinstance(parsed, dict) else ""
        kind = UnknownError if answer.status == 404 else CommandError
        raise kind(f"ask MLflow at {self._address} for {path} {dict(query)}: {answer.status} {said}")


def fields_of(run: Json, experiment: str) -> Fields:
    """A run as fields of a ModelVersion's spec."""
    info, data = run["info"], run.get("data") or {}
    tags = {tag["key"]: tag.get("value", "") for tag in data.get("tags") or ()}
    found: Fields = {"run": {"id": info["run_id"], "experiment": experiment}}
    if parameters := {each["key"]: each["value"] for each in data.get("params") or ()}:
        found["hyperparameters"] = parameters
    if metrics := {each["key"]: _number(each["value"]) for each in data.get("metrics") or ()}:
        found["metrics"] = {name: value for name, value in metrics.items() if value is not None}
    if datasets := [_dataset(entry) for entry in (run.get("inputs") or {}).get("dataset_inputs") or ()]:
        found["datasets"] = datasets
    source = {
        "repository": tags.get("mlflow.source.git.repoURL"),
        "revision": tags.get("mlflow.source.git.commit"),
        "path": tags.get("mlflow.source.name") if tags.get("mlflow.source.git.commit") else None,
    }
    if source["revision"]:
        found["source"] = {name: value for name, value in source.items() if value}
    if author := tags.get("mlflow.user") or info.get("user_id"):
        found["author"] = author
    return found


def _number(value: Any) -> float | None:
    """JSON knows no NaN; MLflow sends it as a word."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number - number == 0 else None


def _dataset(entry: Json) -> Json:
    dataset, tags = entry["dataset"], {tag["key"]: tag["value"] for tag in entry.get("tags") or ()}
    found = {"name": dataset["name"], "digest": dataset.get("digest"), "context": tags.get("mlflow.data.context")}
    found["uri"] = _source_uri(dataset.get("source", ""))
    return {name: value for name, value in found.items() if value}


def _source_uri(source: str) -> str | None:
    """MLflow keeps a data set's source as JSON whose key depends on its type."""
    try:
        parsed = json.loads(source)
    except ValueError:
        return source or None
    if not isinstance(parsed, dict):
        return None
    return next((str(parsed[key]) for key in SOURCE_KEYS if parsed.get(key)), None)


def _credentials() -> dict[str, str]:
    """As MLflow's own client finds them."""
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        return dict(urllib3.make_headers(basic_auth=f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"))
    return {"Authorization": f"Bearer {token}"} if token else {}
