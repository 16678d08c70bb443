"""`python3 -m dev.audit`: is a vulnerability known of anything that our image runs? `make audit`.

Every locked runtime package is asked about with pip-audit, by default in the package index. The exit code is 1 for a
vulnerability that is not in IGNORED. Where the data cannot be had, that is said loudly and is no failure, since
nobody's change is to blame for it; `--strict` makes it one, for releases. pip-audit alone calls packages that it could
not ask about a success.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.cluster.layers import UV
from dev.cluster.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IGNORED: Mapping[str, str] = {}
"""Vulnerabilities that do not concern us, each with the reason: what would have to change for it to matter."""


@dataclass(frozen=True)
class Findings:
    """What is known of the packages."""

    asked: int
    vulnerable: tuple[str, ...]
    """A line for each vulnerability that counts."""
    ignored: tuple[str, ...]
    """Entries of the ignore list that were needed."""
    unknown: tuple[str, ...]
    """Packages that could not be asked about."""


def judge(report: Mapping[str, Any], ignored: Mapping[str, str]) -> Findings:
    """What pip-audit's report says. An ignored vulnerability may be named by any of its ids."""
    lines, needed = [], []
    unknown = [entry["name"] for entry in report["dependencies"] if "skip_reason" in entry]
    for entry in report["dependencies"]:
        for found in entry.get("vulns", ()):
            known_as = [found["id"], *found.get("aliases", ())]
            excuse = next((name for name in known_as if name in ignored), None)
            if excuse:
                needed.append(excuse)
                continue
            fixed = ", ".join(found.get("fix_versions", ())) or "no version yet"
            lines.append(f"{entry['name']} {entry['version']}: {' '.join(known_as)}: fixed in {fixed}")
    return Findings(len(report["dependencies"]), tuple(lines), tuple(sorted(set(needed))), tuple(unknown))


def verdict(findings: Findings | None, ignored: Mapping[str, str], *, strict: bool) -> tuple[int, str]:
    """The exit code and what to say. `findings` None: nothing could be asked."""
    if findings is None or len(findings.unknown) == findings.asked:
        text = "NOT AUDITED: vulnerability data cannot be reached from here; nothing is known of any package"
        return int(strict), text
    said = [f"VULNERABLE: {line}" for line in findings.vulnerable]
    said += [f"ignored: {name}: {ignored[name]}" for name in findings.ignored]
    said += [f"remove from IGNORED in dev/audit.py: {name}" for name in sorted(set(ignored) - set(findings.ignored))]
    if findings.unknown:
        said.append(f"NOT AUDITED: {len(findings.unknown)} packages: {', '.join(findings.unknown)}")
    audited = findings.asked - len(findings.unknown)
    said.append(f"{audited} packages audited, {len(findings.vulnerable)} vulnerabilities")
    return int(bool(findings.vulnerable) or (strict and bool(findings.unknown))), "\n".join(said)


def ask(locked: str, options: Sequence[str]) -> Mapping[str, Any] | None:
    """pip-audit's report on locked packages; None when it could not make one."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(locked)
        file.flush()
        command = [UV, "run", "--quiet", "--frozen", "--isolated", "--only-group", "audit", "pip-audit"]
        fixed = [
            "--requirement",
            file.name,
            "--no-deps",
            "--disable-pip",
            "--format",
            "json",
            "--progress-spinner",
            "off",
        ]
        done = subprocess.run([*command, *fixed, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        report: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        print(*done.stderr.splitlines()[-1:], file=sys.stderr)
        return None
    return report


def main(arguments: Sequence[str]) -> int:
    """Ask, and say what was found."""
    parser = argparse.ArgumentParser(prog="python3 -m dev.audit")
    parser.add_argument("--strict", action="store_true", help="fail as well when something could not be asked")
    parser.add_argument("--osv-url", help="ask this server, which speaks OSV's protocol, instead of the package index")
    given = parser.parse_args(arguments)
    export = [UV, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    report = ask(locked, ["--vulnerability-service", "osv", "--osv-url", given.osv_url] if given.osv_url else [])
    code, text = verdict(judge(report, IGNORED) if report else None, IGNORED, strict=given.strict)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
