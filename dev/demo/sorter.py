"""An application that uses the model: it asks the Service `SERVICE` to read one image, again and again, at one pace.

The demo runs this file's text in a pod of the cluster, so it needs nothing but the standard library. Each request is
made on a connection of its own and never repeated, so a failure is seen as one. Each answer is one line of JSON.
"""

import json
import os
import socket
import threading
import time
from http.client import HTTPConnection

NAME, PORT = os.environ["SERVICE"].split(":")
HOST = socket.gethostbyname(NAME)  # once, as most clients do: a stage's Service keeps its address
BODY = os.environ["REQUEST"]
CLIENTS, PAUSE = 4, 0.2  # four clients, five requests a second each
PRINTING = threading.Lock()


def ask() -> dict[str, object]:
    """One request: who answered what, or what went wrong."""
    connection = HTTPConnection(HOST, int(PORT), timeout=10)
    start = time.monotonic()
    try:
        connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            return {"error": f"status {response.status}: {text[:200]}"}
        answer = json.loads(text)["predictions"][0]
        version = response.headers["X-Modelyard-Version"]
        return {"version": version, "answer": answer, "ms": round(1000 * (time.monotonic() - start), 1)}
    except Exception as error:  # whatever it is, the caller got no answer, and that is what is counted
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def client(number: int) -> None:
    """Ask forever, at the same pace whether answers are fast or slow."""
    due = time.monotonic() + number * PAUSE / CLIENTS
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + PAUSE, time.monotonic() - PAUSE)
        line = json.dumps(ask())
        with PRINTING:
            print(line, flush=True)


if __name__ == "__main__":
    while "error" in ask():  # the node's proxy learns of a Service's very first pod up to a second after it is ready
        time.sleep(0.2)
    for index in range(CLIENTS):
        threading.Thread(target=client, args=(index,)).start()
