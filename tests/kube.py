"""A cluster as tests see it: the verbs of `kubectl`, plain dicts in and out.

Used by every test that needs a real API server. What users read comes from kubectl: printer columns, what is said of a
manifest's text, and why a command failed, so what the API server refuses is asked again through it. What succeeds, and
dry runs, of which only the API server's reason counts, are the same without and cheaper (`resources`). It never falls
back to the user's own kubeconfig or current context (`find_kubeconfig`), and it never sleeps: waiting is a watch with a
`Timeout` that names what was waited for, and a wait that fails shows the object as last seen and its Events.
"""

import json
import os
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.checkout import CLUSTER_DIR, find_kubeconfig
from tests.connections import Obj, impersonating
from tests.resources import NotServedError, Place, Resources, served_to

Manifest = Mapping[str, Any] | str | Path

BRIEF = {"GOGC": "off"}
"""For kubectl, which ends before collecting garbage pays: a fifth of its processor time."""


class KubectlError(AssertionError):
    """kubectl ended with an error; `message` is what the user would read."""

    def __init__(self, command: Sequence[str], message: str):
        super().__init__(f"kubectl {' '.join(command)}: {message}")
        self.message = message


@dataclass(frozen=True)
class Timeout:
    """How long something may take, and what it is called when it takes longer."""

    name: str
    seconds: float

    @property
    def budget(self) -> float:
        """The seconds, stretched by MODELYARD_TEST_TIMEOUT_FACTOR for slow machines."""
        return self.seconds * float(os.environ.get("MODELYARD_TEST_TIMEOUT_FACTOR", "1"))


API_SETTLES = Timeout("the API server has caught up", 15)
OPERATOR_REACTS = Timeout("the operator has written what follows from a change", 20)
VERSION_VERIFIED = Timeout("a verification Job has run", 90)
PODS_READY = Timeout("pods are ready", 120)
OBJECT_GONE = Timeout("an object is deleted", 60)


def find_kubectl() -> str:
    """The kubectl that fits the cluster, else the one on the PATH."""
    ours = CLUSTER_DIR / "bin" / "kubectl"
    return str(ours) if ours.exists() else os.environ.get("MODELYARD_KUBECTL", "kubectl")


@dataclass(frozen=True)
class Kube:
    """One cluster, seen by one user in one namespace."""

    kubeconfig: Path
    kubectl: str = "kubectl"
    namespace: str | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()

    @classmethod
    def connect(cls) -> "Kube":
        """The cluster of `find_kubeconfig`, as its admin."""
        return cls(kubeconfig=find_kubeconfig(), kubectl=find_kubectl())

    def within(self, namespace: str) -> "Kube":
        """The same cluster, in another namespace."""
        return replace(self, namespace=namespace)

    def as_user(self, user: str, *groups: str) -> "Kube":
        """The same cluster, impersonating a person (an anonymous member of `groups` otherwise)."""
        return replace(self, user=user, groups=groups)

    @contextmanager
    def own_namespace(
        self, prefix: str, labels: Mapping[str, str] | None = None, *, wait: bool = False
    ) -> Iterator["Kube"]:
        """The same cluster, in a new namespace that is deleted at the end, or kept when MODELYARD_TEST_KEEP is set.

        `wait`: until all that was in it is gone.
        """
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}})
        try:
            yield self.within(name)
        finally:
            if not os.environ.get("MODELYARD_TEST_KEEP"):
                self.delete("namespace", name, wait=wait)

    def command(self, *arguments: str) -> list[str]:
        """The command line for `arguments`."""
        cache = Path(tempfile.gettempdir()) / f"modelyard-test-kubectl-cache-{os.getuid()}"
        line = [self.kubectl, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={cache}"]
        if self.namespace:
            line.append(f"--namespace={self.namespace}")
        if self.user:
            line += [f"--as={self.user}", *(f"--as-group={group}" for group in self.groups)]
        return [*line, *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and give back its output; KubectlError when it fails."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, env=os.environ | BRIEF, check=False
        )  # fmt: skip
        if done.returncode != 0:
            raise KubectlError(arguments, done.stderr.strip() or done.stdout.strip())
        return done.stdout

    @property
    def _served(self) -> Resources:
        try:
            return served_to(self.kubeconfig, self.kubeconfig.stat().st_mtime_ns)
        except OSError as error:
            raise NotServedError from error

    def _at(self, kind: str) -> Place:
        headers = impersonating(self.user, self.groups) if self.user else ()
        return Place(self._served.named(kind), self.namespace, headers)

    def _of(self, manifest: Manifest) -> tuple[Place, Mapping[str, Any]]:
        """Where one object belongs. What texts and files mean is for kubectl to say."""
        if isinstance(manifest, str | Path) or not {"apiVersion", "kind", "metadata"} <= manifest.keys():
            raise NotServedError
        namespace = manifest["metadata"].get("namespace", self.namespace)
        if self.namespace not in (None, namespace):
            raise NotServedError
        return self.within(namespace)._at(f"{manifest['apiVersion']}/{manifest['kind']}"), manifest

    # Reading

    def get(self, kind: str, name: str) -> Obj:
        """One object; KubectlError when there is none."""
        try:
            return self._served.get(self._at(kind), name)
        except NotServedError:
            found: Obj = json.loads(self.run("get", kind, name, "--output=json"))
            return found

    def find(self, kind: str, name: str) -> Obj | None:
        """One object, or None when there is none."""
        try:
            return self._served.get(self._at(kind), name)
        except NotServedError as error:
            if error.reason == "NotFound":
                return None
            text = self.run("get", kind, name, "--output=json", "--ignore-not-found")
            return json.loads(text) if text.strip() else None

    def items(self, kind: str, selector: str = "", fields: str = "") -> list[Obj]:
        """The objects of a kind in the namespace, by label and field selector."""
        try:
            return self._served.items(self._at(kind), selector, fields)
        except NotServedError:
            text = self.run("get", kind, "--output=json", f"--selector={selector}", f"--field-selector={fields}")
            items: list[Obj] = json.loads(text)["items"]
            return items

    def events(self, name: str) -> list[Obj]:
        """The Events about the objects of that name, oldest first."""
        about = self.items("events", fields=f"involvedObject.name={name}")
        return sorted(about, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")

    def told(self, name: str, *reasons: str, timeout: Timeout = OPERATOR_REACTS) -> None:
        """Wait until so many Events about the objects of that name are there: they come after what they tell of."""
        deadline = time.monotonic() + timeout.budget
        while missing := Counter(reasons) - Counter(event["reason"] for event in self.events(name)):
            assert time.monotonic() < deadline, f"Events about {name} within {timeout.budget:g}s: none of {missing}"
            time.sleep(0.2)

    # Writing

    def apply(
        self, manifest: Manifest, *, manager: str = "tests", force: bool = False, subresource: str = ""
    ) -> list[Obj]:
        """Server-side apply of one manifest, a YAML text or a file; the objects as the server has them now."""
        with suppress(NotServedError):
            return [self._served.apply(*self._of(manifest), manager=manager, force=force, subresource=subresource)]
        options = [f"--field-manager={manager}"]
        options += ["--force-conflicts"] if force else []
        options += [f"--subresource={subresource}"] if subresource else []
        return self._write(manifest, "apply", "--server-side", *options)

    def create(self, manifest: Manifest) -> list[Obj]:
        """Create; KubectlError when the object exists or is refused."""
        with suppress(NotServedError):
            return [self._served.create(*self._of(manifest))]
        return self._write(manifest, "create")

    def replace(self, manifest: Manifest, *, subresource: str = "") -> list[Obj]:
        """Replace an existing object as a whole."""
        return self._write(manifest, "replace", *([f"--subresource={subresource}"] if subresource else []))

    def _write(self, manifest: Manifest, *arguments: str) -> list[Obj]:
        text = self.run(*arguments, "--filename=-", "--output=json", stdin=_text(manifest))
        return [
            item
            for document in _documents(text)
            for item in (document["items"] if document.get("kind") == "List" else [document])
        ]

    def patch(self, kind: str, name: str, body: object, *, type: str = "merge", subresource: str = "") -> Obj:
        """Patch an object (`merge`, `json` or `strategic`)."""
        with suppress(NotServedError):
            return self._served.patch(self._at(kind), name, body, type=type, subresource=subresource)
        options = [f"--subresource={subresource}"] if subresource else []
        text = self.run("patch", kind, name, f"--type={type}", f"--patch={json.dumps(body)}", *options, "-o", "json")
        patched: Obj = json.loads(text)
        return patched

    def delete(self, kind: str, *names: str, wait: bool = True) -> None:
        """Delete objects if they exist, and wait until they are gone unless told otherwise."""
        with suppress(NotServedError):
            self._served.delete(self._at(kind), names, OBJECT_GONE.budget if wait else 0)
            return
        timeout = f"--timeout={OBJECT_GONE.budget:.0f}s"
        self.run("delete", kind, *names, "--ignore-not-found", f"--wait={str(wait).lower()}", timeout)

    def refusal(self, manifest: Mapping[str, Any]) -> str:
        """Why the API server does not create this manifest; fails when it would. Nothing is stored."""
        return self._refusal(manifest, replacing=False)

    def refusal_of_replacing(self, manifest: Mapping[str, Any]) -> str:
        """Why the API server does not accept this as the new content of an existing object. Nothing is stored."""
        return self._refusal(manifest, replacing=True)

    def _refusal(self, manifest: Mapping[str, Any], *, replacing: bool) -> str:
        try:
            self._served.dry_run(*self._of(manifest), replacing=replacing)
        except NotServedError as error:
            if not error.message:
                raise
            return error.message
        raise AssertionError(f"expected a refusal, and it was accepted:\n{_text(manifest)}")

    # Waiting

    def wait(
        self, kind: str, name: str, until: Callable[[Obj], bool], timeout: Timeout = OPERATOR_REACTS, what: str = ""
    ) -> Obj:
        """Watch one object until `until` holds for it; `what` says in words what that is."""
        last: Obj | None = None
        with self._watch(kind, name, timeout) as sightings:
            for last in sightings:
                if last is not None and until(last):
                    return last
        raise AssertionError(self._what_was_seen(kind, name, timeout, what, last))

    def wait_gone(self, kind: str, name: str, timeout: Timeout = OBJECT_GONE) -> None:
        """Watch one object until it is deleted."""
        if (last := self.find(kind, name)) is None:
            return
        with self._watch(kind, name, timeout) as sightings:
            for last in sightings:
                if last is None:
                    return
        if (last := self.find(kind, name)) is not None:  # it may have gone between the first look and the watch
            raise AssertionError(self._what_was_seen(kind, name, timeout, "deletion", last))

    def stays(self, kind: str, name: str, holds: Callable[[Obj], bool], timeout: Timeout, what: str = "") -> Obj:
        """Watch one object for the whole of `timeout`; fails as soon as `holds` does not hold."""
        last = self.get(kind, name)
        assert holds(last), self._what_was_seen(kind, name, timeout, f"{what} (at the start)", last)
        with self._watch(kind, name, timeout) as sightings:
            for seen in sightings:
                if seen is None or not holds(seen):
                    raise AssertionError(self._what_was_seen(kind, name, timeout, what, seen))
                last = seen
        return last

    @contextmanager
    def _watch(self, kind: str, name: str, timeout: Timeout) -> Iterator[Iterator[Obj | None]]:
        """The states of one object (None: deleted) as they come, until the time is up."""
        deadline = time.monotonic() + timeout.budget

        def sightings() -> Generator[Obj | None]:
            while (left := deadline - time.monotonic()) > 0:  # a watch that the server ends is simply opened again
                yield from self._served.watch(self._at(kind), name, left)

        try:
            with closing(sightings()) as seen:
                yield seen
        except NotServedError:
            self.run("get", kind)
            raise

    def _what_was_seen(self, kind: str, name: str, timeout: Timeout, what: str, last: Obj | None) -> str:
        lines = [f"{kind} {self.namespace}/{name}: {what or timeout.name}: not seen within {timeout.budget:g}s"]
        if last is None:
            return lines[0] + "; there is no such object"
        shown = {**last, "metadata": {k: v for k, v in last["metadata"].items() if k != "managedFields"}}
        lines += ["last seen:", yaml.safe_dump(shown, sort_keys=False), "events:"]
        lines += [f"  {e.get('type')} {e.get('reason')}: {e.get('message')}" for e in self.events(name)] or ["  none"]
        return "\n".join(lines)


def condition(obj: Mapping[str, Any], type: str) -> Obj:
    """The condition of that type, or an empty dict."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((dict(c) for c in conditions if c["type"] == type), {})


def has_condition(type: str, status: str, reason: str | None = None) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate for `Kube.wait`: the condition has this status (and reason) for the present generation."""

    def holds(obj: Mapping[str, Any]) -> bool:
        found = condition(obj, type)
        current = found.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
        return current and found.get("status") == status and reason in (None, found.get("reason"))

    return holds


def _text(manifest: Manifest) -> str:
    if isinstance(manifest, Path):
        return manifest.read_text()
    return manifest if isinstance(manifest, str) else json.dumps(manifest)


def _documents(text: str) -> Iterator[Obj]:
    """The JSON objects of a text that holds several, one after the other."""
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()
