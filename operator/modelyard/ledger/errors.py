"""What can go wrong with a ledger.

LedgerError
|- PlaceError            the storage cannot be reached or refuses; `transient` when trying again may help
|- BrokenChainError      what lies there is not the chain that was written: for a person to look into
|- ForeignRecordError    somebody else appended to the chain at the same time; look again, then go on
|- AdoptedError          another cluster has taken the chain over; this one must not append any more
|- UnknownChainError     no record of such a model
'- KeyFileError          what was given as a key is none
"""


class LedgerError(Exception):
    """The ledger could not be written or read."""

    transient = False
    """Whether the same attempt may succeed later without anybody doing anything."""
    reason = "LedgerBroken"
    """How a Model's condition LedgerSynced names it."""


class PlaceError(LedgerError):
    """The storage of the ledger cannot be used."""

    reason = "LedgerUnavailable"

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class BrokenChainError(LedgerError):
    """A record is missing, was altered, or lies where another one belongs."""


class ForeignRecordError(LedgerError):
    """The next number was taken by a record of somebody else."""

    transient = True


class AdoptedError(LedgerError):
    """The chain belongs to another cluster by now."""

    reason = "ChainAdopted"


class UnknownChainError(LedgerError):
    """Nothing was ever recorded of this model here."""


class KeyFileError(LedgerError):
    """A key to sign with, or to verify signatures with, cannot be used."""
