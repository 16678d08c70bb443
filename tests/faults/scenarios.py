"""What is disturbed: for each scenario, how it is prepared, what the user then does, and how it ends undisturbed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.kubelet import SCHEDULER
from tests.faults.yard import Yard, wait_until

SERVES_WITHIN = 60.0


@dataclass
class Story:
    """One Model in a yard."""

    yard: Yard
    model: str

    def declare(self, image: str = "server:1", **serving: Any) -> None:
        """The Model, with production as its only stage."""
        spec = {"schedulerName": SCHEDULER, "containers": [{"name": "server", "image": image}]}
        self.yard.create(
            "Model",
            self.model,
            {
                "serving": {"template": {"spec": spec}, **serving},
                "stages": [{"name": "production", "serving": {"replicas": 1}}],
            },
        )

    def ask(self, version: str, *, verified: bool = False) -> None:
        """A version for production; its bytes are verified by a Job, or hosted by somebody else."""
        external = {"external": {"provider": "test", "model": "test", "revision": version}}
        artifact = {"uri": f"s3://models/{self.model}/{version}/"} if verified else external
        spec = {"model": self.model, "version": version, "stage": "production", "artifact": artifact}
        self.yard.create("ModelVersion", f"{self.model}-{version}", spec)

    def serve(self, *versions: str) -> None:
        """One version after another takes production."""
        for version in versions:
            self.ask(version)
            self.serves(version)

    def roll_back(self) -> None:
        """Back to the last good one."""
        spec = {"model": self.model, "stage": "production", "reason": "INC-1"}
        self.yard.create("Rollback", f"{self.model}-back", spec)

    def serves(self, version: str) -> None:
        """Wait until production serves the version."""
        wait_until(lambda: self.current() == (version, True), SERVES_WITHIN, f"{self.model} serves {version}")

    def current(self) -> tuple[str, bool]:
        """Production's version, and whether its endpoints have followed."""
        model = self.yard.find("Model", self.model) or {}
        stages = model.get("status", {}).get("stages", [])
        current: dict[str, Any] = next((stage["current"] for stage in stages if "current" in stage), {})
        return current.get("version", ""), "effectiveSince" in current

    def end(self) -> dict[str, Any]:
        """All that is to be the same however often the operator died on the way. No times, no identities."""
        yard, model = self.yard, self.model
        status = (yard.find("Model", model) or {}).get("status", {})
        version_of = {d["metadata"]["name"]: _label(d, "version") for d in yard.of_model("Deployment", model)}
        services = yard.of_model("Service", model)
        return {
            "current": [_only(s.get("current", {}), "version", "cause", "sequence") for s in status.get("stages", ())],
            "effective": [bool(s.get("current", {}).get("effectiveSince")) for s in status.get("stages", ())],
            "history": [
                (t["type"], t.get("from", {}).get("version"), t["to"]["version"], t["sequence"], "effectiveAt" in t)
                for t in status.get("transitions", ())
            ],
            "conditions": {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", ())},
            "serves": [version_of.get(f"{s['metadata']['name']}-{_selected(s)}") for s in services],
            "published": [c["data"]["version"] for c in yard.of_model("ConfigMap", model)],
            "deployments": sorted(
                (_label(d, "version"), d["spec"]["replicas"], d["status"].get("readyReplicas", 0))
                for d in yard.of_model("Deployment", model)
            ),
            "jobs": sorted(_label(job, "version") for job in yard.of_model("Job", model)),
            "versions": {
                v["spec"]["version"]: (_only(v["status"], "stage", "digest"), _only(v["status"].get("request", {}),
                 "step", "reason", "place"))
                for v in yard.of_model("ModelVersion", model) if "status" in v
            },
            "rollbacks": [
                _only(r.get("status", {}), "outcome", "fromVersion", "toVersion", "sequence")
                for r in yard.of_model("Rollback", model)
            ],
        }  # fmt: skip

    def forget(self) -> None:
        """Delete it all, so that the next run finds the operator with nothing to do."""
        for kind in ("Rollback", "ModelVersion"):
            for item in self.yard.of_model(kind, self.model):
                self.yard.delete(kind, item["metadata"]["name"])
        self.yard.delete("Model", self.model)


@dataclass(frozen=True)
class Scenario:
    """`act` is what runs while the operator is disturbed; production then comes to serve `ends_with`."""

    prepare: Callable[[Story], None]
    act: Callable[[Story], None]
    ends_with: str


def _first(story: Story) -> None:
    story.declare()
    story.ask("1", verified=True)


def _one(story: Story) -> None:
    story.declare()
    story.serve("1")


def _two(story: Story) -> None:
    story.declare()
    story.serve("1", "2")


def _two_cold(story: Story) -> None:
    story.declare(keepWarm={"for": "1h", "replicas": 0})
    story.serve("1", "2")
    wait_until(lambda: ("1", 0, 0) in story.end()["deployments"], SERVES_WITHIN, "version 1 is scaled to zero")


def _withdraw(story: Story) -> None:
    story.yard.patch("ModelVersion", f"{story.model}-2", {"spec": {"stage": None}})


def _delete(story: Story) -> None:
    story.yard.delete("ModelVersion", f"{story.model}-2")


def _change_template(story: Story) -> None:
    spec = {"schedulerName": SCHEDULER, "containers": [{"name": "server", "image": "server:2"}]}
    story.yard.patch("Model", story.model, {"spec": {"serving": {"template": {"spec": spec}}}})


SCENARIOS = {
    "first registration": Scenario(lambda story: None, _first, "1"),
    "promotion": Scenario(_one, lambda story: story.ask("2"), "2"),
    "warm rollback": Scenario(_two, Story.roll_back, "1"),
    "cold rollback": Scenario(_two_cold, Story.roll_back, "1"),
    "withdrawal by edit": Scenario(_two, _withdraw, "1"),
    "withdrawal by deletion": Scenario(_two, _delete, "1"),
    "template change": Scenario(_one, _change_template, "1"),
}


def _label(obj: Any, name: str) -> str:
    return "".join(text for key, text in obj["metadata"]["labels"].items() if key.endswith(f"/{name}"))


def _selected(service: Any) -> str:
    return "".join(text for key, text in service["spec"].get("selector", {}).items() if key.endswith("/revision"))


def _only(status: Any, *names: str) -> dict[str, Any]:
    return {name: status[name] for name in names if name in status}
