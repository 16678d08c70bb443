"""The story itself: which commands, in which order, and what must be seen after each.

Run by `__main__`. Each chapter is one method that types what a user types, then checks with real predictions that the
cluster did what was told; the first thing that is not as told ends the story (`Unexpected`).
"""

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from dev.demo import train
from dev.demo.console import Unexpected, bold, command, fact, heading, output, progress, say
from dev.demo.kubectl import ROOT, Kubectl
from dev.demo.load import Load
from dev.demo.train import Trained

NAMESPACE = "mailroom"
SERVICE = "digits-production:8080"
IMAGE = "modelyard-example-server:dev"
REQUEST = Path("examples/two.json")
ASK = f"create --raw /api/v1/namespaces/{NAMESPACE}/services/{SERVICE}/proxy/invocations -f {REQUEST}"
TRUTH, MISREAD = 2, 9
"""The digit in REQUEST, and what version 1, trained on a hundred images, takes it for."""


class Story:
    """One telling."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.kubectl = Kubectl()
        self.load = Load(self.kubectl, NAMESPACE)

    def tell(self) -> None:
        """All chapters."""
        self.check_the_stage_is_set()
        try:
            trained = self.train()
            self.serve_the_first()
            self.promote_the_second()
            self.refuse_the_third(trained[2])
            self.stop_the_next_two(trained[3], trained[4])
            self.roll_back()
            self.end()
        finally:
            self.load.stop()

    def check_the_stage_is_set(self) -> None:
        """A cluster with the operator in it."""
        labels = "app.kubernetes.io/name=modelyard"
        running = self.kubectl.quiet("get", "deployments", "-A", "-l", labels, "-o", "name")
        if not running.strip():
            raise Unexpected("the operator is not installed in this cluster; run `make install-dev`")
        with progress("waiting for the operator"):
            for namespaced in self.kubectl.quiet(
                "get", "deployments", "-A", "-l", labels, "-o", "jsonpath={range .items[*]}{.metadata.namespace}/"
                "{.metadata.name} {end}",
            ).split():  # fmt: skip
                namespace, _, name = namespaced.partition("/")
                self.kubectl.quiet("-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=120s")

    def train(self) -> list[Trained]:
        """Five versions, saved and uploaded the way any pipeline would."""
        heading("1. Five models are trained, as always")
        say(
            "A mailroom reads handwritten digits. Five versions of its model are trained on the images that "
            "scikit-learn ships and saved by mlflow.sklearn.save_model. Nothing in them knows of a registry."
        )
        with ThreadPoolExecutor() as pool, progress("training, saving and uploading five versions") as shown:
            cleaning: Future[str] = pool.submit(
                self.kubectl.quiet, "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"
            )
            trained = train.train()
            train.upload(trained)
            if not cleaning.done():
                shown.update("done; the namespace of an earlier run is still being deleted")
            cleaning.result()
        for made in trained:
            fact(
                f"s3://{train.BUCKET}/digits/{made.version}/  {made.estimator} trained on {made.images} images, "
                f"right on {made.accuracy:.1%} of the {1797 - train.TRAINING} others"
            )
        return trained

    def serve_the_first(self) -> None:
        """Register and serve version 1."""
        heading("2. Two manifests, and the first version serves")
        say("The Model says how it is served; the ModelVersion says where its bytes lie and which stage it is for.")
        self.kubectl.show("apply -f examples/namespace.yaml")
        self.kubectl.show(f"-n {NAMESPACE} create secret generic modelyard-storage --from-env-file=.cluster/s3.env")
        for name in ("digits", "digits-1"):
            command(f"cat examples/{name}.yaml")
            output((ROOT / f"examples/{name}.yaml").read_text())
        self.kubectl.show("apply -f examples/digits.yaml -f examples/digits-1.yaml")
        self.wait_for("1", "{.status.stage}", "production", "verifying, fetching and starting version 1")
        self.show_all()
        print()
        say("What does it make of this image?")
        output(_picture(json.loads((ROOT / REQUEST).read_text())["inputs"][0]))
        self.ask(MISREAD)
        say("A nine. It is a two: a hundred images were too few. The mailroom starts to use it all the same.")
        with progress("starting an application that asks 20 times a second, a connection each"):
            self.load.start(SERVICE, ROOT / REQUEST, IMAGE)
            self.load.settled("1", 0, 20)
        fact(f"so far: {self.load.tally()}")

    def promote_the_second(self) -> None:
        """Version 2 takes over without a failed request."""
        heading("3. The second version takes over, and nobody notices")
        say("Its manifest asks for the same stage. Version 1 answers until version 2 is verified, fetched and ready.")
        mark = self.load.mark()
        self.kubectl.show("apply -f examples/digits-2.yaml")
        self.wait_for("2", "{.status.stage}", "production", "version 2 starts beside version 1")
        with progress("until every answer comes from version 2"):
            self.load.settled("2", mark, 40)
        tally = self.load.tally(mark)
        tally.check()
        fact(f"during the hand-over: {tally}")
        self.ask(TRUTH)
        self.show_all()

    def refuse_the_third(self, made: Trained) -> None:
        """One byte of version 3 is altered; it is not served."""
        heading("4. The third version is not what its pipeline made")
        manifest = train.declare(made)
        position = train.tamper(made)
        say(
            "Version 3 is the best of all. Its pipeline wrote the sha256 of each file into the manifest. Then "
            f"somebody changed byte {position} of {train.TAMPERED} in the bucket: a single bit."
        )
        mark = self.load.mark()
        self.kubectl.show(f"apply -f {manifest.relative_to(ROOT)}")
        self.wait_for("3", "{.status.verification.state}", "Failed", "verifying version 3")
        message = self.kubectl.show(
            f"-n {NAMESPACE} get modelversion digits-3 "
            """-o jsonpath='{.status.conditions[?(@.type=="Verified")].message}{"\\n"}'"""
        )
        if train.TAMPERED not in message:
            raise Unexpected(
                f"expected the message to name the file {train.TAMPERED}, found: {message.strip() or 'nothing'}"
            )
        self.load.settled("2", self.load.mark(), 20)
        tally = self.load.tally(mark)
        tally.check()
        if tally.by.keys() != {"2"}:
            raise Unexpected(f"expected version 2 alone to answer meanwhile, found {tally}")
        fact(f"meanwhile: {tally}")
        self.show_all()

    def stop_the_next_two(self, slow: Trained, careless: Trained) -> None:
        """Gates let neither a better but slow version pass, nor a fast but worse one."""
        heading("5. Better is not good enough, and fast is not either")
        say(
            "From now on a version has to earn its stage. The mailroom's gates are two small programs in an image of "
            "its own; the cluster gives them both models' files or pods, and judges the numbers they leave."
        )
        command("sed -n '/stages:/,$p' examples/gates/digits.yaml")
        gates = (ROOT / "examples/gates/digits.yaml").read_text()
        output(gates[gates.index("  stages:") :])
        self.kubectl.show("apply -f examples/gates/digits.yaml")
        print()
        say(
            f"Version 4 lets 200 models vote. It reads better than version 2 (F1 {slow.f1:.3f}), and thinks for long. "
            f"Version 5 compares with ten mean images. It answers at once, and reads worse (F1 {careless.f1:.3f})."
        )
        mark = self.load.mark()
        self.is_stopped(slow, ["Passed", "Failed"])
        self.is_stopped(careless, ["Failed"])
        columns = {
            "VERSION": ".spec.version", "GATES": ".status.gates[*].name", "RESULTS": ".status.gates[*].result",
            "F1": ".status.gates[*].candidate.f1", "INCUMBENT": ".status.gates[*].incumbent.f1",
            "P99_MS": ".status.gates[*].candidate.p99_ms", "INCUMBENT'S": ".status.gates[*].incumbent.p99_ms",
        }  # fmt: skip
        table = ",".join(f"{name}:{path}" for name, path in columns.items())
        self.kubectl.show(f'-n {NAMESPACE} get mv digits-4 digits-5 -o custom-columns="{table}"')
        self.kubectl.show(f"-n {NAMESPACE} get mv digits-4 -o jsonpath='{{.status.request.message}}'")
        self.load.settled("2", self.load.mark(), 20)
        tally = self.load.tally(mark)
        tally.check()
        if tally.by.keys() != {"2"}:
            raise Unexpected(f"expected version 2 alone to answer meanwhile, found {tally}")
        fact(f"meanwhile: {tally}")

    def is_stopped(self, made: Trained, results: list[str]) -> None:
        """A version asks for production and a gate stops it."""
        self.kubectl.show(f"apply -f {train.declare(made).relative_to(ROOT)}")
        self.wait_for(made.version, "{.status.request.step}", "Failed", f"the gates of version {made.version}")
        gates = self.kubectl.get("modelversion", f"digits-{made.version}", NAMESPACE)["status"].get("gates", [])
        if [gate["result"] for gate in gates] != results:
            raise Unexpected(f"expected the gates of version {made.version} to be {results}, found {gates}")

    def roll_back(self) -> None:
        """Version 1 is back in a moment, and stays."""
        heading("6. Three in the morning: back to what worked")
        say("Letters for 2nd Street arrive in 9th Street, says the pager. Whoever is on call rolls back first.")
        command("cat examples/rollback.yaml")
        output((ROOT / "examples/rollback.yaml").read_text())
        command("kubectl create -f examples/rollback.yaml")
        mark = self.load.mark()
        created = self.kubectl.quiet("create", "-f", "examples/rollback.yaml")
        returned = time.monotonic()
        output(created)
        first = self.load.first("1", mark)
        fact(bold(f"version 1 answered {max(0.0, first.at - returned):.2f} s after the command returned"))
        self.load.settled("1", mark, 40)
        self.load.tally(mark).check()
        fact(f"during the rollback: {self.load.tally(mark)}")
        name = created.split()[0]
        self.kubectl.show(f"-n {NAMESPACE} get {name}")
        self.show_all()
        print()
        say("The Rollback acted once. It may be deleted, and version 2's manifest applied again: nothing moves.")
        self.kubectl.show(f"-n {NAMESPACE} delete {name}")
        self.kubectl.show("apply -f examples/digits-2.yaml")
        mark = self.load.mark()
        with progress("watching the next 60 answers"):
            self.load.settled("1", mark, 60)
        if self.load.tally(mark).by.keys() != {"1"}:
            raise Unexpected(f"expected version 1 alone to answer after the rollback, found {self.load.tally(mark)}")
        self.ask(MISREAD)
        self.show_all()

    def end(self) -> None:
        """The balance, and where to go on."""
        tally = self.load.tally()
        tally.check()
        heading("The end")
        fact(bold(f"{tally} in all"))
        fact(f"told in {time.monotonic() - self.begun:.0f} s; the cluster stays up")
        print()
        say("Try next:")
        output(
            "  export KUBECONFIG=$PWD/.cluster/kubeconfig PATH=$PWD/.cluster/bin:$PATH\n"
            f"  kubectl -n {NAMESPACE} get models -w                      # and in another terminal:\n"
            f"  kubectl -n {NAMESPACE} annotate mv digits-2 modelyard.dev/request=again   # insist on version 2\n"
            f"  kubectl -n {NAMESPACE} describe model digits              # what happened, in Events and transitions\n"
            f"  kubectl {ASK}\n"
            "  kubectl explain model.spec.serving\n"
            "  make down                                          # when you have seen enough"
        )

    def wait_for(self, version: str, path: str, value: str, what: str) -> None:
        """Until a field of the version's status has a value."""
        version = f"digits-{version}"
        self.kubectl.wait(
            f"-n {NAMESPACE} wait modelversion/{version} --for=jsonpath='{path}'={value} --timeout=180s",
            follow=f"-n {NAMESPACE} get modelversion {version}",
            what=what,
        )

    def ask(self, expected: int) -> None:
        """One prediction by hand, through the stage's Service."""
        answer = json.loads(self.kubectl.show(ASK))["predictions"]
        if answer != [expected]:
            raise Unexpected(f"expected the prediction [{expected}], found {answer}")

    def show_all(self) -> None:
        """The daily question."""
        self.kubectl.show(f"-n {NAMESPACE} get models,modelversions")


def _picture(pixels: list[int]) -> str:
    """An image of 8 by 8 pixels, from 0 to 16, in characters."""
    shades = " ░▒▓█"
    rows = [pixels[start : start + 8] for start in range(0, 64, 8)]
    return "\n".join("    " + "".join(shades[min(4, pixel // 4)] * 2 for pixel in row) for row in rows)
