"""The ledger of one yard: a store that all yards share, a proxy before it, and a reader that asks neither of the two.

The operator's writes to the store count among its writes to the API server, so that it also dies after each of them;
where calls to the API server fail by a seed, calls to the store do too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import proxy as api
from tests.faults.faults import Counted, Seeded, StopAfter
from tests.store.gateway import Gateway
from tests.store.meddling import EVERYWHERE, OF_WRITES, Meddling, refusal
from tests.store.proxy import Hangup, PassOn, StoreAnswer, StoreCall, StoreProxy

BUCKET, PREFIX, CLUSTER = "ledger", "faults", "yard"
URL = f"s3://{BUCKET}/{PREFIX}"
SHARE = 0.3


class Ledger:
    """As one yard's operator has it. `faults`: what disturbs the calls to the API server at the moment."""

    def __init__(self, gateway: Gateway, proxy: StoreProxy, faults: Callable[[], api.Faults]) -> None:
        self._gateway, self._proxy = gateway, proxy
        self._proxy.faults = self._disturbed = _Disturbed(faults)

    @property
    def settings(self) -> dict[str, Any]:
        """The operator's."""
        place = {"url": URL, "endpoint": self._proxy.endpoint, "forcePathStyle": True}
        return {"clusterName": CLUSTER, "ledger": place}

    @property
    def environment(self) -> dict[str, str]:
        """The operator's: its credentials."""
        return {name: text for name, text in self._gateway.env.items() if name.startswith("AWS_")}

    @contextmanager
    def is_down(self) -> Iterator[None]:
        """The store says to everybody that it cannot."""
        self._proxy.faults = _Down()
        try:
            yield
        finally:
            self._proxy.faults = self._disturbed

    def chain(self, namespace: str, model: str) -> list[bytes]:
        """The records of a Model, as they lie on the store's disk; fails when a number is missing."""
        folder = self._gateway.folder / "data" / BUCKET / PREFIX / CLUSTER / namespace / model / "records"
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        assert [file.name for file in files] == [f"{n:012}.json" for n in range(1, len(files) + 1)], _names(files)
        return [file.read_bytes() for file in files]


@contextmanager
def a_store(folder: Path) -> Iterator[Gateway]:
    """A store with the ledger's bucket. When all is done, the command line verifies every chain that was written."""
    (folder / "store").mkdir()
    gateway = Gateway(folder / "store")
    gateway.start()
    try:
        gateway.client().create_bucket(Bucket=BUCKET)
        yield gateway
        _verify(gateway)
    finally:
        gateway.stop()


def _verify(gateway: Gateway) -> None:
    if not (gateway.folder / "data" / BUCKET / PREFIX).is_dir():
        return  # no run had a ledger
    command = [sys.executable, "-m", "modelyard.cli.main", "ledger", "verify", "--ledger", URL]
    done = subprocess.run(command, env={**os.environ, **gateway.env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}\n{done.stderr}"


@dataclass(frozen=True)
class _StoreWrite(api.Call):
    """A call to the store, as what disturbs the API server counts it: about the Model whose chain it is."""

    @property
    def collection(self) -> str:
        return "ledger"

    @property
    def name(self) -> str:
        parts = self.path.split("/")
        return parts[4] if len(parts) > 5 else ""

    def __str__(self) -> str:
        return f"{self.method} ledger/{'/'.join(self.path.split('/')[4:])}"


class _Disturbed:
    """Counts, ends the process, and fails by a seed, as the calls to the API server are dealt with at the moment."""

    def __init__(self, faults: Callable[[], api.Faults]) -> None:
        self._faults = faults
        self._meddling: tuple[Seeded, Meddling] | None = None

    async def answer(self, call: StoreCall, pass_on: PassOn) -> StoreAnswer:
        faults = self._faults()
        if not isinstance(faults, Counted):
            return await pass_on()
        kept: list[StoreAnswer] = []

        async def forward(_: api.Call) -> api.Answer:
            meddling = self._meddling_of(faults)
            kept.append(await (meddling.answer(call, pass_on) if meddling else pass_on()))
            return api.Answer(kept[0].status, b"", {})

        seen = _StoreWrite(call.method, call.key, {})
        try:
            await (
                faults.handle(seen, forward) if isinstance(faults, StopAfter) else Counted.handle(faults, seen, forward)
            )
        except api.Hangup:
            raise Hangup from None
        return kept[0]

    def _meddling_of(self, faults: Counted) -> Meddling | None:
        if not isinstance(faults, Seeded) or faults.lifted:
            return None
        if self._meddling is None or self._meddling[0] is not faults:
            meddling = Meddling(faults.seed, SHARE, (*EVERYWHERE, *OF_WRITES))
            meddling.done = faults.done
            self._meddling = faults, meddling
        return self._meddling[1]


class _Down:
    async def answer(self, call: StoreCall, pass_on: PassOn) -> StoreAnswer:
        return refusal(503)


def _names(files: list[Path]) -> str:
    return json.dumps([file.name for file in files])
