"""Serve the MLflow model at /mnt/models by MLflow's own scoring protocol, the way a pod in a cluster should.

Runs as the whole of a serving container: `python3 server.py`. MLflow's scoring server answers `/ping`, `/version`
and `/invocations`; this file adds only what a Service needs around it: it says in each response which version
answered, and on SIGTERM it goes on answering until the cluster has stopped sending. It must never write to disk:
the root file system is read-only, and so is the model.
"""

import logging
import os
import signal
import threading
from types import FrameType

# Set before anything imports numpy or mlflow, which read them once. One thread a process: a container's CPU limit is
# not what `os.cpu_count()` says, and a thread pool wider than the limit makes small models slower, not faster.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # no git in the image, and none is needed to serve

import uvicorn
from mlflow.pyfunc import scoring_server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MODEL_DIR = os.environ.get("MODEL_DIR", "/mnt/models")
HOST = os.environ.get("HOST", "0.0.0.0")
PORT = int(os.environ.get("PORT", "8080"))
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "5"))
"""How long new connections are still taken after SIGTERM. A pod is told to stop at the same moment as the proxies are
told to leave it out, and they need about a second: one that closed its port at once would fail their last requests."""
FINISH_SECONDS = 15
"""How long requests in flight may take after that; with the drain it stays under the pod's 30 s of grace."""

ANSWERED_BY = [
    (f"x-modelyard-{name}".encode(), os.environ.get(f"MODELYARD_{name.upper()}", "unknown").encode())
    for name in ("model", "version", "digest")
]

log = logging.getLogger("server")


class DrainingServer(uvicorn.Server):
    """A uvicorn server whose SIGTERM means: stop being chosen first, stop answering later."""

    draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the drain on SIGTERM; stop at once on Ctrl-C or on a second signal."""
        if sig != signal.SIGTERM or self.draining:
            super().handle_exit(sig, frame)
            return
        self.draining = True
        log.info("draining for %g s: new requests are still answered, connections are closed after each", DRAIN_SECONDS)
        timer = threading.Timer(DRAIN_SECONDS, self._stop)
        timer.daemon = True
        timer.start()

    def _stop(self) -> None:
        self.should_exit = True


class AnsweredBy:
    """Names the version in every response, and sends keep-alive clients elsewhere once the server is draining."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.server: DrainingServer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as JSON unless it says otherwise, and add to the headers of its response."""

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                leave = [(b"connection", b"close")] if self.server and self.server.draining else []
                message = {**message, "headers": [*message["headers"], *ANSWERED_BY, *leave]}
            await send(message)

        if scope["type"] == "http" and not any(name == b"content-type" for name, _ in scope["headers"]):
            # MLflow's server answers 500 without it, and `kubectl create --raw` sends none.
            scope = {**scope, "headers": [*scope["headers"], (b"content-type", b"application/json")]}
        await self.app(scope, receive, send_named)


def main() -> None:
    """Load the model, then open the port: a pod is ready exactly when it can predict."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    log.info("loading the model in %s", MODEL_DIR)
    model = scoring_server.load_model_with_mlflow_config(MODEL_DIR)  # type: ignore[no-untyped-call]
    app = AnsweredBy(scoring_server.init(model))
    app.server = DrainingServer(
        uvicorn.Config(
            app,
            host=HOST,
            port=PORT,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=FINISH_SECONDS,
        )
    )
    app.server.run()


if __name__ == "__main__":
    main()
