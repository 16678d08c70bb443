"""Whose signatures does the Model trust? What its `artifactPolicy.signature` names, as the verify pod is given it.

Keys and certificates stand in the task, or in ConfigMaps and Secrets of the Model's namespace, which the pod has
mounted: the operator reads neither. One that is not there yet may come, so that is tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.names import TRUST_FOLDER
from modelyard.api.reasons import ArtifactReason
from modelyard.storage.errors import ArtifactError

MAX_PEM = 256 << 10


@dataclass(frozen=True)
class Pem:
    """PEM text: inline, or a file that was mounted from somewhere."""

    text: str = ""
    file: str = ""
    origin: str = ""
    """Where the file comes from, for a person to read."""

    def read(self, entry: str) -> bytes:
        """The text; SignaturePolicyInvalid, to be tried again, when its ConfigMap or Secret is not there."""
        if self.text:
            return self.text.encode()
        try:
            with (Path(TRUST_FOLDER) / self.file).open("rb") as file:
                return file.read(MAX_PEM)
        except OSError as error:
            message = f"read {entry}: {self.origin} is not there or may not be read; create it, or correct the Model"
            raise ArtifactError(ArtifactReason.SIGNATURE_POLICY_INVALID, message, transient=True) from error


@dataclass(frozen=True)
class TrustedKey:
    """One of the Model's keys."""

    name: str
    id: str
    """Identity of the entry as it stands in the Model: what the operator later compares with the Model as it is."""
    pem: Pem

    @property
    def entry(self) -> str:
        """Where a person finds it."""
        return f"artifactPolicy.signature.keys[{self.name}]"


@dataclass(frozen=True)
class TrustedRoots:
    """Certificate authorities, and whom of those they certify the Model trusts."""

    name: str
    id: str
    pem: Pem
    identities: tuple[tuple[str, str], ...]
    """Kind (`email`, `uri`, `dnsName`, `subject`) and value; any of them will do."""

    @property
    def entry(self) -> str:
        """Where a person finds it."""
        return f"artifactPolicy.signature.certificates[{self.name}]"


@dataclass(frozen=True)
class SignaturePolicy:
    """What the Model asks of signatures, and where the version says that its own lies."""

    required: bool = False
    uri: str = ""
    """The version's own words; empty when it says nothing."""
    keys: tuple[TrustedKey, ...] = ()
    certificates: tuple[TrustedRoots, ...] = ()

    @property
    def demanded(self) -> bool:
        """Whether an artifact without a good signature is refused: the Model asks for it, or the version claims one and
        the Model says whom it trusts."""
        return self.required or bool(self.uri and (self.keys or self.certificates))

    @classmethod
    def parse(cls, task: Mapping[str, Any]) -> "SignaturePolicy":
        """From the task as the operator writes it."""
        return cls(
            required=bool(task.get("required")),
            uri=task.get("uri") or "",
            keys=tuple(TrustedKey(entry["name"], entry["id"], _pem(entry)) for entry in task.get("keys") or ()),
            certificates=tuple(
                TrustedRoots(
                    entry["name"], entry["id"], _pem(entry),
                    tuple(pair for identity in entry.get("identities") or () for pair in identity.items()),
                )
                for entry in task.get("certificates") or ()
            ),
        )  # fmt: skip


def _pem(entry: Mapping[str, Any]) -> Pem:
    return Pem(entry.get("pem") or "", entry.get("file") or "", entry.get("origin") or "")


def unusable(entry: str, problem: str) -> ArtifactError:
    """The error of an entry of the Model that cannot be used."""
    return ArtifactError(ArtifactReason.SIGNATURE_POLICY_INVALID, f"read {entry}: {problem}; correct the Model")
