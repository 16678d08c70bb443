"""The one error of reading an artifact: a reason, a sentence, and whether trying again can help.

Raised by everything in `storage/` and `pods/`; the helper pods report it as it is. Exceptions of a store's client
become one in that store's module and nowhere else.
"""

from modelyard.api.reasons import ArtifactReason


class ArtifactError(Exception):
    """An artifact could not be listed, read, understood or written."""

    def __init__(self, reason: ArtifactReason, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.transient = transient

    def as_dict(self) -> dict[str, object]:
        """The error as the helper pods report it."""
        return {"reason": self.reason.value, "message": self.message, "transient": self.transient}
