"""A known vulnerability fails the audit, an excused one does not, and silence is not taken for a good answer.

The real pip-audit asks a server of this test's own that speaks OSV's protocol.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from dev import audit

KNOWN: dict[str, Any] = {
    "id": "GHSA-0000-0000-0000",
    "aliases": ["CVE-2026-0001"],
    "summary": "It can be made to fall over.",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Knows one vulnerability, of urllib3."""

    asked: list[str]

    def do_POST(self) -> None:
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        self.asked.append(name)
        body = json.dumps({"vulns": [KNOWN]} if name == "urllib3" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    Osv.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_known_vulnerability_fails_the_audit(osv: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--osv-url", osv]) == 1
    said = capsys.readouterr().out
    assert "VULNERABLE: urllib3 2." in said
    assert "CVE-2026-0001" in said
    assert "fixed in 99.0" in said
    assert "cryptography" in Osv.asked, "every locked package is asked about"
    assert "pytest" not in Osv.asked, "and nothing that is not in the image"


def test_an_excused_one_does_not_and_its_reason_is_told(
    osv: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "IGNORED", {"CVE-2026-0001": "nothing here falls over", "CVE-1": "long fixed"})
    assert audit.main(["--osv-url", osv]) == 0
    said = capsys.readouterr().out
    assert "ignored: CVE-2026-0001: nothing here falls over" in said
    assert "remove from IGNORED in dev/audit.py: CVE-1" in said


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--strict"], 1)], ids=["a change", "a release"])
def test_data_that_cannot_be_reached_is_said_and_only_strictly_a_failure(
    options: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(["--osv-url", "http://127.0.0.1:9/v1/query", *options]) == code
    assert "NOT AUDITED" in capsys.readouterr().out


SKIPPED: Mapping[str, Any] = {"name": "a", "skip_reason": "not found in the index"}
CLEAN: Mapping[str, Any] = {"name": "b", "version": "1", "vulns": []}


@pytest.mark.parametrize(
    ("entries", "strict", "code", "said"),
    [
        pytest.param([SKIPPED], False, 0, "NOT AUDITED: vulnerability data cannot be reached", id="all were skipped"),
        pytest.param([SKIPPED, CLEAN], False, 0, "NOT AUDITED: 1 packages: a", id="some were skipped"),
        pytest.param([SKIPPED, CLEAN], True, 1, "NOT AUDITED: 1 packages: a", id="some were skipped, strictly"),
        pytest.param([CLEAN], True, 0, "1 packages audited, 0 vulnerabilities", id="nothing is known"),
    ],
)
def test_what_pip_audit_calls_a_success_is_looked_at(entries: list[Any], strict: bool, code: int, said: str) -> None:
    found = audit.verdict(audit.judge({"dependencies": entries}, {}), {}, strict=strict)
    assert found[0] == code
    assert said in found[1]
