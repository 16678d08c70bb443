"""`fetch` and `digest`: a version's files, checked, and the digest that files would have.

Run by people and pipelines with their own storage credentials; the cluster is only read, and no Secret of it.
"""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli import arguments
from modelyard.cli.access import Access, on_cluster
from modelyard.cli.errors import UsageError
from modelyard.cli.output import say
from modelyard.cli.progress import progress_bar
from modelyard.cli.refs import Reference
from modelyard.cli.stores import open_artifact, settings_for


@on_cluster
def fetch(
    access: Access,
    what: arguments.Files,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; must be empty or not exist.")],
) -> None:
    """Download files and check their digest."""
    from modelyard.cli.registry import find
    from modelyard.storage.fetching import INCOMING, fetch_into
    from modelyard.storage.location import parse_uri
    from modelyard.storage.opening import open_store
    from modelyard.storage.pinned import find_pinned

    wanted = Reference.parse(what, "MODEL@STAGE or MODEL:VERSION")
    if wanted.is_bare:
        raise UsageError(f"{what!r} names no version; write [NAMESPACE/]MODEL@STAGE or [NAMESPACE/]MODEL:VERSION")
    if folder.exists() and (not folder.is_dir() or any(entry.name != INCOMING for entry in folder.iterdir())):
        raise UsageError(f"fetch into {folder}: it exists and is not an empty folder")
    registered = find(access.connect(wanted.namespace), wanted)
    location = parse_uri(registered.uri)
    store = open_store(location, settings_for(registered.storage))
    items = find_pinned(store, location, registered.objects)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching {registered.model} {registered.version} from {registered.uri}")
    with progress_bar("fetching", sum(item.size for item in items)) as bar:
        files = fetch_into(folder, store, location, items, registered.digest, bar.at)
    say(f"{len(files)} files, {sum(file.size for file in files)} bytes in {folder}")
    typer.echo(registered.digest)


def digest(
    artifact: Annotated[str, typer.Argument(metavar="PATH|URI", help="A local file or folder, or an s3:// URI.")],
) -> None:
    """Print the digest of an artifact.

    The same with coreutils, in its folder:
    find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
    """
    from modelyard.storage.digest import digest_of
    from modelyard.storage.location import check_paths
    from modelyard.storage.reader import read_all

    location, store = open_artifact(artifact, settings_for({}))
    items = store.find(location)
    check_paths(item.path for item in items)
    with progress_bar("hashing", sum(item.size for item in items)) as bar:
        typer.echo(digest_of(read_all(store, location.bucket, items, progress=bar.at)))
