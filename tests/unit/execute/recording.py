"""A hand-written API server for `execute`: it records every write, and answers only what it was told to answer."""

from collections.abc import Mapping
from typing import Any

from modelyard.kube.errors import KubeError
from modelyard.kube.kinds import Kind

Obj = dict[str, Any]
Call = tuple[Any, ...]


class Unprepared(AssertionError):
    """The code under test made a call that the test did not foresee."""


class RecordingWriter:
    """Answers are prepared per (verb, kind, name); an unprepared call fails the test."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._answers: dict[tuple[str, str, str], list[Obj | KubeError]] = {}

    def on(self, verb: str, kind: str, name: str, *answers: Obj | KubeError) -> None:
        self._answers.setdefault((verb, kind, name), []).extend(answers)

    def left_over(self) -> list[tuple[str, str, str]]:
        """What was prepared and not asked for."""
        return [call for call, answers in self._answers.items() if answers]

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        return self._answer("get", kind.name, name, namespace)

    async def create(self, manifest: Mapping[str, Any]) -> Obj:
        meta = manifest["metadata"]
        # An Event's name is of the publisher's choice: prepared by what it is about.
        name = meta["name"] if manifest["kind"] != "Event" else manifest["reason"]
        return self._answer("create", manifest["kind"], name, manifest)

    async def replace_status(
        self, kind: Kind, namespace: str, name: str, status: Mapping[str, Any], resource_version: str
    ) -> Obj:
        return self._answer("replace_status", kind.name, name, namespace, status, resource_version)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Obj:
        return self._answer("patch", kind.name, name, namespace, body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> Obj:
        return self._answer("delete", kind.name, name, namespace, uid, resource_version)

    def _answer(self, verb: str, kind: str, name: str, *details: Any) -> Obj:
        self.calls.append((verb, kind, name, *details))
        answers = self._answers.get((verb, kind, name))
        if not answers:
            raise Unprepared(f"{verb} {kind} {name}")
        answer = answers.pop(0)
        if isinstance(answer, KubeError):
            raise answer
        return answer


class RecordingWorld:
    """What the executor is told is known, and what it reported."""

    def __init__(self) -> None:
        self.reports: list[tuple[Any, ...]] = []
        self.objects: dict[tuple[str, str], Obj] = {}

    def known(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self.objects.get((kind, name))

    def wrote(self, obj: Mapping[str, Any]) -> None:
        self.reports.append(("wrote", obj["kind"], obj["metadata"]["name"]))

    def deleted(self, kind: str, namespace: str, name: str, uid: str) -> None:
        self.reports.append(("deleted", kind, name, uid))

    def refused(self, namespace: str, model: str, kind: str, name: str, why: str) -> None:
        self.reports.append(("refused", model, kind, name, why))

    def conflict(self, namespace: str, model: str, kind: str, name: str) -> None:
        self.reports.append(("conflict", model, kind, name))

    def absent(self, error: KubeError) -> None:
        self.reports.append(("absent", type(error).__name__))
