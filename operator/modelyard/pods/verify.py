"""`python3 -m modelyard.pods.verify`: is a version's artifact what it says? Run by a Job, once per attempt.

Reads the task, reports the digest and what was found, or the reason why not. Writes nothing but its result.
"""

import sys
from datetime import UTC, datetime

from modelyard.pods.harness import Result, Task, open_store, run
from modelyard.pods.progress import ProgressLog
from modelyard.storage.location import parse_uri
from modelyard.storage.signatures.examining import Signed
from modelyard.storage.verification import Expectation, Verified, verify

FILES_TOLD = 32
"""Files that are told one by one, for the ledger; of more, or where they do not fit, the digest over all must do."""


def work(task: Task) -> Result:
    """Verify the task's artifact."""
    location = parse_uri(task["uri"])
    expected = Expectation.parse(task)
    store = open_store(location)
    progress = ProgressLog("verifying artifact", location.uri)
    return report(verify(store, location, expected, datetime.now(UTC), progress))


def report(verified: Verified) -> Result:
    """The result as the operator takes it into status."""
    result: Result = {
        "digest": verified.digest,
        "sizeBytes": sum(file.size for file in verified.files),
        "fileCount": len(verified.files),
        "format": verified.format,
        "warnings": [{"reason": note.reason.value, "message": note.message} for note in verified.notes],
    }
    if len(verified.files) <= FILES_TOLD:
        result["files"] = [[file.path, file.sha256, file.size] for file in verified.files]
    if all(file.version_id for file in verified.files):
        result["objects"] = [[file.path, file.version_id] for file in verified.files]
    if verified.signed:
        result["signature"] = report_signature(verified.signed)
    return result


def report_signature(signed: Signed) -> Result:
    """Who signed, as the version's status tells it."""
    signer = signed.signer
    told = {
        "by": signer.by,
        "method": signer.method,
        "fingerprint": signer.fingerprint,
        "subject": signer.subject,
        "listedAs": signer.listed_as,
        "entry": signer.entry,
        "uri": signed.uri,
    }
    return {key: value for key, value in told.items() if value}


if __name__ == "__main__":
    sys.exit(run(work))
