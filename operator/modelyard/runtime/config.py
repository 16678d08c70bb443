"""The operator's settings: one JSON file, every field with a default, every mistake named.

Read once at start. A settings file that cannot be used ends the process with a sentence that names the field.
"""

import json
import os
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from modelyard.decide import snapshot
from modelyard.ledger import place
from modelyard.ledger.errors import KeyFileError
from modelyard.ledger.layout import CLUSTER_RULE, SAFE
from modelyard.ledger.place import LedgerSettings
from modelyard.ledger.signing import Signer, load_signer
from modelyard.storage.settings import StorageSettings

DEFAULT_PATH = Path("/etc/modelyard/config.json")


class ConfigError(Exception):
    """The settings cannot be used."""


class _Settings(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class HelperPods(_Settings):
    """How the operator's own containers run in the namespaces of Models."""

    image: Annotated[str, Field(min_length=1)] = "modelyard:dev"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    resources: dict[str, Any] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    node_selector: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    run_as_user: Annotated[int, Field(ge=1)] | None = 65532

    def as_decided_on(self) -> snapshot.HelperPods:
        """The same, as decisions know it."""
        return snapshot.HelperPods(**{name: getattr(self, name) for name in type(self).model_fields})


class Retention(_Settings):
    """How long a store with Object Lock keeps each record from being deleted or replaced."""

    mode: Literal["Governance", "Compliance"]
    days: Annotated[int, Field(ge=1, le=36500)]


class Ledger(_Settings):
    """Where the record of everything that ever served is kept. Credentials come from the process's environment."""

    url: Annotated[str, Field(pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/.*)?|file:///.+)$")]
    """s3://bucket/prefix or file:///path."""
    endpoint: str = ""
    region: str = ""
    ca_bundle: str = ""
    """PEM text of the authorities to trust instead of the system's."""
    force_path_style: bool | None = None
    retention: Retention | None = None
    recover_from: tuple[Annotated[str, Field(pattern=SAFE.pattern)], ...] = ()
    """Names of the clusters whose records this one takes over, for Models that have no status and no record here."""
    signing_key: str = ""
    """File with the Ed25519 private key (PEM) by which records are signed; empty: they are not."""
    serve_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Where those read who have no rights in the store, over HTTPS; 0 takes any free port, None serves nobody."""

    def signer(self) -> Signer | None:
        """Whoever signs the records; KeyFileError when the key cannot be used."""
        if not self.signing_key:
            return None
        try:
            return load_signer(Path(self.signing_key).read_bytes(), self.signing_key)
        except OSError as error:
            raise KeyFileError(f"read signing key {self.signing_key}: {error.strerror}") from error

    def as_opened(self) -> LedgerSettings:
        """The same, for whoever opens the place."""
        kept = self.retention
        return LedgerSettings(
            self.url,
            StorageSettings(self.endpoint or None, self.region or None, self.force_path_style, self.ca_bundle or None),
            place.Retention("GOVERNANCE" if kept.mode == "Governance" else "COMPLIANCE", kept.days) if kept else None,
        )


class Config(_Settings):
    """All settings of the operator."""

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty means all."""
    cluster_name: str = ""
    """Tells this cluster's records from those of others."""
    lease_name: Annotated[str, Field(min_length=1)] = "modelyard"
    lease_namespace: str = Field(default_factory=lambda: os.environ.get("POD_NAMESPACE") or "modelyard-system")
    identity: str = Field(default_factory=lambda: os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}")
    """Who holds the lease; one process, one identity."""
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """For /livez, /readyz and /metrics, on all addresses; 0 takes any free port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    workers: Annotated[int, Field(ge=1, le=100)] = 8
    """How many Models are reconciled at the same time."""
    max_verifications_per_namespace: Annotated[int, Field(ge=1)] = 4
    sweep_interval: Annotated[float, Field(ge=10)] = 300
    """Seconds between two comparisons of the cache with the API server."""
    helper_pods: HelperPods = HelperPods()
    admission: bool = False
    """Whether the admission policies are installed, which alone say who made an Approval or a request: without them no
    Approval counts."""
    shared_accounts: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Users that stand for many people, such as a GitOps tool's: never an approver, nor a requester that is known."""

    ledger: Ledger | None = None

    @field_validator("ledger")
    @classmethod
    def _needs_a_cluster_name(cls, ledger: Ledger | None, others: ValidationInfo) -> Ledger | None:
        if ledger and not SAFE.match(others.data.get("cluster_name", "")):
            raise PydanticCustomError("cluster_name", f"its records need a clusterName: {CLUSTER_RULE}")
        return ledger

    def as_decided_on(self) -> snapshot.Settings:
        """What decisions look at, for every Snapshot."""
        return snapshot.Settings(self.helper_pods.as_decided_on(), self.admission, frozenset(self.shared_accounts))

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read the file; without a path the usual one, if it exists."""
        if path is None and not DEFAULT_PATH.exists():
            return cls()
        path = path or DEFAULT_PATH
        try:
            given = json.loads(path.read_text())
        except OSError as error:
            raise ConfigError(f"read settings: {path}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"read settings: {path}: not JSON: {error}") from error
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            mistakes = "; ".join(_mistake(each) for each in error.errors())
            raise ConfigError(f"read settings: {path}: {mistakes}") from error


def _this_process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _mistake(error: Any) -> str:
    field = ".".join(map(str, error["loc"])) or "(the whole file)"
    if error["type"] == "extra_forbidden":
        return f"{field}: there is no such setting"
    return f"{field}: {error['msg'][0].lower()}{error['msg'][1:]} (found {error['input']!r})"
