"""The ledger: appending to it, and asking it what was in production, with 100,000 records of 500 models in a store.

The store is versitygw on loopback, on the same cores. Answers are compared with a replay that goes through every record
from the first. Run alone, without a cluster: `python -m tests.bench.recording`.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelyard.ledger.asof import Window
from modelyard.ledger.canonical import sha256_of
from modelyard.ledger.layout import ChainName
from modelyard.ledger.place import LedgerSettings, Place, open_place
from modelyard.ledger.queries import Reader
from modelyard.ledger.reading import checked, walk
from modelyard.ledger.records import START, load_record
from modelyard.ledger.segments import compact
from modelyard.ledger.signing import Signer
from modelyard.ledger.writing import append
from tests.bench.table import Row, milliseconds, percentile, show
from tests.store.gateway import Gateway
from tests.unit.ledger.places import MemoryPlace

MODELS, RECORDS = 500, 200
BUCKET = "bench"
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
APPENDS, DATES, COLD_ROUNDS = 100, 1000, 5
ASKED = "2025-01-05T12:30:00Z"
COLD_TARGET, WARM_TARGET = 1.0, 0.1
READ_BACK = 20
"""Models whose 200 records are read one by one for the comparison."""


def recording() -> list[Row]:
    """Rows on appending, on the command from a cold start, and on a reader that is asked again."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder, a_store(Path(folder)) as gateway:
        place = open_place(LedgerSettings(f"s3://{BUCKET}", gateway.settings))
        taken, writes = appends(place)
        fill(Path(folder) / "data" / BUCKET)
        walls, processor = zip(*(ask_by_command(gateway) for _ in range(COLD_ROUNDS)), strict=True)
        warm, wrong = ask_again(place)
    whole = f"{MODELS * RECORDS} records of {MODELS} models"
    return [
        Row("ledger: append a signed record", f"{milliseconds(taken)}, {writes['records'] / APPENDS:g} PUT each",
            "at most one write a transition", writes["records"] <= APPENDS),
        Row("ledger: segments for as many records", f"{writes['segments']} PUTs for {APPENDS}", "only for reading"),
        Row(f"asof in {whole}: the command, cold",
            f"{milliseconds(walls)}; processor {milliseconds(processor)}",
            f"under {COLD_TARGET:.0f} s", percentile(walls, 0.5) < COLD_TARGET),
        Row("asof: a reader that is asked again", milliseconds(warm), f"under {WARM_TARGET * 1e3:.0f} ms",
            percentile(warm, 0.99) < WARM_TARGET),
        Row("asof: answers that differ from a naive replay", f"{wrong} of {DATES}", "none", wrong == 0),
    ]  # fmt: skip


@contextmanager
def a_store(folder: Path) -> Iterator[Gateway]:
    """A store with an empty bucket, and its credentials in the environment."""
    gateway = Gateway(folder)
    gateway.start()
    before = dict(os.environ)
    os.environ.update(gateway.env)
    try:
        gateway.client().create_bucket(Bucket=BUCKET)
        yield gateway
    finally:
        os.environ.clear()
        os.environ.update(before)
        gateway.stop()


def chain(number: int) -> ChainName:
    return ChainName("prod", "risk", f"model-{number}")


def promoted(number: int) -> dict[str, Any]:
    """A record as large as they are: lineage, two gates with numbers, two approvals."""
    at = (BEGIN + timedelta(hours=number)).isoformat().replace("+00:00", "Z")
    metrics = {f"metric_{each}": each * 0.1 for each in range(15)}
    spec = {"source": {"repository": "https://git.example.com/risk", "revision": "f" * 40}, "metrics": metrics}
    spec["datasets"] = [{"name": "payments", "uri": "s3://data/payments", "digest": "x" * 64}]
    gate = {"stage": "production", "name": "quality", "result": "Passed", "candidate": metrics}
    return {
        "type": "Promoted", "at": at, "stage": "production", "sequence": number,
        "to": {"version": str(number), "digest": f"sha256:{number:064}", "revision": "abc"},
        "version": {"version": str(number), "uid": f"u{number}", "spec": spec}, "gates": [gate, gate],
        "approvals": [
            {"name": each, "by": each, "decision": "Approve", "stage": "production", "version": str(number)}
            for each in ("alice", "bob")
        ],
    }  # fmt: skip


class Counting:
    """A place that counts what is written to it, by the kind of object."""

    def __init__(self, place: Place) -> None:
        self.url, self.read, self.files, self.folders = place.url, place.read, place.files, place.folders
        self._place = place
        self.writes: Counter[str] = Counter()

    def create(self, name: str, content: bytes) -> bool:
        self.writes[name.split("/")[3]] += 1
        return self._place.create(name, content)


def appends(place: Place) -> tuple[list[float], Counter[str]]:
    """Seconds of each append to a chain, as the operator makes them: known head, one entry, signed; and all writes."""
    chain, signer = ChainName("prod", "risk", "appended"), Signer(Ed25519PrivateKey.generate())
    counting, taken, known = Counting(place), [], START
    for number in range(APPENDS):
        since = time.perf_counter()
        done = append(counting, chain, [promoted(number)], known, signer=signer)
        taken.append(time.perf_counter() - since)
        compact(counting, chain, done.head.number, after=known.number)
        known = done.head
    return taken, counting.writes


def fill(root: Path) -> None:
    """Write the chains into the store's own folder: by requests it would take an hour."""
    first = MemoryPlace()
    append(first, chain(0), [promoted(number) for number in range(1, RECORDS + 1)])
    records = [first.objects[chain(0).record(number)] for number in range(1, RECORDS + 1)]
    for number in range(MODELS):
        memory, previous = MemoryPlace(), START.sha256
        for place, raw in enumerate(records, 1):  # the same bytes but for the name and the hashes
            said = json.loads(raw)["previous"].encode()
            raw = raw.replace(b'"model-0"', f'"model-{number}"'.encode()).replace(said, previous.encode())
            memory.objects[chain(number).record(place)], previous = raw, sha256_of(raw)
        compact(memory, chain(number), RECORDS)
        for name, raw in memory.objects.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)


def ask_by_command(gateway: Gateway) -> tuple[float, float]:
    """Seconds of `modelyard asof` from its start to its end, and of them on a processor."""
    what = f"risk/model-{random.randrange(MODELS)}@production"
    command = [sys.executable, "-m", "modelyard.cli.main", "asof", what, ASKED, "--ledger", f"s3://{BUCKET}"]
    since, before = time.perf_counter(), processor_time()
    done = subprocess.run(command, env=os.environ | gateway.env, capture_output=True, text=True, check=True)
    assert "served from" in done.stdout, done.stdout + done.stderr
    return time.perf_counter() - since, processor_time() - before


def processor_time() -> float:
    """Seconds that the processes started from here, and ended, were on a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ask_again(place: Place) -> tuple[list[float], int]:
    """Seconds of each answer for random dates once a reader knows the chain, and how many were wrong."""
    reader, taken, wrong = Reader(place), [], 0
    naive = {number: naive_replay(place, chain(number)) for number in random.sample(range(MODELS), READ_BACK)}
    for number in naive:
        reader.asof(chain(number), "production", Window(BEGIN, BEGIN))
    for _ in range(DATES):
        number = random.choice(list(naive))
        moment = BEGIN + timedelta(seconds=random.randrange(-3600, 3600 * (RECORDS + 10)))
        since = time.perf_counter()
        answer = reader.asof(chain(number), "production", Window(moment, moment + timedelta(microseconds=1)))
        taken.append(time.perf_counter() - since)
        expected = [version for at, version in naive[number] if at <= moment][-1:]
        wrong += [period.serves.version for period in answer.periods] != expected
    return taken, wrong


def naive_replay(place: Place, name: ChainName) -> list[tuple[datetime, str]]:
    """When each version took the stage, by the records alone."""
    records = [load_record(sealed.document) for sealed in checked(walk(place, name))]
    return [(record.at, record.to.version) for record in records if record.to]


if __name__ == "__main__":
    print(show(recording()))
