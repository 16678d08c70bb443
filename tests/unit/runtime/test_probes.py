"""The pages that the kubelet and Prometheus read."""

import aiohttp

from modelyard.runtime.metrics import Metrics
from modelyard.runtime.probes import Probes


async def page(probes: Probes, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{probes.port}{path}") as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_a_probe_fails_with_every_complaint_and_passes_without() -> None:
    complaints: list[str | None] = ["the first", None, "the second"]
    checks = [lambda position=position: complaints[position] for position in range(3)]
    async with Probes(0, Metrics(), live=checks, ready=()) as probes:
        assert await page(probes, "/livez") == (503, "text/plain", "the first\nthe second\n")
        assert await page(probes, "/readyz") == (200, "text/plain", "ok\n")

        complaints[:] = [None, None, None]
        assert await page(probes, "/livez") == (200, "text/plain", "ok\n")


async def test_metrics_are_there_before_anything_happened() -> None:
    async with Probes(0, Metrics(), live=(), ready=()) as probes:
        status, kind, text = await page(probes, "/metrics")

    assert (status, kind) == (200, "text/plain")
    assert "# TYPE modelyard_reconcile_seconds histogram" in text
    assert "process_resident_memory_bytes" in text
    assert "modelyard_leading 0.0" in text


async def test_closing_twice_is_harmless() -> None:
    async with Probes(0, Metrics(), live=(), ready=()) as probes:
        await probes.close()
