"""The smallest server worth the name, run in pods by the cluster tests: it answers which version it is.

It keeps connections alive, answers with the fetched file too, and stops gracefully. With MODELYARD_TEST_BROKEN it
never listens.
"""

import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with version, revision and what the artifact says."""

    protocol_version = "HTTP/1.1"
    closing = False

    def do_GET(self) -> None:
        """Say who answers."""
        said = Path("/mnt/models/answer.txt").read_text().strip()
        flavour = os.environ.get("FLAVOUR", "")
        body = f"{os.environ['MODELYARD_VERSION']} {said} {flavour}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.closing:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def stop(*_: object) -> None:
    """Answer what is under way, ask clients to leave, then end: the preStop hook has drained new connections."""
    Handler.closing = True
    threading.Timer(1.0, os._exit, [0]).start()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    if os.environ.get("MODELYARD_TEST_BROKEN"):
        while True:
            time.sleep(1)
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
