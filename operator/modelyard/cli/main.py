"""`modelyard`: the few things that kubectl cannot do. Run by people and pipelines, with their own credentials.

    modelyard fetch risk/fraud@production DIR    the verified files of what carries a stage
    modelyard fetch risk/fraud:7 DIR             ... of a version
    modelyard digest PATH|s3://bucket/folder/    the digest that a version would get

Exit codes: 0 done, 1 refused or failed, 2 not understood. The cluster is only read.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.storage.errors import ArtifactError

if TYPE_CHECKING:
    from modelyard.cli.registry import Registered
    from modelyard.storage.settings import StorageSettings
    from modelyard.storage.store import StoredObject

SHELL_DIGEST = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what it prints last on standard output is its result."""
    chosen = _parser().parse_args(arguments)
    from modelyard.cli.registry import RegistryError

    try:
        code: int = chosen.run(chosen)
        return code
    except ArtifactError as error:
        return _fail(f"{error.reason.value}: {error.message}")
    except RegistryError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelyard", description="Fetch and check the models that a cluster serves.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fetch = commands.add_parser("fetch", help="download a version's files and check their digest")
    fetch.add_argument("what", metavar="[NAMESPACE/]MODEL@STAGE|:VERSION", help="such as risk/fraud@production")
    fetch.add_argument("folder", metavar="DIR", type=Path, help="where to; must be empty or not exist")
    fetch.add_argument("-n", "--namespace", help="namespace of the model, when it is not part of its name")
    fetch.set_defaults(run=_fetch)
    digest = commands.add_parser(
        "digest",
        help="print the digest of an artifact",
        description="Print the digest of an artifact: a local file or folder, or a URI.",
        epilog=f"The same with coreutils, in the folder: {SHELL_DIGEST}",
    )
    digest.add_argument("artifact", metavar="PATH|URI")
    digest.set_defaults(run=_digest)
    return parser


def _fetch(chosen: argparse.Namespace) -> int:
    from modelyard.cli.registry import Reference, find
    from modelyard.storage.fetching import INCOMING, fetch_into
    from modelyard.storage.location import parse_uri
    from modelyard.storage.pinned import find_pinned
    from modelyard.storage.store import open_store

    try:
        wanted = Reference.parse(chosen.what, chosen.namespace)
    except ValueError as error:
        return _fail(str(error), code=2)
    folder: Path = chosen.folder
    if folder.exists() and (not folder.is_dir() or any(entry.name != INCOMING for entry in folder.iterdir())):
        return _fail(f"fetch into {folder}: it exists and is not an empty folder", code=2)
    registered = find(wanted)
    location = parse_uri(registered.uri)
    store = open_store(location, _settings(registered))
    items = find_pinned(store, location, registered.objects)
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"fetching {registered.model} {registered.version} from {registered.uri}")
    files = fetch_into(folder, store, location, items, registered.digest, _progress)
    _say(f"{len(files)} files, {sum(file.size for file in files)} bytes in {folder}")
    print(registered.digest)
    return 0


def _digest(chosen: argparse.Namespace) -> int:
    from modelyard.storage.digest import digest_of
    from modelyard.storage.local import LocalStore, local_location
    from modelyard.storage.location import check_paths, parse_uri
    from modelyard.storage.reader import read_all
    from modelyard.storage.settings import StorageSettings
    from modelyard.storage.store import ObjectStore, open_store

    if "://" in chosen.artifact:
        location = parse_uri(chosen.artifact)
        store: ObjectStore = open_store(location, StorageSettings.from_env(os.environ))
    else:
        location, store = local_location(chosen.artifact), LocalStore()
    items = store.find(location)
    check_paths(item.path for item in items)
    print(digest_of(read_all(store, location.bucket, items)))
    return 0


def _settings(registered: "Registered") -> "StorageSettings":
    """The caller's environment, completed by what the Model says about the store. Never by its Secret."""
    from modelyard.storage.settings import StorageSettings

    own = StorageSettings.from_env(os.environ)
    return replace(
        registered.storage,
        endpoint=own.endpoint or registered.storage.endpoint,
        region=own.region or registered.storage.region,
        ca_bundle=own.ca_bundle or registered.storage.ca_bundle,
        force_path_style=(
            registered.storage.force_path_style if own.force_path_style is None else own.force_path_style
        ),
    )


def _progress(item: "StoredObject", done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done >> 20} of {total >> 20} MiB", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str, code: int = 1) -> int:
    _say(f"modelyard: {text}")
    return code


if __name__ == "__main__":
    sys.exit(main())
