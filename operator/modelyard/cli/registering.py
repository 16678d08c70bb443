"""`register MODEL ARTIFACT`: hash, upload, write down what it was made of, and create the version.

1. The facts: options, then a file of spec fields, then MLflow, then the artifact's own files, then the Git checkout;
   what was said first holds.
2. The digest, from the bytes, and the version that has them already, if there is one: then nothing is done.
3. The upload, of a local artifact.
4. The object, under the next number. A number that somebody took meanwhile is theirs, and the next one is tried.

Interrupted anywhere and run again, it goes on where it was: nothing exists twice.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.api.names import API_VERSION
from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.completion import complete_stage
from modelyard.cli.errors import CommandError, UsageError
from modelyard.cli.following import Timeout, Wait, follow_version, parse_duration
from modelyard.cli.numbering import next_number, same_version
from modelyard.cli.objects import name_of
from modelyard.cli.output import Output, as_yaml, print_objects, say
from modelyard.cli.refs import Reference, check_stage, find_model
from modelyard.kube.errors import AlreadyExistsError

if TYPE_CHECKING:
    from modelyard.cli.cluster import Cluster
    from modelyard.storage.digest import FileDigest
    from modelyard.storage.location import Location
    from modelyard.storage.settings import StorageSettings

Json = dict[str, Any]
Obj = Mapping[str, Any]
FILES_LIMIT = 1000
"""Files that are declared one by one; an artifact of more is declared by its digest alone, to keep the object small."""
TRIES = 20
"""How many numbers others may take before ours."""
FACTS = "Facts"


@on_cluster
def register(
    access: Access,
    model: arguments.Model,
    artifact: Annotated[
        str | None, typer.Argument(metavar="[PATH|s3://…]", help="A file or a folder; a folder in S3 ends in '/'.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="REF", help="runs:/RUN/PATH or models:/NAME@ALIAS of MLflow.")
    ] = None,
    tracking: Annotated[
        str, typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="URL of the MLflow server.")
    ] = "",
    to: Annotated[
        str, typer.Option(metavar="s3://…", envvar="MODELYARD_UPLOAD_TO", help="Where local files are uploaded to.")
    ] = "",
    version: Annotated[str | None, typer.Option(help="Default: the next number.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="Ask for this stage at once.", autocompletion=complete_stage)
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Repeatable.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Hyperparameter; repeatable.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(metavar="NAME=URI", help="Repeatable.")] = None,
    base: Annotated[list[str] | None, typer.Option(metavar="REF", help="Base model; repeatable.")] = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="Training run.")] = None,
    author: Annotated[str | None, typer.Option(help="Default: Git's user.email.")] = None,
    description: Annotated[str | None, typer.Option(help="What is special about this version.")] = None,
    fields: Annotated[
        Path | None, typer.Option("--spec", exists=True, dir_okay=False, help="YAML with more fields of the spec.")
    ] = None,
    git: Annotated[bool, typer.Option(help="Record the Git commit checked out here.")] = True,
    print_: Annotated[
        bool, typer.Option("--print", help="Upload, and print the manifest instead of creating it (for Git).")
    ] = False,
    wait: Wait = False,
    timeout: Timeout = "30m",
    output: Output = None,
) -> None:
    """Register a version: hash, upload, create.

    The next number is taken by itself; the same bytes out of the same run are the version they are already.
    """
    seconds = parse_duration(timeout)
    given = {
        "stage": stage, "author": author, "description": description, "run": {"id": run} if run else None,
        "metrics": {name: _number(text) for name, text in _pairs("--metric", metric)},
        "hyperparameters": {name: _literal(text) for name, text in _pairs("--param", param)},
        "datasets": [{"name": name, "uri": uri} for name, uri in _pairs("--dataset", dataset)],
        "baseModels": [{"ref": ref} for ref in base or ()],
    }  # fmt: skip
    reference = Reference.parse(model, "MODEL")
    cluster = access.connect(reference.namespace)
    declared = find_model(cluster, reference.name)
    if stage:
        check_stage(declared, stage)
    spec = _described(given, fields, source, tracking, artifact, declared, to=to, git=git)
    found, new = _find(cluster, spec, version) if print_ else _create(cluster, spec, version)
    if print_ and new:
        typer.echo(as_yaml(found), nl=False)
        return
    say(f"registered: {name_of(found)}" if new else f"registered already: {name_of(found)} has these bytes")
    if wait:
        found = follow_version(cluster, found, seconds)
    if output:
        print_objects([found], output, as_list=False)
    else:
        typer.echo(name_of(found))


def _described(
    given: Json, file: Path | None, source: str | None, tracking: str, artifact: str | None, model: Obj, *, to: str,
    git: bool,
) -> Json:  # fmt: skip
    """The spec but for its version, the files hashed and in the store."""
    from modelyard.cli import origin
    from modelyard.cli.progress import progress_bar
    from modelyard.cli.stores import open_artifact, settings_for
    from modelyard.storage.digest import digest_of
    from modelyard.storage.location import check_paths
    from modelyard.storage.reader import read_all

    known: list[Obj] = [given, _from_file(file)]
    if source:
        from modelyard.cli.mlflow import Server

        if artifact:
            raise UsageError("--from names the artifact; leave the second argument out")
        tracked = Server(tracking).find(source)
        artifact, git = tracked.uri, False  # where one stands now is not where it was trained
        known.append(tracked.fields)
    if not artifact:
        raise UsageError("name the artifact: a path, an s3:// URI, or --from REF")
    settings = settings_for(model["spec"].get("storage") or {})
    location, store = open_artifact(artifact, settings)
    items = store.find(location)
    check_paths(item.path for item in items)
    with progress_bar("hashing", sum(item.size for item in items)) as bar:
        read = read_all(store, location.bucket, items, progress=bar.at)
    files = sorted(read, key=lambda file: file.path.encode())
    known += [origin.from_files(store, location, items), origin.from_git() if git else {}]
    digest = digest_of(files)
    where = location.uri if location.scheme == "s3" else _uploaded(location, files, digest, to, model, settings)
    return described_as(known, name_of(model), where, digest, files)


def described_as(known: Sequence[Obj], model: str, uri: str, digest: str, files: Sequence["FileDigest"]) -> Json:
    """The fields of a spec, what was said first holding, in the order of the reference."""
    artifact: Json = {"uri": uri, "digest": digest}
    if len(files) <= FILES_LIMIT:
        artifact["files"] = [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in files]
    merged: Json = {}
    for fields in known:
        for name, value in fields.items():
            if value not in (None, {}, []) and name not in merged:
                merged[name] = value
            elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
                merged[name] = {**value, **merged[name]}
    return {"model": model, **merged, "artifact": artifact}


def _uploaded(
    source: "Location", files: Sequence["FileDigest"], digest: str, to: str, model: Obj, settings: "StorageSettings"
) -> str:
    from modelyard.cli.progress import progress_bar
    from modelyard.cli.uploading import destination, upload

    if not to:
        raise UsageError("say where the files are to be uploaded: --to s3://BUCKET/FOLDER/, or MODELYARD_UPLOAD_TO")
    target = destination(to, name_of(model), digest, folder=source.is_folder, name=files[0].path)
    with progress_bar("uploading", sum(file.size for file in files)) as bar:
        sent = upload(source, target, files, settings, bar)
    say(f"uploaded {sent} of {len(files)} files to {target.uri}" if sent else f"all files are at {target.uri}")
    return target.uri


def _create(cluster: "Cluster", spec: Json, version: str | None) -> tuple[Json, bool]:
    """The version, and whether it is new."""
    for _ in range(TRIES):
        found, new = _find(cluster, spec, version)
        if not new:
            return found, False
        try:
            return cluster.create(found), True
        except AlreadyExistsError as error:
            if version:
                message = f"{name_of(found)} exists and is something else; a version never changes: take another"
                raise CommandError(message) from error
    raise CommandError(f"{TRIES} numbers in a row were taken by others meanwhile; try again")


def _find(cluster: "Cluster", spec: Json, version: str | None) -> tuple[Json, bool]:
    """The version that is what the spec describes, or the manifest of a new one; and which of the two it is."""
    from modelyard.kube.kinds import MODEL_VERSION

    model = spec["model"]
    versions = cluster.list(MODEL_VERSION, fields=f"spec.model={model}")
    same = same_version(versions, spec)
    if same and version in (None, same["spec"]["version"]):
        return dict(same), False
    number = version or next_number(versions)
    metadata = {"name": f"{model}-{number}", "namespace": cluster.namespace}
    described = {"model": model, "version": number, **spec}
    return {"apiVersion": API_VERSION, "kind": "ModelVersion", "metadata": metadata, "spec": described}, True


def _from_file(path: Path | None) -> Obj:
    if path is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"--spec {path}: {error}") from error
    if not isinstance(found, Mapping):
        raise UsageError(f"--spec {path}: it is no map of fields, such as 'license: Apache-2.0'")
    fixed = sorted({"model", "version", "artifact"} & set(found))
    if fixed:
        raise UsageError(f"--spec {path}: {', '.join(fixed)} cannot be set there: register finds them out itself")
    return found


def _pairs(option: str, texts: Sequence[str] | None) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in texts or ()]
    for name, separator, _ in pairs:
        if not name or not separator:
            raise UsageError(f"{option} {name!r}: write it as NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--metric: {text!r} is no number") from None


def _literal(text: str) -> Any:
    """Numbers, true and false, lists as JSON; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
