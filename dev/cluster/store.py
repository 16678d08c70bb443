"""The S3 store for development and tests: versitygw, with object versions, at one address for host and pods.

Writes `.cluster/s3.env`, whose keys are those of a storage Secret. The buckets `models` and `ledger` are there
from the start; tests make their own.
"""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

from dev.cluster import processes
from dev.cluster.places import LOG, NODE_ADDRESS, S3_ENV, S3_PORT, STATE
from dev.cluster.say import wait_until

if TYPE_CHECKING:
    from pathlib import Path

REGION = "us-east-1"
FOLDER = STATE / "s3"
BUCKETS = ("models", "ledger")


def start(programs: dict[str, Path], address: str = NODE_ADDRESS, *, isolated: bool = True) -> None:
    """Start the store and wait until it answers."""
    settings = _settings(address)
    for part in ("iam", "versions", *(f"data/{bucket}" for bucket in BUCKETS)):  # a folder is a bucket
        (FOLDER / part).mkdir(parents=True, exist_ok=True)
    command = [str(programs["versitygw"]), "--port", f"{address}:{S3_PORT}", "--region", REGION, "--keep-alive"]
    command += ["--quiet", "--iam-dir", str(FOLDER / "iam")]
    command += ["posix", "--versioning-dir", str(FOLDER / "versions"), str(FOLDER / "data")]
    credentials = {
        "ROOT_ACCESS_KEY_ID": settings["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_ACCESS_KEY": settings["AWS_SECRET_ACCESS_KEY"],
    }
    processes.ensure("versitygw", command, env=credentials, isolated=isolated)
    wait_until(lambda: answers(address), what="the S3 store", seconds=20, look_at=LOG / "versitygw.log")


def answers(address: str = NODE_ADDRESS) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((address, S3_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def write_settings(settings: dict[str, str]) -> None:
    """Leave the store's settings where tests and the demo look for them."""
    S3_ENV.parent.mkdir(exist_ok=True)
    S3_ENV.touch(mode=0o600)
    S3_ENV.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def _settings(address: str) -> dict[str, str]:
    """The settings of a store that is there already, else new ones."""
    if S3_ENV.exists():
        known = dict(line.split("=", 1) for line in S3_ENV.read_text().splitlines() if "=" in line)
        if known.get("AWS_ENDPOINT_URL") == f"http://{address}:{S3_PORT}":
            return known
    settings = {
        "AWS_ACCESS_KEY_ID": "modelyard",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://{address}:{S3_PORT}",
    }
    write_settings(settings)
    return settings
