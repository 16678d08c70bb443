"""How fast and in how much memory the verify program reads 1 GiB in 16 files, beside the machine's own sha256.

The store, versitygw on loopback, runs on the same cores and takes about as much of them as hashing does, which a store
on another machine would not. So the limit taken is that of one core, and that of all cores is shown beside it. Where
other work keeps the cores busy, what tells is the processor time: reading from a socket costs about a third of hashing.
Run alone: `python -m tests.bench.verify_bench`.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.store.gateway import Gateway

MIB = 1 << 20
FILE = 64 * MIB
FILES = 16
ROUNDS = 5
BUCKET = "verification"
MEMORY_TARGET = 256
SHARE_TARGET = 0.6


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, measured, target). Shares are of the limit measured just before, as other work comes and goes."""
    content = os.urandom(FILE)
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        gateway = Gateway(Path(folder))
        gateway.start()
        try:
            upload(gateway, content)
            rounds = [
                (sha256_limit(content, 1), sha256_limit(content, cores), *verify(gateway, Path(folder)))
                for _ in range(ROUNDS)
            ]
        finally:
            gateway.stop()
    one, every, rate, memory, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
    share = statistics.median(verified / limit for limit, _, verified, *_ in rounds)
    share_of_all = statistics.median(verified / limit for _, limit, verified, *_ in rounds)
    return [
        ("sha256 in memory, one core", f"{one:.0f} MiB/s", "floor"),
        (f"sha256 in memory, {cores} cores", f"{every:.0f} MiB/s", "for comparison"),
        ("verify 1 GiB in 16 files", f"{rate:.0f} MiB/s, {share:.0%} of one core", f">= {SHARE_TARGET:.0%}"),
        (f"its share of {cores} cores", f"{share_of_all:.0%}", "for comparison; the store runs on them too"),
        ("its processor time", f"{cpu:.2f} s, hashing alone {hashing(content):.2f} s", "for comparison"),
        ("its peak memory (RSS)", f"{memory:.0f} MiB", f"<= {MEMORY_TARGET} MiB"),
    ]


def sha256_limit(content: bytes, threads: int) -> float:
    """MiB/s of hashing as many bytes from memory, spread over threads."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(hashlib.sha256, [content] * FILES))
        return FILES * FILE / MIB / (time.perf_counter() - started)


def hashing(content: bytes) -> float:
    """Seconds of processor time that hashing as many bytes takes."""
    started = time.process_time()
    for _ in range(FILES):
        hashlib.sha256(content)
    return time.process_time() - started


def upload(gateway: Gateway, content: bytes) -> None:
    """The artifact, a different one each time."""
    client = gateway.client()
    client.create_bucket(Bucket=BUCKET)
    for number in range(FILES):
        client.put_object(Bucket=BUCKET, Key=f"m/{number:02}.bin", Body=content)


REPORTING = """
import atexit, os, runpy
import modelyard.pods.verify, modelyard.storage.s3
started = sum(os.times()[:2])
atexit.register(lambda: print(sum(os.times()[:2]) - started))
atexit.register(lambda: print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).strip()))
del __import__("sys").modules["modelyard.pods.verify"]
runpy.run_module("modelyard.pods.verify", run_name="__main__", alter_sys=True)
"""
"""The program as a pod runs it, saying at its end how much memory it had (getrusage would count our own, forked) and
how much processor time it took after its start."""


def verify(gateway: Gateway, folder: Path) -> tuple[float, float, float]:
    """MiB/s while reading (without starting Python), the program's peak memory in MiB, and its processor time."""
    task, result = folder / "task.json", folder / "result.json"
    task.write_text(json.dumps({"kind": "verify", "uri": f"s3://{BUCKET}/m/"}))
    files = {"MODELYARD_TASK_FILE": str(task), "MODELYARD_RESULT_FILE": str(result)}
    environment = {**os.environ, **gateway.env, **files}
    done = subprocess.run(
        [sys.executable, "-c", REPORTING], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"verify: {result.read_text()}")
    *_, last, _, memory, processor = done.stdout.strip().splitlines()  # progress, result, memory, processor time
    return FILES * FILE / MIB / json.loads(last)["seconds"], int(memory.split()[1]) / 1024, float(processor)


def main() -> None:
    """Print the rows."""
    for what, measured, target in run():
        print(f"{what:30} {measured:32} {target}")


if __name__ == "__main__":
    main()
